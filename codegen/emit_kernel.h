// A kernel as one LLVM function, called as call_frame.h says, with the dimensions that the kernel's text
// names in alphabetical order. It works out its own share of the parallel loop.
#pragma once

#include <llvm/IR/Function.h>
#include <llvm/IR/Module.h>

#include <string>
#include <vector>

#include "ir/kernel/kernel.h"

namespace gradc::codegen {

std::vector<std::string> dims_of(const kernel::Kernel& k);
llvm::Function* emit_kernel(llvm::Module& m, const kernel::Kernel& k, const std::string& name, int lanes);

}  // namespace gradc::codegen
