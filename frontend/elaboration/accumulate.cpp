// Sums over the batches of a split, which are finished once: accumulators, rows that are kept, first numbers.
#include <algorithm>
#include <utility>

#include "frontend/elaboration/elaborator.h"
#include "support/check.h"

namespace gradc::frontend {

using Kind = Value::Kind;

bool Elaborator::has_batch(const Shape& shape) const {
  for (const Dim& d : shape) {
    std::map<std::string, int> names;
    d.collect_dims(names);
    if (names.count(batch_dim) != 0) return true;
  }
  return false;
}

// Adds a tensor's value over all batches of a split: a slice of the sums of this function, and of the sums
// that the finishing function reads.
Value Elaborator::accumulate(const Value& sum, Loc loc) {
  if (!sum.is(Kind::Tensor)) fail(loc, fmt::format("{} cannot be accumulated", describe(sum)));
  const Shape to = shape(sum);
  const Dim count = element_count(to);
  if (!count.is_constant())
    fail(loc, fmt::format("{} has no constant size to be accumulated in", describe(sum)));
  const int64_t n = count.constant_part(), from = accumulated;
  accumulators.push_back(b_.reshape(b_.convert(sum.node, DType::F64), {Dim(n)}));
  accumulated += n;
  return wrap(finish_.reshape(finish_.slice(sums_node, {Dim(from)}, {Dim(from + n)}), to), true);
}

Value Elaborator::all_rows(const Value& v, Loc loc) {
  if (!v.is(Kind::Tensor) || !deferring || rows_node == graph::kNone)
    fail(loc, fmt::format("all_rows keeps the rows of a split for a metric, {} is {}", describe(v),
                          v.is(Kind::Deferred) ? "of the whole split already" : "of one batch here"));
  const Shape from = shape(v);
  const Dim n = from.empty() ? Dim(0) : element_count(Shape(from.begin() + 1, from.end()));
  if (from.empty() || !(from[0] == Index::dim(batch_dim)) || !n.is_constant())
    fail(loc, fmt::format("all_rows takes a row of constant size for each of {}, {} has none", batch_dim,
                          describe(v)));
  const graph::NodeId part = b_.reshape(b_.convert(v.node, DType::F64), {from[0], n});
  Dim at = 0;
  for (graph::NodeId known : row_values) {
    if (known == part) break;
    at = at + b_.shape(known)[1];
  }
  if (std::find(row_values.begin(), row_values.end(), part) == row_values.end())
    row_values.push_back(part), row_columns += n.constant_part();
  const Dim rows = Dim::dim(kRowsDim);
  Shape to = from;
  to[0] = rows;
  return wrap(finish_.reshape(finish_.slice(rows_node, {0, at}, {rows, at + n}), to), true);
}

// In a metric that of the split's first batch, which the runtime hands on; elsewhere the tensor's own.
Value Elaborator::first_number(const Value& v, Loc loc) {
  const Value x = is_float(dtype(v)) ? v : convert(v, float_type(), loc);
  graph::Builder& b = of(x);
  const Shape from = shape(x);
  const DType t = dtype(x);
  Shape grown(from.size(), Dim(0));  // a batch may have no rows: there 0 is read
  for (size_t i = 0; i < from.size(); ++i) grown[i] = from[i].is_constant() ? 0 : 1;
  const graph::AttrValue none = graph::ints(std::vector<int64_t>(from.size(), 0));
  graph::NodeId n = x.node;
  if (std::any_of(grown.begin(), grown.end(), [](const Dim& d) { return d.is(1); }))
    n = b.make("pad", {n}, {{"low", none}, {"high", grown}, {"interior", none}, {"value", 0.0}});
  n = b.unary("stop_gradient", b.reshape(b.slice(n, Shape(from.size(), 0), Shape(from.size(), 1)), {}));
  if (!deferring || !x.is(Value::Kind::Tensor) || !has_batch(from))
    return wrap(n, x.is(Value::Kind::Deferred));
  n = b_.convert(n, DType::F64);
  auto it = std::find_if(shifts.begin(), shifts.end(), [&](const auto& s) { return s.first == n; });
  if (it == shifts.end()) {
    const Dim at(static_cast<int64_t>(shifts.size()));
    graph::NodeId used = n;
    if (shifts_node != graph::kNone) {
      const graph::NodeId given = b_.reshape(b_.slice(shifts_node, {at}, {at + 1}), {});
      used = b_.select(b_.unary("is_finite", given), given, n);
    }
    it = shifts.insert(shifts.end(), {n, used});
  }
  return wrap(b_.convert(it->second, t));
}

Value Elaborator::reduce(const std::string& op, const Value& v, std::vector<int64_t> axes, bool keep,
                         Loc loc) {
  if (!v.is_tensor()) return reduce(op, tensor(v, float_type(), loc), axes, keep, loc);
  graph::Builder& b = of(v);
  Value x = v;
  const Shape from = shape(v);
  if (axes.empty() && op != "argmax" && op != "argmin")
    for (size_t i = 0; i < from.size(); ++i) axes.push_back(static_cast<int64_t>(i));
  std::sort(axes.begin(), axes.end());
  Dim count = 1;
  Shape kept, with_ones = from;
  for (size_t i = 0; i < from.size(); ++i) {
    if (std::find(axes.begin(), axes.end(), static_cast<int64_t>(i)) != axes.end()) {
      count = count * from[i];
      with_ones[i] = 1;
    } else {
      kept.push_back(from[i]);
    }
  }
  const bool defer = deferring && v.is(Kind::Tensor) && has_batch(from) && !has_batch(kept);
  auto finished = [&](graph::NodeId n, bool deferred) {
    if (keep) n = (deferred ? finish_ : b_).reshape(n, with_ones);
    return wrap(n, deferred);
  };
  if (op == "argmax" || op == "argmin") {
    graph::NodeId n = b.make(op, {x.node}, {{"axes", graph::ints({axes.back()})}, {"dtype", DType::I32}});
    return finished(n, v.is(Kind::Deferred));
  }
  const DType t = dtype(x);
  if (op == "any" || op == "all") {
    if (t != DType::Bool) fail(loc, fmt::format("{} needs bool, {} is not", op, describe(v)));
    return finished(b.reduce(op == "any" ? "reduce_or" : "reduce_and", x.node, axes), v.is(Kind::Deferred));
  }
  if (op == "count") {
    if (defer) return accumulate(wrap(b_.dim_value(count, DType::F64)), loc);
    if (v.is(Kind::Deferred)) return wrap(finish_.dim_value(count, DType::F64), true);
    return Value::of(count);
  }
  if (defer && op != "sum" && op != "mean")
    fail(loc, fmt::format("a metric reduces over the batch by sum, mean or count, not {}", op));
  if (defer) {
    const Value total = accumulate(wrap(b_.sum(b_.convert(x.node, DType::F64), axes)), loc);
    const Value all =
        op == "sum" ? total : binary("/", total, accumulate(wrap(b_.dim_value(count, DType::F64)), loc), loc);
    return finished(all.node, true);
  }
  if (t == DType::Bool || (op == "mean" && !is_float(t)))
    x = convert(x, op == "sum" ? DType::I64 : float_type(), loc);
  else if (op == "sum" && is_integer(t))
    x = convert(x, DType::I64, loc);
  if (op == "mean") {
    const graph::NodeId total = b.sum(x.node, axes);
    const DType f = b.dtype(total);
    const graph::NodeId n = count.is_constant() ? b.constant(static_cast<double>(count.constant_part()), f)
                                                : b.convert(b.dim_value(count, DType::F64), f);
    return finished(b.div(total, b.splat(n, b.shape(total))), v.is(Kind::Deferred));
  }
  return finished(b.reduce("reduce_" + op, x.node, axes), v.is(Kind::Deferred));
}

}  // namespace gradc::frontend
