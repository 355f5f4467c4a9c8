#include "codegen/emit_scalar.h"

#include <llvm/IR/Intrinsics.h>
#include <llvm/IR/Module.h>
#include <llvm/TargetParser/Triple.h>

#include "codegen/emit_elementary.h"
#include "support/check.h"

namespace gradc::codegen {
namespace {

using llvm::Value;
using B = llvm::IRBuilder<>;

llvm::Type* shaped(llvm::Type* element, const Value* like) {
  auto* v = llvm::dyn_cast<llvm::VectorType>(like->getType());
  return v ? llvm::VectorType::get(element, v->getElementCount()) : element;
}
Value* constant(const Value* like, llvm::Type* element, double value) {
  llvm::Type* t = shaped(element, like);
  return element->isFloatingPointTy()
             ? llvm::ConstantFP::get(t, value)
             : static_cast<Value*>(llvm::ConstantInt::getSigned(t, static_cast<int64_t>(value)));
}
Value* zero(const Value* like) { return llvm::Constant::getNullValue(like->getType()); }

Value* compare(B& b, ScalarOp op, DType t, Value* x, Value* y) {
  using P = llvm::CmpInst;
  const int i = static_cast<int>(op) - static_cast<int>(ScalarOp::Eq);
  static constexpr P::Predicate floats[] = {P::FCMP_OEQ, P::FCMP_UNE, P::FCMP_OLT,
                                            P::FCMP_OLE, P::FCMP_OGT, P::FCMP_OGE};
  static constexpr P::Predicate sints[] = {P::ICMP_EQ,  P::ICMP_NE,  P::ICMP_SLT,
                                           P::ICMP_SLE, P::ICMP_SGT, P::ICMP_SGE};
  static constexpr P::Predicate uints[] = {P::ICMP_EQ,  P::ICMP_NE,  P::ICMP_ULT,
                                           P::ICMP_ULE, P::ICMP_UGT, P::ICMP_UGE};
  if (is_float(t)) return b.CreateFCmp(floats[i], x, y);
  return b.CreateICmp(t == DType::U8 || t == DType::Bool ? uints[i] : sints[i], x, y);
}

// Total: x / 0 and x rem 0 are 0, the smallest integer over -1 wraps.
Value* integer_division(B& b, DType t, Value* x, Value* y, bool remainder) {
  Value* by_zero = b.CreateICmpEQ(y, zero(y));
  Value* one = llvm::ConstantInt::get(y->getType(), 1);
  if (t == DType::U8) {
    Value* safe = b.CreateSelect(by_zero, one, y);
    Value* q = remainder ? b.CreateURem(x, safe) : b.CreateUDiv(x, safe);
    return b.CreateSelect(by_zero, zero(x), q);
  }
  Value* minus = b.CreateICmpEQ(y, llvm::Constant::getAllOnesValue(y->getType()));
  Value* safe = b.CreateSelect(b.CreateOr(by_zero, minus), one, y);
  Value* q = remainder ? b.CreateSRem(x, safe) : b.CreateSDiv(x, safe);
  Value* for_minus = remainder ? zero(x) : b.CreateNeg(x);
  return b.CreateSelect(by_zero, zero(x), b.CreateSelect(minus, for_minus, q));
}

Value* shift(B& b, ScalarOp op, Value* x, Value* y) {
  const unsigned width = x->getType()->getScalarSizeInBits();
  Value* inside = b.CreateICmpULT(y, llvm::ConstantInt::get(y->getType(), width));
  if (width == 1) return b.CreateAnd(x, b.CreateNot(y));
  Value* amount = b.CreateSelect(inside, y, zero(y));
  return b.CreateSelect(inside, op == ScalarOp::ShiftLeft ? b.CreateShl(x, amount) : b.CreateLShr(x, amount),
                        zero(x));
}

Value* mix64(B& b, Value* z) {
  auto k = [&](uint64_t c) { return llvm::ConstantInt::get(z->getType(), c); };
  auto fold = [&](Value* v, int n) { return b.CreateXor(v, b.CreateLShr(v, k(static_cast<uint64_t>(n)))); };
  z = b.CreateMul(fold(z, 30), k(0xBF58476D1CE4E5B9ULL));
  z = b.CreateMul(fold(z, 27), k(0x94D049BB133111EBULL));
  return fold(z, 31);
}

Value* rng_bits(B& b, Value* key, Value* counter) {
  Value* next = b.CreateAdd(counter, llvm::ConstantInt::get(counter->getType(), 1));
  return mix64(
      b, b.CreateAdd(key, b.CreateMul(next, llvm::ConstantInt::get(next->getType(), 0x9E3779B97F4A7C15ULL))));
}

Value* uniform(B& b, DType t, Value* bits) {
  const bool wide = t == DType::F64;
  Value* top = b.CreateLShr(bits, llvm::ConstantInt::get(bits->getType(), wide ? 11 : 40));
  llvm::Type* f = scalar_type(b.getContext(), t);
  return b.CreateFMul(b.CreateUIToFP(top, shaped(f, bits)), constant(bits, f, wide ? 0x1p-53 : 0x1p-24));
}

Value* convert(B& b, DType to, DType from, Value* x) {
  llvm::Type* t = shaped(scalar_type(b.getContext(), to), x);
  if (to == from) return x;
  if (to == DType::Bool) return is_float(from) ? b.CreateFCmpUNE(x, zero(x)) : b.CreateICmpNE(x, zero(x));
  const bool unsigned_from = from == DType::U8 || from == DType::Bool;
  if (is_float(to)) {
    if (is_float(from)) return b.CreateFPCast(x, t);
    return unsigned_from ? b.CreateUIToFP(x, t) : b.CreateSIToFP(x, t);
  }
  if (is_float(from))
    return b.CreateIntrinsic(to == DType::U8 ? llvm::Intrinsic::fptoui_sat : llvm::Intrinsic::fptosi_sat,
                             {t, x->getType()}, {x});
  return unsigned_from ? b.CreateZExtOrTrunc(x, t) : b.CreateSExtOrTrunc(x, t);
}

// All NaNs count as equal, so they look the same to operations on bits. A bool is a byte of 0 or 1.
Value* bitcast(B& b, DType to, DType from, Value* x) {
  if (to != from && to == DType::Bool) return b.CreateICmpNE(x, zero(x));
  if (to != from && from == DType::Bool) return b.CreateZExt(x, shaped(scalar_type(b.getContext(), to), x));
  if (is_float(from)) {
    Value* nan = b.CreateFCmpUNO(x, x);
    x = b.CreateSelect(nan, llvm::ConstantFP::getNaN(x->getType()), x);
  }
  return b.CreateBitCast(x, shaped(scalar_type(b.getContext(), to), x));
}

Value* sign(B& b, DType t, Value* x) {
  llvm::Type* e = x->getType()->getScalarType();
  Value *one = constant(x, e, 1), *minus = constant(x, e, -1);
  if (t == DType::U8) return b.CreateSelect(b.CreateICmpNE(x, zero(x)), one, x);
  if (!is_float(t))
    return b.CreateSelect(b.CreateICmpSGT(x, zero(x)), one,
                          b.CreateSelect(b.CreateICmpSLT(x, zero(x)), minus, x));
  return b.CreateSelect(b.CreateFCmpOGT(x, zero(x)), one,
                        b.CreateSelect(b.CreateFCmpOLT(x, zero(x)), minus, x));
}

Value* one_operand(B& b, ScalarOp op, DType to, DType from, Value* x) {
  const bool f = is_float(from);
  using llvm::Intrinsic::ID;
  switch (op) {
    case ScalarOp::Neg:
      return f ? b.CreateFNeg(x) : b.CreateNeg(x);
    case ScalarOp::Abs:
      if (f) return b.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, x);
      return from == DType::U8 ? x : b.CreateBinaryIntrinsic(llvm::Intrinsic::abs, x, b.getFalse());
    case ScalarOp::Sqrt:
      return b.CreateUnaryIntrinsic(llvm::Intrinsic::sqrt, x);
    case ScalarOp::Floor:
      return b.CreateUnaryIntrinsic(llvm::Intrinsic::floor, x);
    case ScalarOp::Ceil:
      return b.CreateUnaryIntrinsic(llvm::Intrinsic::ceil, x);
    case ScalarOp::RoundEven:
      return b.CreateUnaryIntrinsic(llvm::Intrinsic::roundeven, x);
    case ScalarOp::Sign:
      return sign(b, from, x);
    case ScalarOp::IsFinite: {
      Value* a = b.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, x);
      return b.CreateFCmpOLT(a, llvm::ConstantFP::getInfinity(x->getType()));
    }
    case ScalarOp::Not:
      return b.CreateNot(x);
    case ScalarOp::Convert:
      return convert(b, to, from, x);
    case ScalarOp::Bitcast:
      return bitcast(b, to, from, x);
    case ScalarOp::Uniform:
      return uniform(b, to, x);
    default:
      GRADC_CHECK(false, "no instructions for {}", def_of(op).name);
  }
}

// The larger or smaller of two numbers, NaN if one is none, with -0 before 0. x86 has instructions that give
// the second operand where one is NaN and where both are zeros. Both orders of operands together say what is
// meant, without the masks that make a chain of llvm.maximum long: their bits by `or` are NaN where one is,
// and -0 where a zero is; less what they differ in, the larger zero is 0.
Value* extreme(B& b, bool larger, Value* x, Value* y) {
  const llvm::Triple triple(b.GetInsertBlock()->getModule()->getTargetTriple());
  const bool known = llvm::isa<llvm::Constant>(x) || llvm::isa<llvm::Constant>(y);
  if (!triple.isX86() || known || !x->getType()->isVectorTy())
    return b.CreateBinaryIntrinsic(larger ? llvm::Intrinsic::maximum : llvm::Intrinsic::minimum, x, y);
  llvm::Type* bits = x->getType()->getWithNewType(b.getIntNTy(x->getType()->getScalarSizeInBits()));
  const auto one = [&](Value* p, Value* q) {
    Value* first = larger ? b.CreateFCmpOGT(p, q) : b.CreateFCmpOLT(p, q);
    return b.CreateBitCast(b.CreateSelect(first, p, q), bits);
  };
  Value *xy = one(x, y), *yx = one(y, x);
  Value* both = b.CreateBitCast(b.CreateOr(xy, yx), x->getType());
  return larger ? b.CreateFSub(both, b.CreateBitCast(b.CreateXor(xy, yx), x->getType())) : both;
}

Value* two_operands(B& b, ScalarOp op, DType t, Value* x, Value* y) {
  const bool f = is_float(t);
  switch (op) {
    case ScalarOp::Add:
      return f ? b.CreateFAdd(x, y) : b.CreateAdd(x, y);
    case ScalarOp::Sub:
      return f ? b.CreateFSub(x, y) : b.CreateSub(x, y);
    case ScalarOp::Mul:
      return f ? b.CreateFMul(x, y) : b.CreateMul(x, y);
    case ScalarOp::Div:
      return f ? b.CreateFDiv(x, y) : integer_division(b, t, x, y, false);
    case ScalarOp::Rem:
      return integer_division(b, t, x, y, true);
    case ScalarOp::Max:
      if (f) return extreme(b, true, x, y);
      return b.CreateBinaryIntrinsic(t == DType::U8 ? llvm::Intrinsic::umax : llvm::Intrinsic::smax, x, y);
    case ScalarOp::Min:
      if (f) return extreme(b, false, x, y);
      return b.CreateBinaryIntrinsic(t == DType::U8 ? llvm::Intrinsic::umin : llvm::Intrinsic::smin, x, y);
    case ScalarOp::And:
      return b.CreateAnd(x, y);
    case ScalarOp::Or:
      return b.CreateOr(x, y);
    case ScalarOp::Xor:
      return b.CreateXor(x, y);
    case ScalarOp::ShiftLeft:
    case ScalarOp::ShiftRight:
      return shift(b, op, x, y);
    case ScalarOp::RngBits:
      return rng_bits(b, x, y);
    default:
      return compare(b, op, t, x, y);
  }
}

}  // namespace

llvm::Type* scalar_type(llvm::LLVMContext& c, DType t) {
  switch (t) {
    case DType::Bool:
      return llvm::Type::getInt1Ty(c);
    case DType::U8:
      return llvm::Type::getInt8Ty(c);
    case DType::I32:
      return llvm::Type::getInt32Ty(c);
    case DType::I64:
      return llvm::Type::getInt64Ty(c);
    case DType::F32:
      return llvm::Type::getFloatTy(c);
    default:
      return llvm::Type::getDoubleTy(c);
  }
}
llvm::Type* memory_type(llvm::LLVMContext& c, DType t) {
  return t == DType::Bool ? llvm::Type::getInt8Ty(c) : scalar_type(c, t);
}

llvm::Constant* emit_literal(llvm::LLVMContext& c, DType t, const Literal& l) {
  if (is_float(t)) return llvm::ConstantFP::get(scalar_type(c, t), l.f);
  return llvm::ConstantInt::get(scalar_type(c, t), static_cast<uint64_t>(l.i), true);
}

Value* emit_scalar(B& b, ScalarOp op, DType result, DType operand, llvm::ArrayRef<Value*> args, bool fma) {
  if (def_of(op).elementary && is_float(operand)) return emit_elementary(b, op, operand, args, fma);
  switch (def_of(op).arity) {
    case 1:
      return one_operand(b, op, result, operand, args[0]);
    case 2:
      return two_operands(b, op, operand, args[0], args[1]);
    default:
      break;
  }
  if (op == ScalarOp::Select) return b.CreateSelect(args[0], args[1], args[2]);
  GRADC_CHECK(op == ScalarOp::Fma, "no instructions for {}", def_of(op).name);
  if (!fma) return b.CreateFAdd(b.CreateFMul(args[0], args[1]), args[2]);
  return b.CreateIntrinsic(llvm::Intrinsic::fma, {args[0]->getType()}, {args[0], args[1], args[2]});
}

}  // namespace gradc::codegen
