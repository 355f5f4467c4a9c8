// The C header of an object file: sizes, offsets and declarations, so that a host needs the object, the
// header and memory of its own.
#pragma once

#include <string>

#include "driver/compiler.h"

namespace gradc {

// `prefix` is what the object's symbols start with, `o` what the object is made with. The header refers to a
// symbol of that object, so that it links with no other.
std::string c_header(const Compiled& c, const std::string& prefix, const codegen::Options& o);
// Throws CompileError when names that start so are no identifiers of C.
void check_prefix(const std::string& prefix);

}  // namespace gradc
