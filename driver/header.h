// The C header of an object file: sizes, offsets and declarations, so that a host needs the object, the
// header and memory of its own.
#pragma once

#include <string>

#include "driver/compiler.h"

namespace gradc {

// `prefix` is what the object's symbols start with.
std::string c_header(const Compiled& c, const std::string& prefix);

}  // namespace gradc
