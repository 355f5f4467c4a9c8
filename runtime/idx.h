// The IDX files of MNIST and its relatives, plain or gzipped.
#pragma once

#include <string>

#include "runtime/array.h"

namespace gradc::runtime {

// u8, i32, f32 and f64 as they are, i16 widened to i32. Throws Error when the header and the file disagree.
Array read_idx(const std::string& path);

}  // namespace gradc::runtime
