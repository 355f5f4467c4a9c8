#include "codegen/emit_elementary.h"

#include <llvm/IR/Intrinsics.h>

#include "ir/math/elementary.h"

namespace gradc::codegen {
namespace {

using LValue = llvm::Value*;

// The algebra of ir/math/algebra.h over LLVM values, scalars or vectors of the shape of `like`.
template <bool F64>
struct LlvmAlgebra {
  using F = LValue;
  using I = LValue;
  using B = LValue;
  static constexpr bool is_f64 = F64;

  llvm::IRBuilder<>& b;
  llvm::Type *floats, *ints;
  bool fused;

  LlvmAlgebra(llvm::IRBuilder<>& builder, llvm::Type* like, bool fma) : b(builder), floats(like), fused(fma) {
    llvm::Type* i = F64 ? b.getInt64Ty() : b.getInt32Ty();
    auto* v = llvm::dyn_cast<llvm::VectorType>(like);
    ints = v ? llvm::VectorType::get(i, v->getElementCount()) : i;
  }
  F c(double v) {
    return llvm::ConstantFP::get(floats, F64 ? v : static_cast<double>(static_cast<float>(v)));
  }
  I ci(int64_t v) { return llvm::ConstantInt::getSigned(ints, F64 ? v : static_cast<int32_t>(v)); }
  F add(F x, F y) { return b.CreateFAdd(x, y); }
  F sub(F x, F y) { return b.CreateFSub(x, y); }
  F mul(F x, F y) { return b.CreateFMul(x, y); }
  F div(F x, F y) { return b.CreateFDiv(x, y); }
  F neg(F x) { return b.CreateFNeg(x); }
  F abs(F x) { return b.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, x); }
  F sqrt(F x) { return b.CreateUnaryIntrinsic(llvm::Intrinsic::sqrt, x); }
  F mad(F x, F y, F z) {
    return fused ? b.CreateIntrinsic(llvm::Intrinsic::fma, {floats}, {x, y, z})
                 : b.CreateFAdd(b.CreateFMul(x, y), z);
  }
  F round_even(F x) { return b.CreateUnaryIntrinsic(llvm::Intrinsic::roundeven, x); }
  F trunc(F x) { return b.CreateUnaryIntrinsic(llvm::Intrinsic::trunc, x); }
  I to_int(F x) { return b.CreateFPToSI(x, ints); }
  F to_float(I x) { return b.CreateSIToFP(x, floats); }
  I bits(F x) { return b.CreateBitCast(x, ints); }
  F from_bits(I x) { return b.CreateBitCast(x, floats); }
  I iadd(I x, I y) { return b.CreateAdd(x, y); }
  I isub(I x, I y) { return b.CreateSub(x, y); }
  I iand(I x, I y) { return b.CreateAnd(x, y); }
  I ior(I x, I y) { return b.CreateOr(x, y); }
  I shl(I x, int n) { return b.CreateShl(x, ci(n)); }
  I sar(I x, int n) { return b.CreateAShr(x, ci(n)); }
  B lt(F x, F y) { return b.CreateFCmpOLT(x, y); }
  B gt(F x, F y) { return b.CreateFCmpOGT(x, y); }
  B ge(F x, F y) { return b.CreateFCmpOGE(x, y); }
  B eq(F x, F y) { return b.CreateFCmpOEQ(x, y); }
  B ne(F x, F y) { return b.CreateFCmpUNE(x, y); }
  B ieq(I x, I y) { return b.CreateICmpEQ(x, y); }
  B both(B x, B y) { return b.CreateAnd(x, y); }
  B either(B x, B y) { return b.CreateOr(x, y); }
  F select(B p, F x, F y) { return b.CreateSelect(p, x, y); }
  llvm::Type* wide_floats() const {
    auto* v = llvm::dyn_cast<llvm::VectorType>(floats);
    return v ? llvm::VectorType::get(b.getDoubleTy(), v->getElementCount()) : b.getDoubleTy();
  }
  LlvmAlgebra<true> wide() { return {b, wide_floats(), fused}; }
  LValue widen(F x) { return b.CreateFPExt(x, wide_floats()); }
  F narrow(LValue x) { return b.CreateFPTrunc(x, floats); }
};

template <bool F64>
LValue emit(llvm::IRBuilder<>& b, ScalarOp op, llvm::ArrayRef<LValue> args, bool fma) {
  LlvmAlgebra<F64> a(b, args[0]->getType(), fma);
  LValue result = nullptr;
  math::with_elementary(op, [&](auto function, auto operands) {
    if constexpr (operands == 1)
      result = function(a, args[0]);
    else
      result = function(a, args[0], args[1]);
  });
  return result;
}

}  // namespace

LValue emit_elementary(llvm::IRBuilder<>& b, ScalarOp op, DType t, llvm::ArrayRef<LValue> args, bool fma) {
  return t == DType::F64 ? emit<true>(b, op, args, fma) : emit<false>(b, op, args, fma);
}

}  // namespace gradc::codegen
