// The IDX files of MNIST and its relatives, plain or gzipped.
#pragma once

#include <string>
#include <string_view>

#include "runtime/array.h"

namespace gradc::runtime {

// u8, i32, f32 and f64 as they are, i16 widened to i32. Throws Error when the header and the file disagree.
Array read_idx(const std::string& path);
Array parse_idx(const std::string& path, std::string_view text);  // of the file's contents

}  // namespace gradc::runtime
