// A kernel as one LLVM function: void (ptr buffer..., ptr thread_scratch, i64 dim..., i64 param..., i64
// begin, i64 end), with the dimensions that the kernel's text names in alphabetical order.
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
