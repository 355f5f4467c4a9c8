// What an op computes, as an index expression: axes, guarded reads through index maps, a scalar body and a
// combiner. Interpreter, folding, cost, fusion legality and lowering are all derived from it.
#pragma once

#include <span>
#include <vector>

#include "ir/index.h"
#include "ir/scalar.h"
#include "ir/type.h"

namespace gradc {

// Element `at` of an operand. Variable v < axes.size() is axis v; variable axes.size() + r is the integer
// value of read r (r smaller than this read's number), clamped by the op's index map where it must be in
// range. When any guard is negative nothing is read and the value is `fill`.
struct Read {
  int operand = 0;
  std::vector<Index> at;
  std::vector<Index> guards;  // each must be >= 0
  double fill = 0;
};

enum class Combiner : uint8_t { None, Add, Mul, Max, Min, And, Or, ArgMax, ArgMin };

// How a reduction is ordered; docs/numerics.md has the rules and the error bounds.
enum class Order : uint8_t {
  Chain,     // from the identity or an initial value, ascending
  Lanes,     // element i of the innermost axis to lane i mod 64, then a fixed tree of strides
  Pairwise,  // one axis: neighbours are joined in pairs, their sums in pairs, and so on, by position
};

// Element (axes 0 .. outputs-1) of the result is: without combiner, the body; else the combination of the
// body over the remaining axes, in the order that `order` says, partial results being of the type
// `accumulator`, which the body has too; the result is converted from it once. An ArgMax or ArgMin gives the
// position along its single reduction axis, the first among equals (a NaN counts as larger than all, first).
struct Meaning {
  std::vector<Dim> axes;
  int outputs = 0;
  std::vector<Read> reads;
  ScalarBody body;
  std::vector<Index>
      values;  // what an Axis node numbered axes.size() + n stands for: an expression over the axes
  Combiner combine = Combiner::None;
  Order order = Order::Chain;
  DType accumulator = DType::F32;  // of a combiner that joins values
  std::vector<Index> where;  // over the axes: only terms for which all are >= 0 are joined; chains alone
  int initial =
      -1;  // read that starts the chain instead of the combiner's identity; it uses output axes only
  bool fma = false;  // the body's last node is a product that joins the accumulator with one rounding

  int reductions() const { return static_cast<int>(axes.size()) - outputs; }
};

inline constexpr int kLanes = 64;

// The part of the points of axes of these extents for which all conditions over them are >= 0; of many
// points, so many of them evenly spread that it is near.
double share_within(std::span<const Index> conditions, std::span<const int64_t> extents);

std::string_view name_of(Combiner c);
Literal identity_of(Combiner c, DType t);
ScalarOp joining(Combiner c);  // what joins two values; None, ArgMax and ArgMin join none

}  // namespace gradc
