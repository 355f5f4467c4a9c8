// pad, windows and overlap_add: what convolutions, their transposes and pooling are made of.
#include <algorithm>

#include "frontend/elaboration/builtin_args.h"
#include "ir/ops/window_spec.h"

namespace gradc::frontend {
namespace {

using Kind = Value::Kind;

// The axes that `over` names, ascending, each with its place in the list.
std::vector<std::pair<int64_t, size_t>> axes_of(Args& a, int64_t rank) {
  const Value& over = a["over"];
  std::vector<std::pair<int64_t, size_t>> axes;
  const std::vector<Value> list = over.is(Kind::List) ? over.items : std::vector<Value>{over};
  axes.reserve(list.size());
  for (const Value& v : list) axes.emplace_back(a.axis(v, rank), axes.size());
  std::sort(axes.begin(), axes.end());
  for (size_t i = 1; i < axes.size(); ++i)
    if (axes[i].first == axes[i - 1].first)
      a.e.fail(a.loc, fmt::format("axis {} occurs twice", axes[i].first));
  return axes;
}

// One number for all of n axes, or a list of n.
std::vector<Value> each(Args& a, const std::string& name, size_t n, const Value& otherwise) {
  const Value v = a.has(name) ? a[name] : otherwise;
  if (!v.is(Kind::List)) return std::vector<Value>(n, v);
  if (v.items.size() != n)
    a.e.fail(a.loc, fmt::format("{}: {} has {} numbers for {} axes", a.function, name, v.items.size(), n));
  return v.items;
}

std::vector<int64_t> numbers(Args& a, const std::string& name, size_t n, int64_t otherwise) {
  std::vector<int64_t> out;
  for (const Value& v : each(a, name, n, Value::of(Index(otherwise)))) {
    out.push_back(a.e.constant_int(v, name, a.loc));
    if (out.back() < 1)
      a.e.fail(a.loc, fmt::format("{}: {} is {}, and is at least 1", a.function, name, out.back()));
  }
  return out;
}

std::vector<Dim> amounts(Args& a, const std::string& name, size_t n, const Value& otherwise) {
  std::vector<Dim> out;
  for (const Value& v : each(a, name, n, otherwise)) {
    if (!v.is(Kind::Integer) || (v.integer.is_constant() && v.integer.constant_part() < 0))
      a.e.fail(a.loc, fmt::format("pad: {} is a number of elements, not {}", name, a.e.describe(v)));
    out.push_back(v.integer);
  }
  return out;
}

}  // namespace

// `low` elements of `value` before, `high` behind along the axes `over`; high is low, value is 0 if absent.
Value pad(Args& a) {
  Value x = a.tensor("x");
  const size_t rank = a.e.shape(x).size();
  const auto axes = axes_of(a, static_cast<int64_t>(rank));
  const std::vector<Dim> low = amounts(a, "low", axes.size(), Value::of(Index(0)));
  const std::vector<Dim> high = amounts(a, "high", axes.size(), a["low"]);
  const Shape none(rank, Dim(0));
  Shape before = none, behind = none;
  for (const auto& [axis, i] : axes) before[axis] = low[i], behind[axis] = high[i];
  const double value = a.has("value") ? a.e.constant_real(a["value"], "value", a.loc) : 0;
  if (before == none && behind == none) return x;
  return a.wrap(a.e.of(x).make("pad", {x.node},
                               {{"low", before}, {"high", behind}, {"interior", none}, {"value", value}}),
                x);
}

// Views of `size` elements along the axes `over`, an axis each right behind theirs.
Value windows(Args& a) {
  Value x = a.tensor("x");
  const auto axes = axes_of(a, static_cast<int64_t>(a.e.shape(x).size()));
  const size_t n = axes.size();
  (void)a["size"];  // the one that has no default
  const std::vector<int64_t> size = numbers(a, "size", n, 1), stride = numbers(a, "stride", n, 1),
                             dilation = numbers(a, "dilation", n, 1);
  graph::WindowSpec w;
  for (const auto& [axis, i] : axes) {
    w.axes.push_back(axis);
    w.sizes.push_back(size[i]), w.strides.push_back(stride[i]), w.dilations.push_back(dilation[i]);
  }
  if (axes.empty()) return x;
  return a.wrap(graph::windows(a.e.of(x), x.node, w), x);
}

// The adjoint of `windows`: the axes `over` are those of the result, each with its windows right behind it in
// x. `extent` is what an axis of the result holds; the least that the windows cover if absent.
Value overlap_add(Args& a) {
  Value x = a.tensor("x");
  const Shape from = a.e.shape(x);
  const Value& over = a["over"];
  const size_t n = over.is(Kind::List) ? over.items.size() : 1;
  if (from.size() < 2 * n)
    a.e.fail(a.loc,
             fmt::format("overlap_add along {} axes needs an axis of windows behind each, {} has {} axes", n,
                         a.e.describe(x), from.size()));
  const auto axes = axes_of(a, static_cast<int64_t>(from.size() - n));
  if (axes.empty()) return x;
  const std::vector<int64_t> stride = numbers(a, "stride", n, 1), dilation = numbers(a, "dilation", n, 1);
  const bool given = a.has("extent");
  const std::vector<Value> extent = each(a, "extent", n, Value::of(Index(0)));
  graph::WindowSpec w;
  Shape to(from.size() - n, Dim(0));
  for (const auto& [axis, i] : axes) {
    const size_t at = static_cast<size_t>(axis) + w.axes.size();
    w.axes.push_back(axis);
    w.sizes.push_back(a.e.constant_int(Value::of(from[at + 1]), "the size of a window", a.loc));
    w.strides.push_back(stride[i]), w.dilations.push_back(dilation[i]);
    const Dim covered = (from[at] - 1) * stride[i] + w.span(w.axes.size() - 1);
    if (!extent[i].is(Kind::Integer))
      a.e.fail(a.loc,
               fmt::format("overlap_add: extent is a number of elements, not {}", a.e.describe(extent[i])));
    to[static_cast<size_t>(axis)] = given ? extent[i].integer : covered;
  }
  return a.wrap(graph::overlap_add(a.e.of(x), x.node, w, to), x);
}

}  // namespace gradc::frontend
