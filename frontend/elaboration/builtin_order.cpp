// Running sums and products along an axis, and order along one.
#include "frontend/elaboration/builtin_args.h"
#include "ir/graph/op_def.h"

namespace gradc::frontend {
namespace {

using graph::NodeId;

// Along the batch a metric sees one batch of several.
int64_t axis_of_rows(const Args& a, const Value& x) {
  const Shape& from = a.e.shape(x);
  const int64_t axis = a.axis(static_cast<int64_t>(from.size()));
  if (a.e.deferring && x.is(Value::Kind::Tensor) && a.e.has_batch({from[static_cast<size_t>(axis)]}))
    a.e.fail(a.loc, fmt::format("a metric reduces over the batch by sum, mean or count, not {}", a.function));
  return axis;
}

Value positions(const Args& a, const Value& x, int64_t axis, bool descending) {
  const bool logical = a.e.dtype(x) == DType::Bool;
  const NodeId keys = logical ? a.e.of(x).convert(x.node, DType::U8) : x.node;
  graph::Attrs attrs{{"axis", axis}};
  if (descending) attrs = attrs.with("descending", true);
  return a.wrap(a.e.of(x).make("argsort", {keys}, attrs), x);
}

// x at positions along an axis, a gather of single elements: `at` has x's shape but for that axis.
Value elements(const Args& a, const Value& x, const Value& at, int64_t axis) {
  graph::Builder& b = a.e.of(x);
  const Shape from = a.e.shape(x), to = a.e.shape(at);
  NodeId place = graph::kNone;
  Dim stride = 1;
  for (size_t i = from.size(); i-- > 0;) {
    const NodeId along = static_cast<int64_t>(i) == axis ? b.convert(at.node, DType::I64)
                                                         : b.iota(to, static_cast<int>(i), DType::I64);
    const NodeId by = stride.is_constant()
                          ? b.constant(static_cast<double>(stride.constant_part()), DType::I64, to)
                          : b.splat(b.dim_value(stride), to);
    const NodeId term = stride.is(1) ? along : b.mul(along, by);
    place = place == graph::kNone ? term : b.add(place, term);
    stride = stride * from[i];
  }
  return a.wrap(b.make("gather", {b.reshape(x.node, {stride}), place}), x);
}

}  // namespace

// Integers are added up in i64, as `sum` does; what is no number is counted.
Value running(Args& a, const char* op) {
  Value x = a.tensor("x");
  const int64_t axis = axis_of_rows(a, x);
  const DType t = a.e.dtype(x);
  if (t == DType::Bool || (is_integer(t) && a.function == "cumsum")) x = a.e.convert(x, DType::I64, a.loc);
  graph::Attrs attrs{{"axis", axis}};
  for (const char* flag : {"reverse", "exclusive"})
    if (a.flag(flag)) attrs = attrs.with(flag, true);
  return a.wrap(a.e.of(x).make(op, {x.node}, attrs), x);
}

Value argsort(Args& a) {
  const Value x = a.tensor("x");
  return positions(a, x, axis_of_rows(a, x), a.flag("descending"));
}

Value sort(Args& a) {
  const Value x = a.tensor("x");
  const int64_t axis = axis_of_rows(a, x);
  return elements(a, x, positions(a, x, axis, a.flag("descending")), axis);
}

// The k largest along the last axis, the first of equals first, and where they stand.
Value top_k(Args& a) {
  const Value x = a.tensor("x");
  const int64_t axis = axis_of_rows(a, x), k = a.e.constant_int(a["k"], "k", a.loc);
  Shape to = a.e.shape(x);
  Dim& rows = to[static_cast<size_t>(axis)];
  if (k < 1 || graph::can_be_negative(rows - k))
    a.e.fail(a.loc,
             fmt::format("top_k of {} of {}: k lies between 1 and {}", k, a.e.describe(x), rows.str()));
  rows = k;
  const Value all = positions(a, x, axis, true);
  const Value at = a.wrap(a.e.of(x).slice(all.node, Shape(to.size(), Dim(0)), to), x);
  return Value::list({elements(a, x, at, axis), at});
}

}  // namespace gradc::frontend
