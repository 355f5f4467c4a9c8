// The elementary functions of ir/math as LLVM instructions.
#pragma once

#include <llvm/IR/IRBuilder.h>

#include "ir/scalar.h"

namespace gradc::codegen {

llvm::Value* emit_elementary(llvm::IRBuilder<>& b, ScalarOp op, DType t, llvm::ArrayRef<llvm::Value*> args,
                             bool fma);

}  // namespace gradc::codegen
