#include "passes/graph/reverse.h"

#include <set>

#include "support/diagnostic.h"

namespace gradc::passes {

using namespace graph;

std::vector<bool> reached_from(const Function& f, NodeId end, const std::vector<NodeId>& wrt) {
  std::vector<bool> reached(end, false);
  for (NodeId w : wrt)
    if (w < end) reached[w] = true;
  for (NodeId i = 0; i < end; ++i)
    for (NodeId q : f[i].operands) reached[i] = reached[i] || reached[q];
  return reached;
}

Reverse::Reverse(Builder& b, NodeId end, const std::vector<Seed>& seeds, const std::vector<NodeId>& wrt,
                 const ControlGradients& control)
    : b_(b), control_(control), gradients_(end), needed_(reached_from(b.function(), end, wrt)) {
  for (const Seed& s : seeds)
    if (needed_[s.node]) accumulate(s.node, s.cotangent, kNone);
  for (NodeId i = end; i-- > 0;)
    if (needed_[i] && (gradients_[i].value != kNone || of_results_.count(i))) visit(i);
  report_missing();
}

NodeId Reverse::of(NodeId n) {
  return n < gradients_.size() && gradients_[n].value != kNone ? gradients_[n].value : b_.zeros_like(n);
}

void Reverse::visit(NodeId i) {
  const Node node = b_[i];  // a copy: building adds nodes
  if (node.op->differentiable == Differentiable::Zero || node.operands.empty()) return;
  if (const Loc* loc = b_.function().locs.find(i)) b_.set_location(*loc);
  if (node.op->differentiable == Differentiable::Control) return visit_control(i, node);
  if (node.op->differentiable != Differentiable::Rule) {
    missing_.push_back(i);
    return;
  }
  const NodeId g[] = {gradients_[i].value};
  const std::vector<NodeId> d = node.op->gradient(b_, {i, node.operands, g});
  const std::vector<NodeId> masks = operand_masks(i, node);
  for (size_t k = 0; k < d.size(); ++k)
    if (d[k] != kNone && needed_[node.operands[k]] && is_float(b_.dtype(node.operands[k])))
      accumulate(node.operands[k], local(node, g[0], d[k], masks[k]), masks[k]);
}

// One result of several arrives through `get`; the node itself is visited when all of them have.
void Reverse::visit_control(NodeId i, const Node& node) {
  if (node.op->form == Form::Get) {
    const NodeId tuple = node.operands[0];
    std::vector<NodeId>& all = of_results_[tuple];
    all.resize(b_[tuple].types.size(), kNone);
    all[static_cast<size_t>(node.attrs.integer("index"))] = gradients_[i].value;
    return;
  }
  const auto rule = control_.find(i);
  if (rule == control_.end()) {
    missing_.push_back(i);
    return;
  }
  std::vector<NodeId> cotangents{gradients_[i].value};
  if (auto it = of_results_.find(i); it != of_results_.end()) cotangents = it->second;
  const std::vector<NodeId> d = rule->second(b_, cotangents);
  for (size_t k = 0; k < d.size(); ++k)
    if (d[k] != kNone && needed_[node.operands[k]]) accumulate(node.operands[k], d[k], kNone);
}

// An elementwise rule may have made NaN of a zero cotangent, unless it passes the cotangent on as it is.
NodeId Reverse::local(const Node& node, NodeId g, NodeId d, NodeId mask) {
  if (mask == kNone || d == g || !node.op->elementwise || node.op->scalar == ScalarOp::Select) return d;
  return b_.select(mask, d, b_.zeros_like(d));
}

// Where the cotangents of the operands are zeros by construction.
std::vector<NodeId> Reverse::operand_masks(NodeId i, const Node& node) {
  const NodeId mask = gradients_[i].mask;
  std::vector<NodeId> out(node.operands.size(), kNone);
  if (node.op->scalar == ScalarOp::Select) {
    const NodeId p = node.operands[0];
    out[1] = both(mask, p);
    out[2] = both(mask, b_.unary("not", p));
  } else if (mask != kNone && node.op->elementwise) {
    out.assign(out.size(), mask);
  } else if (mask != kNone && node.op->moves_masks) {
    const NodeId g[] = {mask};
    out = node.op->gradient(b_, {i, node.operands, g});
  }
  return out;
}
NodeId Reverse::both(NodeId a, NodeId b) { return a == kNone ? b : b_.make("and", {a, b}); }

void Reverse::accumulate(NodeId n, NodeId g, NodeId mask) {
  Cotangent& c = gradients_[n];
  if (c.value == kNone) {
    c = {g, mask};
  } else {
    c.value = b_.add(c.value, g);
    if (c.mask != mask) c.mask = c.mask == kNone || mask == kNone ? kNone : b_.make("or", {c.mask, mask});
  }
  if (const std::string* name = b_.function().names.find(n)) b_.name(c.value, "d_" + *name);
}

void Reverse::report_missing() {
  if (missing_.empty()) return;
  Diagnostic d;
  std::set<std::string_view> ops;
  for (NodeId i : missing_) {
    ops.insert(b_[i].op->name);
    if (const Loc* loc = b_.function().locs.find(i))
      d.notes.push_back({*loc, fmt::format("{} is used here", b_[i].op->name)});
  }
  for (std::string_view op : ops) d.text += (d.text.empty() ? "no gradient for " : ", ") + std::string(op);
  throw CompileError(std::move(d));
}

}  // namespace gradc::passes
