// In a build with sanitizers, code that runs in this process is checked as the compiler's own is.
#pragma once

#include <llvm/IR/Module.h>

namespace gradc::codegen {

// Instruments every function of the module: its addresses in a build with the address sanitizer, its accesses
// to memory in one with the thread sanitizer. Nothing in other builds.
void instrument(llvm::Module& m);

}  // namespace gradc::codegen
