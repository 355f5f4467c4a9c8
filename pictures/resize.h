// Pictures of another size.
#pragma once

#include "pictures/picture.h"

namespace gradc::pictures {

// Scaled by a triangle filter that is as wide as what falls into one pixel (antialiased), rows after columns,
// in the whole numbers of Pillow's resize(BILINEAR), to the same samples. Where `crop`, height and width are
// scaled alike and what then stands over is cut off on both sides, as by Pillow's ImageOps.fit. Grey or RGB.
Picture resized(const Picture& p, int64_t height, int64_t width, bool crop);

}  // namespace gradc::pictures
