// Running sums and products along an axis. They are no reductions, so they have kernels of their own
// (passes/lower/lower_running.cpp).
#include "ir/ops/running_spec.h"

#include "ir/ops/doubling.h"
#include "ir/ops/rows.h"

namespace gradc::graph {
namespace {

using V = const GradientView&;

std::vector<Type> infer(const NodeView& v, bool logical) {
  const Type& x = v.operands[0];
  const int64_t axis = v.attrs.integer("axis");
  if (axis < 0 || axis >= x.rank()) refuse("no axis {} in {} to run along", axis, x.str());
  if (x.dtype == DType::Bool && !logical) refuse("no running product of {}", x.str());
  check_accumulator(v);
  return {x};
}

OpDef row(std::string_view name, std::string_view doc) {
  OpDef r = one_operand(name, doc, {"axis!", "reverse", "exclusive", "accumulator"});
  r.form = Form::Running;
  return r;
}

// A mask of cotangents has no accumulator: where it is set is a disjunction.
OpDef cumsum() {
  OpDef r = row("cumsum", "running sum along an axis, of bool the running disjunction");
  r.infer = [](const NodeView& v) { return infer(v, true); };
  r.gradient = [](Builder& b, V v) {
    const Attrs a = b[v.node].attrs;
    Attrs turned{{"axis", a.integer("axis")}, {"reverse", !a.flag("reverse")}};
    if (a.flag("exclusive")) turned = turned.with("exclusive", true);
    if (a.has("accumulator") && is_float(b.dtype(v.g())))
      turned = turned.with("accumulator", a.dtype("accumulator"));
    return Cotangents{b.make("cumsum", {v.g()}, turned)};
  };
  r.moves_masks = true;
  return r;
}

// Element i goes into every y[j], j >= i, as x[i] times those before it times those between: its cotangent is
// the product of those before it times s[i], s[i] = g[i] + x[i + 1] s[i + 1]. Nothing is divided, so that
// zeros are right. The recurrence is solved by doubling: (a, s) of twice as many steps is (a a', s + a s').
Cotangents cumprod_gradient(Builder& b, V v) {
  const NodeId x = v.operands[0];
  const Attrs attrs = b[v.node].attrs;  // of its own: nodes move as the builder grows
  const int64_t axis = attrs.integer("axis"), ahead = attrs.flag("reverse") ? 1 : -1;
  NodeId s = v.g();
  if (attrs.flag("exclusive")) s = shifted(b, s, axis, ahead, 0);  // y[j] goes without x[j]
  NodeId a = shifted(b, x, axis, ahead, 0);
  const int steps = doublings(b.function(), b.shape(x)[static_cast<size_t>(axis)] + 1);
  for (int n = 0; n < steps; ++n) {
    const int64_t by = ahead * (int64_t{1} << n);
    s = b.add(s, b.mul(a, shifted(b, s, axis, by, 0)));
    if (n + 1 < steps) a = b.mul(a, shifted(b, a, axis, by, 0));
  }
  return {b.mul(b.make("cumprod", {x}, attrs.with("exclusive", true)), s)};
}

OpDef cumprod() {
  OpDef r = row("cumprod", "running product along an axis");
  r.infer = [](const NodeView& v) { return infer(v, false); };
  r.gradient = cumprod_gradient;
  return r;
}

}  // namespace

RunningSpec running_spec(const OpDef& op, const Attrs& a, DType operand) {
  RunningSpec r;
  r.combine = op.name == "cumprod" ? Combiner::Mul : operand == DType::Bool ? Combiner::Or : Combiner::Add;
  r.axis = static_cast<size_t>(a.integer("axis"));
  r.reverse = a.flag("reverse");
  r.exclusive = a.flag("exclusive");
  r.accumulator = a.has("accumulator") ? a.dtype("accumulator") : operand;
  return r;
}

std::vector<OpDef> running_ops() { return {cumsum(), cumprod()}; }

}  // namespace gradc::graph
