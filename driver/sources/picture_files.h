// Pictures of files as one array.
#pragma once

#include <string>
#include <vector>

#include "driver/sources/source.h"

namespace gradc {

struct PictureFile {
  std::string path;
  std::string place;  // in the table that lists it, else ""
};

// Of one picture: [H, W] or [H, W, C], as the model's input has it, else as the first file has it. Throws
// CompileError where the input is no picture.
Type picture_type(const SourceRequest& r, const frontend::FieldSpec& f,
                  const std::vector<PictureFile>& files);

// [files, H, W] or [files, H, W, C], decoded on all cores. The first file that cannot be read, or is of
// another size, is refused. What of a picture was left out is counted in `remarks`, of `source`.
runtime::Array read_pictures(const SourceRequest& r, const frontend::FieldSpec& f,
                             const std::vector<PictureFile>& files, const std::string& source,
                             std::vector<std::string>& remarks);

}  // namespace gradc
