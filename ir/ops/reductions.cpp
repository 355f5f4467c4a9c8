// Reductions: axes combined away in logical order. `order` says how they associate, `accumulator` in which
// type (docs/numerics.md).
#include <algorithm>

#include "ir/ops/doubling.h"
#include "ir/ops/rows.h"

namespace gradc::graph {
namespace {

using V = const GradientView&;

std::vector<int64_t> kept_axes(const Shape& shape, const std::vector<int64_t>& axes) {
  std::vector<int64_t> kept;
  for (int64_t a = 0; a < static_cast<int64_t>(shape.size()); ++a)
    if (std::find(axes.begin(), axes.end(), a) == axes.end()) kept.push_back(a);
  return kept;
}

Shape reduced_shape(const NodeView& v) {
  const std::vector<int64_t> axes = v.attrs.integers("axes");
  const Type& x = v.operands[0];
  for (size_t i = 0; i < axes.size(); ++i)
    if (axes[i] < 0 || axes[i] >= x.rank() || (i && axes[i] <= axes[i - 1]))
      refuse("reduction of {} over axis {}", x.str(), axes[i]);
  Shape shape;
  for (int64_t a : kept_axes(x.shape, axes)) shape.push_back(x.shape[a]);
  return shape;
}

// The association that numerics writes: lanes need a last axis of constant extent, pairs a single axis.
void check_order(const NodeView& v) {
  if (!v.attrs.has("order")) return;
  const std::string& order = v.attrs.text("order");
  const std::vector<int64_t> axes = v.attrs.integers("axes");
  const Type& x = v.operands[0];
  const bool lanes = !axes.empty() && x.shape[axes.back()].is_constant();
  if (order != "chain" && !(order == "lanes" && lanes) && !(order == "pairwise" && axes.size() == 1))
    refuse(
        "order=\"{}\" is no order of reducing {} over {}: chain, lanes where the last of the axes "
        "has a constant extent, or pairwise along one axis",
        order, x.str(), str(v.attrs.shape("axes")));
}

Meaning reduction(const NodeView& v, const Type& result, Combiner c) {
  const Type& x = v.operands[0];
  const std::vector<int64_t> axes = v.attrs.integers("axes"), kept = kept_axes(x.shape, axes);
  Meaning m;
  m.axes = result.shape;
  m.outputs = result.rank();
  std::vector<Index> at(x.shape.size());
  for (size_t i = 0; i < kept.size(); ++i) at[kept[i]] = Index::var(static_cast<int>(i));
  for (int64_t a : axes) {
    at[a] = Index::var(static_cast<int>(m.axes.size()));
    m.axes.push_back(x.shape[a]);
  }
  m.reads = {{0, at, {}, 0}};
  if (m.reductions() == 0) {  // over no axes it is the operand
    m.body = {read_node(0, x.dtype)};
    return m;
  }
  m.combine = c;
  m.order = order_of(v.attrs);
  m.accumulator = accumulator_of(v);
  push_read(m.body, 0, x.dtype, m.accumulator);
  return m;
}

template <Combiner C>
OpDef row(std::string_view name, std::string_view doc) {
  OpDef r;
  r.name = name;
  r.doc = doc;
  r.attributes = {"axes!", "order"};
  if (C == Combiner::Add || C == Combiner::Mul) r.attributes.push_back("accumulator");
  r.min_operands = r.max_operands = 1;
  r.infer = [](const NodeView& v) {
    const DType t = v.operands[0].dtype;
    const bool logical = C == Combiner::And || C == Combiner::Or;
    if (logical ? is_float(t) : t == DType::Bool) refuse("no {} over {}", name_of(C), v.operands[0].str());
    const Shape shape = reduced_shape(v);
    check_order(v);
    check_accumulator(v);
    return std::vector<Type>{{t, shape}};
  };
  r.meaning = [](const NodeView& v, const Type& t) { return reduction(v, t, C); };
  r.differentiable = Differentiable::Zero;
  return r;
}

template <Combiner C>
OpDef arg_row(std::string_view name, std::string_view doc) {
  OpDef r = row<C>(name, doc);
  r.attributes = {"axes!", "dtype"};
  r.infer = [](const NodeView& v) {
    if (v.attrs.shape("axes").size() != 1) refuse("{} takes one axis", name_of(C));
    const DType t = v.attrs.has("dtype") ? v.attrs.dtype("dtype") : DType::I64;
    return std::vector<Type>{{t, reduced_shape(v)}};
  };
  return r;
}

// The value of a reduction at every element that went into it.
NodeId spread(Builder& b, V v, NodeId y) {
  const Shape& x = b.shape(v.operands[0]);
  return b.broadcast(y, x, kept_axes(x, b[v.node].attrs.integers("axes")));
}

// Ties share the cotangent evenly.
Cotangents extreme_gradient(Builder& b, V v) {
  const NodeId x = v.operands[0];
  const NodeId hit = b.convert(b.compare("eq", x, spread(b, v, v.node)), b.dtype(x));
  const NodeId count = b.sum(hit, b[v.node].attrs.integers("axes"));
  return {b.div(b.mul(spread(b, v, v.g()), hit), spread(b, v, count))};
}

// At each element the product of those before it (direction 1) or behind it (-1) along an axis.
NodeId products(Builder& b, NodeId x, int64_t axis, int direction) {
  NodeId p = shifted(b, x, axis, direction, 1);
  const int steps = doublings(b.function(), b.shape(x)[axis]);
  for (int s = 0; s < steps; ++s) p = b.mul(p, shifted(b, p, axis, direction * (int64_t{1} << s), 1));
  return p;
}

// The slope at an element is the product of the others: those before times those behind, never y / x, so that
// zeros and what underflows are right, and derivatives of this too. One axis at a time, the last first.
Cotangents product_gradient(Builder& b, V v) {
  std::vector<int64_t> axes = b[v.node].attrs.integers("axes");
  std::vector<NodeId> partial{v.operands[0]};  // with ever fewer axes
  for (size_t i = axes.size(); i-- > 1;)
    partial.push_back(b.reduce("reduce_prod", partial.back(), {axes[i]}));
  NodeId g = v.g();
  for (size_t i = 0; i < axes.size(); ++i) {
    const NodeId x = partial[axes.size() - 1 - i];
    const NodeId others = b.mul(products(b, x, axes[i], 1), products(b, x, axes[i], -1));
    g = b.mul(b.broadcast(g, b.shape(x), kept_axes(b.shape(x), {axes[i]})), others);
  }
  return {g};
}

OpDef with_gradient(OpDef r, GradientRule g, bool moves_masks = false) {
  r.differentiable = Differentiable::Rule;
  r.gradient = g;
  r.moves_masks = moves_masks;
  return r;
}

}  // namespace

void push_read(ScalarBody& body, int read, DType own, DType wanted) {
  body.push_back(read_node(read, own));
  const int at = static_cast<int>(body.size()) - 1;
  if (own != wanted) body.push_back(op_node(ScalarOp::Convert, wanted, {at, -1, -1}));
}

DType accumulator_of(const NodeView& v) {
  return v.attrs.has("accumulator") ? v.attrs.dtype("accumulator") : v.operands[0].dtype;
}

void check_accumulator(const NodeView& v) {
  const DType own = v.operands[0].dtype, t = accumulator_of(v);
  if (t != own && !(is_float(own) && is_float(t) && size_of(t) > size_of(own)))
    refuse("{} does not hold partial results of {}", name_of(t), v.operands[0].str());
}

std::vector<OpDef> reduction_ops() {
  return {
      with_gradient(
          row<Combiner::Add>("reduce_sum", "sum over axes"),
          [](Builder& b, V v) { return Cotangents{spread(b, v, v.g())}; }, true),
      with_gradient(row<Combiner::Mul>("reduce_prod", "product over axes"), product_gradient),
      with_gradient(row<Combiner::Max>("reduce_max", "largest over axes; NaN wins"), extreme_gradient),
      with_gradient(row<Combiner::Min>("reduce_min", "smallest over axes; NaN wins"), extreme_gradient),
      row<Combiner::And>("reduce_and", "conjunction over axes"),
      row<Combiner::Or>("reduce_or", "disjunction over axes"),
      arg_row<Combiner::ArgMax>("argmax", "position of the first largest along an axis"),
      arg_row<Combiner::ArgMin>("argmin", "position of the first smallest along an axis"),
  };
}

}  // namespace gradc::graph
