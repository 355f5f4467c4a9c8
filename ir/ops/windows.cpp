// Windows: overlapping views along axes, and their adjoint. A convolution is a contraction over windows, its
// gradients are contractions over windows, pooling is a reduction over windows.
#include <algorithm>

#include "ir/ops/rows.h"
#include "ir/ops/window_spec.h"

namespace gradc::graph {
namespace {

using V = const GradientView&;

void check_numbers(const WindowSpec& w, const Type& x, size_t rank) {
  const size_t n = w.axes.size();
  if (n == 0 || w.sizes.size() != n || w.strides.size() != n || w.dilations.size() != n)
    refuse("windows of {} need a size, a stride and a dilation for each of their axes", x.str());
  for (size_t i = 0; i < n; ++i) {
    if (w.axes[i] < 0 || w.axes[i] >= static_cast<int64_t>(rank) || (i && w.axes[i] <= w.axes[i - 1]))
      refuse("windows of {} along axis {}: axes ascend and exist", x.str(), w.axes[i]);
    // Bounded, so that no span or position overflows.
    for (int64_t value : {w.sizes[i], w.strides[i], w.dilations[i]})
      if (value < 1 || value > kMaxWindow)
        refuse("windows of {} along axis {}: size {}, stride {}, dilation {} lie between 1 and {}", x.str(),
               w.axes[i], w.sizes[i], w.strides[i], w.dilations[i], kMaxWindow);
  }
}

OpDef windows() {
  OpDef r =
      one_operand("windows",
                  "views of `window` elements along axes, `stride` apart, their elements `dilation` apart; "
                  "element [.., i, u, ..] is x[.., i * stride + u * dilation, ..]",
                  {"axes!", "window!", "stride!", "dilation!"});
  r.moves_masks = true;
  r.infer = [](const NodeView& v) {
    const WindowSpec w = window_spec(v.attrs);
    const Type& x = v.operands[0];
    check_numbers(w, x, x.shape.size());
    Shape shape = x.shape;
    for (size_t i = w.axes.size(); i-- > 0;) {
      Dim& extent = shape[static_cast<size_t>(w.axes[i])];
      if (can_be_negative(extent - w.span(i)))
        refuse("a window of {} elements, {} apart, spans {} and does not fit into axis {} of {}", w.sizes[i],
               w.dilations[i], w.span(i), w.axes[i], x.str());
      extent = w.count(i, extent);
      shape.insert(shape.begin() + w.axes[i] + 1, Dim(w.sizes[i]));
    }
    return std::vector<Type>{{x.dtype, shape}};
  };
  r.meaning = [](const NodeView& v, const Type& t) {
    const WindowSpec w = window_spec(v.attrs);
    std::vector<Index> at = identity(t.shape.size());
    for (size_t i = w.axes.size(); i-- > 0;) {
      const size_t a = w.window_axis(i) - 1;
      at[a] = at[a] * w.strides[i] + at[a + 1] * w.dilations[i];
      at.erase(at.begin() + static_cast<long>(a) + 1);
    }
    return moves(t, v.operands[0].dtype, at);
  };
  r.gradient = [](Builder& b, V v) {
    const WindowSpec w = window_spec(b[v.node].attrs);
    return Cotangents{overlap_add(b, v.g(), w, b.shape(v.operands[0]))};
  };
  return r;
}

// The t-th element of a window that may stand at a position, and the window's number.
struct Tap {
  Index window, element;
  Index distance;  // of the window from the first one, `scale` for each; there is none outside of all windows
  int64_t scale = 1, most = 0;
  std::vector<Index> also{};  // further guards
};
Tap tap_of(const WindowSpec& w, size_t i, const Index& position, const Index& t) {
  const int64_t stride = w.strides[i], size = w.sizes[i];
  if (stride > 1 && w.dilations[i] == 1) {  // one element of `stride` neighbours stands there
    const Index window = position.floor_div(stride) - t, element = position.mod(stride) + t * stride;
    Tap tap{window, element, window, 1, (size + stride - 1) / stride};
    if (size % stride != 0) tap.also.push_back(Index(size - 1) - element);
    return tap;
  }
  const Index from = position - t * w.dilations[i];
  Tap tap{from.floor_div(stride), t, from, stride, size};
  if (stride > 1) tap.also.push_back(Index(0) - from.mod(stride));
  return tap;
}

OpDef overlap_add() {
  OpDef r =
      one_operand("overlap_add",
                  "the adjoint of `windows`: element [.., p, ..] is the sum of all g[.., i, u, ..] with "
                  "i * stride + u * dilation = p, in ascending order of u; `extents` are those of the result",
                  {"axes!", "extents!", "window!", "stride!", "dilation!"});
  r.moves_masks = true;
  r.infer = [](const NodeView& v) {
    const WindowSpec w = window_spec(v.attrs);
    const Type& g = v.operands[0];
    const Shape& extents = v.attrs.shape("extents");
    const size_t n = w.axes.size();
    if (g.shape.size() < n || extents.size() != n)
      refuse("overlap_add of {} along {} axes needs an axis of windows and an extent for each", g.str(), n);
    check_numbers(w, g, g.shape.size() - n);
    Shape shape = g.shape;
    for (size_t i = n; i-- > 0;) {
      const size_t a = w.window_axis(i) - 1;
      if (can_be_negative(extents[i] - w.span(i)) || !(w.count(i, extents[i]) == shape[a]) ||
          !shape[a + 1].is(w.sizes[i]))
        refuse("overlap_add of {}: windows of {} along axis {} of {} elements are {}", g.str(), w.sizes[i],
               w.axes[i], extents[i].str(), w.count(i, extents[i]).str());
      shape[a] = extents[i];
      shape.erase(shape.begin() + static_cast<long>(a) + 1);
    }
    return std::vector<Type>{{g.dtype, shape}};
  };
  r.meaning = [](const NodeView& v, const Type& t) {
    const WindowSpec w = window_spec(v.attrs);
    const int rank = t.rank();
    Meaning m;
    m.axes = t.shape;
    m.outputs = rank;
    Read read{0, identity(static_cast<size_t>(rank)), {}, 0};
    for (size_t i = 0; i < w.axes.size(); ++i) {
      const size_t a = w.window_axis(i) - 1;
      const Tap tap = tap_of(w, i, read.at[a], Index::var(rank + static_cast<int>(i)));
      read.at[a] = tap.window;
      read.at.insert(read.at.begin() + static_cast<long>(a) + 1, tap.element);
      read.guards.push_back(tap.distance);
      read.guards.push_back((v.operands[0].shape[a] - 1) * tap.scale - tap.distance);
      read.guards.insert(read.guards.end(), tap.also.begin(), tap.also.end());
      m.axes.push_back(tap.most);
    }
    m.reads = {read};
    m.combine = t.dtype == DType::Bool ? Combiner::Or : Combiner::Add;
    m.accumulator = t.dtype;
    m.body = {read_node(0, t.dtype)};
    return m;
  };
  r.gradient = [](Builder& b, V v) { return Cotangents{windows(b, v.g(), window_spec(b[v.node].attrs))}; };
  return r;
}

}  // namespace

Dim WindowSpec::count(size_t i, const Dim& extent) const {
  return (extent - span(i)).floor_div(strides[i]) + 1;
}

WindowSpec window_spec(const Attrs& a) {
  return {a.integers("axes"), a.integers("window"), a.integers("stride"), a.integers("dilation")};
}

Attrs attributes(const WindowSpec& w) {
  return {{"axes", ints(w.axes)},
          {"window", ints(w.sizes)},
          {"stride", ints(w.strides)},
          {"dilation", ints(w.dilations)}};
}

NodeId windows(Builder& b, NodeId x, const WindowSpec& w) { return b.make("windows", {x}, attributes(w)); }

NodeId overlap_add(Builder& b, NodeId g, const WindowSpec& w, const Shape& to) {
  Shape extents;
  for (int64_t a : w.axes) extents.push_back(to[static_cast<size_t>(a)]);
  return b.make("overlap_add", {g}, attributes(w).with("extents", extents));
}

std::vector<OpDef> window_ops() { return {windows(), overlap_add()}; }

}  // namespace gradc::graph
