// In a build with the address sanitizer, code that runs in this process is checked as the compiler's own is.
#pragma once

#include <llvm/IR/Module.h>

namespace gradc::codegen {

// Instruments every function of the module; nothing in other builds.
void check_addresses(llvm::Module& m);

}  // namespace gradc::codegen
