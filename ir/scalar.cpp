#include "ir/scalar.h"

#include <array>

namespace gradc {
namespace {

using enum ScalarRule;
constexpr ScalarOpDef kOps[] = {
    {ScalarOp::Const, "const", 0, Leaf, "a constant"},
    {ScalarOp::Axis, "axis", 0, Leaf, "the position along an axis, i64"},
    {ScalarOp::Read, "read", 0, Leaf, "an element of an operand"},
    {ScalarOp::Neg, "neg", 1, Number, "-x"},
    {ScalarOp::Abs, "abs", 1, Number, "|x|"},
    {ScalarOp::Sqrt, "sqrt", 1, Float, "square root"},
    {ScalarOp::Floor, "floor", 1, Float, "largest integer not above x"},
    {ScalarOp::Ceil, "ceil", 1, Float, "smallest integer not below x"},
    {ScalarOp::RoundEven, "round_even", 1, Float, "nearest integer, ties to even"},
    {ScalarOp::Sign, "sign", 1, Number, "-1, 0 or 1; NaN for NaN"},
    {ScalarOp::IsFinite, "is_finite", 1, Predicate, "neither infinite nor NaN"},
    {ScalarOp::Not, "not", 1, Integer, "complement"},
    {ScalarOp::Convert, "convert", 1, Cast, "the value in another type; to integer saturates, NaN gives 0"},
    {ScalarOp::Bitcast, "bitcast", 1, Cast, "the bits as another type of the same size"},
    {ScalarOp::Uniform, "uniform", 1, Cast, "random i64 bits as a float in [0, 1)"},
    {ScalarOp::Add, "add", 2, Number, "a + b"},
    {ScalarOp::Sub, "sub", 2, Number, "a - b"},
    {ScalarOp::Mul, "mul", 2, Number, "a * b"},
    {ScalarOp::Div, "div", 2, Number, "a / b; integers truncate, x / 0 is 0"},
    {ScalarOp::Max, "max", 2, Number, "IEEE maximum: NaN wins, +0 is above -0"},
    {ScalarOp::Min, "min", 2, Number, "IEEE minimum: NaN wins, -0 is below +0"},
    {ScalarOp::And, "and", 2, Integer, "bitwise and"},
    {ScalarOp::Or, "or", 2, Integer, "bitwise or"},
    {ScalarOp::Xor, "xor", 2, Integer, "bitwise exclusive or"},
    {ScalarOp::ShiftLeft, "shift_left", 2, Integer, "a << b; 0 for b outside the width"},
    {ScalarOp::ShiftRight, "shift_right", 2, Integer, "a >> b, logical; 0 for b outside the width"},
    {ScalarOp::Eq, "eq", 2, Compare, "a == b"},
    {ScalarOp::Ne, "ne", 2, Compare, "a != b"},
    {ScalarOp::Lt, "lt", 2, Compare, "a < b"},
    {ScalarOp::Le, "le", 2, Compare, "a <= b"},
    {ScalarOp::Gt, "gt", 2, Compare, "a > b"},
    {ScalarOp::Ge, "ge", 2, Compare, "a >= b"},
    {ScalarOp::RngBits, "rng_fold", 2, Bits, "the random bits that a key gives for a counter"},
    {ScalarOp::Fma, "fma", 3, Float, "a * b + c with one rounding"},
    {ScalarOp::Select, "select", 3, Choose, "b where a, else c"},
#define GRADC_ROW(Op, name, operands, rule, doc, ...) {ScalarOp::Op, #name, operands, rule, doc, true},
    GRADC_ELEMENTARY_FUNCTIONS(GRADC_ROW)
#undef GRADC_ROW
};

constexpr bool in_order() {
  for (size_t i = 0; i < std::size(kOps); ++i)
    if (static_cast<size_t>(kOps[i].op) != i) return false;
  return true;
}
static_assert(in_order(), "rows stand in enum order");

}  // namespace

std::span<const ScalarOpDef> scalar_ops() { return kOps; }

std::optional<ScalarOp> scalar_op_named(std::string_view name) {
  for (const ScalarOpDef& d : kOps)
    if (d.name == name) return d.op;
  return std::nullopt;
}

std::optional<DType> infer_scalar(ScalarOp op, std::span<const DType> t) {
  const ScalarOpDef& d = def_of(op);
  if (static_cast<int>(t.size()) != d.arity || d.arity == 0) return std::nullopt;
  const bool same = t.size() < 2 || (t[0] == t[1] && (t.size() < 3 || t[1] == t[2]));
  switch (d.rule) {
    case Float:
      return same && is_float(t[0]) ? std::optional(t[0]) : std::nullopt;
    case Number:
      return same && t[0] != DType::Bool ? std::optional(t[0]) : std::nullopt;
    case Integer:
      return same && !is_float(t[0]) ? std::optional(t[0]) : std::nullopt;
    case Compare:
      return same ? std::optional(DType::Bool) : std::nullopt;
    case Predicate:
      return is_float(t[0]) ? std::optional(DType::Bool) : std::nullopt;
    case Choose:
      return t[0] == DType::Bool && t[1] == t[2] ? std::optional(t[1]) : std::nullopt;
    case Bits:
      return same && t[0] == DType::I64 ? std::optional(DType::I64) : std::nullopt;
    default:
      return std::nullopt;
  }
}

Literal literal(DType t, double value) {
  Literal l;
  if (is_float(t))
    l.f = t == DType::F32 ? static_cast<double>(static_cast<float>(value)) : value;
  else if (t == DType::Bool)
    l.i = value != 0;
  else
    l.i = static_cast<int64_t>(value);
  return l;
}

}  // namespace gradc
