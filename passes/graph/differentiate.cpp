// Differentiation: value_and_grad is a node; this pass replaces it by the derivative of the callee, which it
// makes by reverse accumulation with the rows' rules. Structural zeros stay absent; what no requested
// gradient needs is not built.
#include "passes/graph/differentiator.h"
#include "passes/graph/expand.h"

namespace gradc::passes {

using namespace graph;

Module Differentiator::run() {
  for (const auto& [name, f] : m_.functions) expanded(name);
  return std::move(done_);
}

const Function& Differentiator::expanded(const std::string& name) {
  if (const Function* f = done_.find(name)) return *f;
  const Function& f = m_.at(name);
  for (const Node& n : f.nodes)
    for (const auto& [attr, value] : n.attrs.list())
      if (auto* r = std::get_if<FunctionRef>(&value)) expanded(r->name);  // innermost first
  Function out = expand(f);
  return done_.functions.emplace(name, std::move(out)).first->second;
}

Function Differentiator::expand(const Function& f) {
  return rebuild(f, done_, [&](Builder& b, NodeId i, const std::vector<NodeId>& made) -> Results {
    if (f[i].op->form != Form::ValueAndGrad) return std::nullopt;
    return value_and_grad(b, f[i], made);
  });
}

std::vector<NodeId> Differentiator::value_and_grad(Builder& b, const Node& n,
                                                   const std::vector<NodeId>& map) {
  std::vector<NodeId> args;
  for (NodeId q : n.operands) args.push_back(map[q]);
  return inline_call(b, gradient_of(n.attrs.function("function"), n.attrs.integers("wrt")), args);
}

// The callee's results, then its gradients, as a function of its own.
const Function& Differentiator::gradient_of(const std::string& name, const std::vector<int64_t>& wrt) {
  auto [it, fresh] = gradients_.try_emplace({name, wrt});
  if (!fresh) return it->second;
  const Function& f = done_.at(name);
  std::vector<NodeId> params;
  for (int64_t w : wrt) params.push_back(f.params[static_cast<size_t>(w)]);
  Open o = open(f, params);
  for (NodeId& p : params) p = o.map[p];
  const NodeId loss = o.map[f.results[0].node], end = static_cast<NodeId>(o.b.function().nodes.size());
  const NodeId one = o.b.constant(1, o.b.dtype(loss), o.b.shape(loss));
  Reverse reverse(o.b, end, {{loss, one}}, params, o.control);
  for (const Result& r : f.results) o.b.result(o.map[r.node]);
  for (NodeId p : params) o.b.result(reverse.of(p));
  return it->second = prune_function(o.b.finish(), done_);
}

Differentiator::Open Differentiator::open(const Function& f, const std::vector<NodeId>& wrt) {
  Open o{Builder(f.name, &done_), std::vector<NodeId>(f.nodes.size(), kNone), {}};
  for (const auto& [name, info] : f.dims) o.b.dim(name, info);
  const std::vector<bool> reached = reached_from(f, static_cast<NodeId>(f.nodes.size()), wrt);
  for (NodeId i = 0; i < f.nodes.size(); ++i) {
    const Node& n = f[i];
    const std::string_view op = n.op->name;
    if (op == "parameter") {
      o.map[i] = o.b.param(f.names.at(i), n.type());
    } else if (op == "get") {
      o.map[i] = o.b.get(o.map[n.operands[0]], static_cast<int>(n.attrs.integer("index")));
      if (const std::string* name = f.names.find(i)) o.b.name(o.map[i], *name);
    } else if (reached[i] && n.op->differentiable == Differentiable::Control) {
      Node mapped = n;
      std::vector<bool> needed;
      for (NodeId q : n.operands) needed.push_back(reached[q] && is_float(f.type(q).dtype));
      mapped.operands = n.operands.through(o.map);
      if (const Loc* loc = f.locs.find(i)) o.b.set_location(*loc);
      o.map[i] = op == "scan"    ? open_scan(o, mapped, needed)
                 : op == "cond"  ? open_cond(o, mapped, needed)
                 : op == "while" ? open_while(o, mapped)
                                 : copy_node(o.b, f, i, o.map);
    } else {
      o.map[i] = copy_node(o.b, f, i, o.map);
    }
  }
  return o;
}

Module differentiate(const Module& m) { return Differentiator(m).run(); }

}  // namespace gradc::passes
