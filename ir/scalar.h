// Scalar operations, the vocabulary that graph meanings, kernels, interpreters and code generation share.
// All are total: integers wrap, x / 0 is 0 for integers, float to integer saturates with NaN to 0, oversized
// shifts give 0, max and min are IEEE maximum and minimum.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "ir/dtype.h"
#include "ir/math/functions.h"

namespace gradc {

enum class ScalarOp : uint8_t {
  // leaves
  Const,
  Axis,
  Read,
  // one operand
  Neg,
  Abs,
  Sqrt,
  Floor,
  Ceil,
  RoundEven,
  Sign,
  IsFinite,
  Not,
  Convert,
  Bitcast,
  Uniform,
  // two operands
  Add,
  Sub,
  Mul,
  Div,
  Max,
  Min,
  And,
  Or,
  Xor,
  ShiftLeft,
  ShiftRight,
  Eq,
  Ne,
  Lt,
  Le,
  Gt,
  Ge,
  RngBits,
  // three operands
  Fma,
  Select,
// one operand or two, of ir/math
#define GRADC_ROW(Op, ...) Op,
  GRADC_ELEMENTARY_FUNCTIONS(GRADC_ROW)
#undef GRADC_ROW
};

enum class ScalarRule : uint8_t {
  Leaf,       // typed by the node itself
  Float,      // float -> same
  Number,     // float or integer -> same
  Integer,    // integer or bool -> same
  Compare,    // two of the same type -> bool
  Predicate,  // float -> bool
  Cast,       // any -> the node's type
  Choose,     // bool, T, T -> T
  Bits,       // i64 key, i64 counter -> i64
};

struct ScalarOpDef {
  ScalarOp op;
  std::string_view name;  // as in graph and kernel text
  int arity;
  ScalarRule rule;
  std::string_view doc;
  bool elementary = false;  // on floats it is an algorithm of ir/math/elementary.h
};

// In enum order.
std::span<const ScalarOpDef> scalar_ops();
inline const ScalarOpDef& def_of(ScalarOp op) { return scalar_ops()[static_cast<size_t>(op)]; }
std::optional<ScalarOp> scalar_op_named(std::string_view name);
// The result type for operand types, or nothing where the rule forbids them. Leaves and casts: not here.
std::optional<DType> infer_scalar(ScalarOp op, std::span<const DType> operands);

// A constant of any element type; floats are kept as f64 and rounded once, integers as i64, bool as 0 or 1.
struct Literal {
  double f = 0;
  int64_t i = 0;
  bool operator==(const Literal&) const = default;
};
Literal literal(DType t, double value);

// A straight-line scalar function: node n may use nodes before n.
struct ScalarNode {
  ScalarOp op = ScalarOp::Const;
  DType dtype = DType::F32;
  std::array<int, 3> args{-1, -1, -1};
  int index = 0;  // Axis: which axis; Read: which read
  Literal value;  // Const
};
using ScalarBody = std::vector<ScalarNode>;  // the last node is the result

}  // namespace gradc
