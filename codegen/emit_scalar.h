// Scalar operations to LLVM instructions, for scalars and vectors alike: the same operations in the same
// order as ir/interp/scalar_strips does them.
#pragma once

#include <llvm/IR/IRBuilder.h>

#include "ir/scalar.h"

namespace gradc::codegen {

llvm::Type* scalar_type(llvm::LLVMContext& c, DType t);  // of a value; bool is i1
llvm::Type* memory_type(llvm::LLVMContext& c, DType t);  // in memory; bool is i8

// op over operands that all are scalars or all are vectors of one width. `operand` is their element type.
llvm::Value* emit_scalar(llvm::IRBuilder<>& b, ScalarOp op, DType result, DType operand,
                         llvm::ArrayRef<llvm::Value*> args, bool fma);
llvm::Constant* emit_literal(llvm::LLVMContext& c, DType t, const Literal& l);

}  // namespace gradc::codegen
