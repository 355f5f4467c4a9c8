// Differentiation: value_and_grad is a node; this pass replaces it by the callee's body and a reverse walk
// that accumulates cotangents by the rows' rules. Structural zeros stay absent; what no requested gradient
// needs is not built. Control flow on the path is refused by name until its rules are here.
#include <algorithm>
#include <set>

#include "passes/graph/expand.h"
#include "support/diagnostic.h"

namespace gradc::passes {
namespace {

using namespace graph;

std::string gradient_name(const Function& f, NodeId n) {
  auto it = f.names.find(n);
  return it == f.names.end() ? "" : "d_" + it->second;
}

// Reverse accumulation over a closed function that continues under construction: nodes [0, loss] are its own,
// what is built comes after them.
class Reverse {
 public:
  Reverse(Builder& b, NodeId loss, const std::vector<NodeId>& wrt) : b_(b) {
    gradients_.resize(loss + 1);
    needed_ = needed(loss, wrt);
    gradients_[loss] = {b.constant(1, b.dtype(loss), b.shape(loss)), kNone};
    for (NodeId i = loss + 1; i-- > 0;)
      if (needed_[i] && gradients_[i].value != kNone) visit(i);
    report_missing();
  }
  NodeId of(NodeId n) {
    if (n < gradients_.size() && gradients_[n].value != kNone) return gradients_[n].value;
    return b_.zeros_like(n);
  }

 private:
  // A cotangent, and where it is not a zero by construction: outside the mask nothing of the node was used,
  // so that whatever a local derivative is there (NaN of a branch not taken), it contributes exactly 0.
  struct Cotangent {
    NodeId value = kNone;
    NodeId mask = kNone;  // bool of the node's shape; kNone: everywhere
  };

  // Nodes through which some requested value reaches the loss.
  std::vector<bool> needed(NodeId loss, const std::vector<NodeId>& wrt) const {
    std::vector<bool> n(loss + 1, false);
    for (NodeId w : wrt)
      if (w <= loss) n[w] = true;
    for (NodeId i = 0; i <= loss; ++i)
      for (NodeId q : b_[i].operands) n[i] = n[i] || n[q];
    return n;
  }

  void visit(NodeId i) {
    const Node node = b_[i];  // a copy: building adds nodes
    if (node.op->differentiable == Differentiable::Zero || node.operands.empty()) return;
    if (auto it = b_.function().locs.find(i); it != b_.function().locs.end()) b_.set_location(it->second);
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

  // An elementwise rule may have made NaN of a zero cotangent, unless it passes the cotangent on as it is.
  NodeId local(const Node& node, NodeId g, NodeId d, NodeId mask) {
    if (mask == kNone || d == g || !node.op->scalar || *node.op->scalar == ScalarOp::Select) return d;
    return b_.select(mask, d, b_.zeros_like(d));
  }

  // Where the cotangents of the operands are zeros by construction.
  std::vector<NodeId> operand_masks(NodeId i, const Node& node) {
    const NodeId mask = gradients_[i].mask;
    std::vector<NodeId> out(node.operands.size(), kNone);
    if (node.op->scalar == ScalarOp::Select) {
      const NodeId p = node.operands[0];
      out[1] = both(mask, p);
      out[2] = both(mask, b_.unary("not", p));
    } else if (mask != kNone && node.op->scalar) {
      out.assign(out.size(), mask);
    } else if (mask != kNone && node.op->moves_masks) {
      const NodeId g[] = {mask};
      out = node.op->gradient(b_, {i, node.operands, g});
    }
    return out;
  }
  NodeId both(NodeId a, NodeId b) { return a == kNone ? b : b_.make("and", {a, b}); }

  void accumulate(NodeId n, NodeId g, NodeId mask) {
    Cotangent& c = gradients_[n];
    if (c.value == kNone) {
      c = {g, mask};
    } else {
      c.value = b_.add(c.value, g);
      if (c.mask != mask) c.mask = c.mask == kNone || mask == kNone ? kNone : b_.make("or", {c.mask, mask});
    }
    b_.name(c.value, gradient_name(b_.function(), n));
  }

  void report_missing() {
    if (missing_.empty()) return;
    Diagnostic d;
    std::set<std::string_view> ops;
    for (NodeId i : missing_) {
      ops.insert(b_[i].op->name);
      auto it = b_.function().locs.find(i);
      if (it != b_.function().locs.end())
        d.notes.push_back({it->second, fmt::format("{} is used here", b_[i].op->name)});
    }
    for (std::string_view op : ops) d.text += (d.text.empty() ? "no gradient for " : ", ") + std::string(op);
    throw CompileError(std::move(d));
  }

  Builder& b_;
  std::vector<Cotangent> gradients_;  // by node
  std::vector<bool> needed_;
  std::vector<NodeId> missing_;
};

class Differentiator {
 public:
  explicit Differentiator(const Module& m) : m_(m) {}

  Module run() {
    for (const auto& [name, f] : m_.functions) expanded(name);
    return std::move(done_);
  }

 private:
  const Function& expanded(const std::string& name) {
    if (const Function* f = done_.find(name)) return *f;
    const Function& f = m_.at(name);
    for (const Node& n : f.nodes)
      for (const auto& [attr, value] : n.attrs.list())
        if (auto* r = std::get_if<FunctionRef>(&value)) expanded(r->name);  // innermost first
    return done_.functions.emplace(name, expand(f)).first->second;
  }

  Function expand(const Function& f) {
    Builder b(f.name, &done_);
    for (const auto& [name, info] : f.dims) b.dim(name, info);
    std::vector<NodeId> map(f.nodes.size(), kNone);
    std::map<NodeId, std::vector<NodeId>> results;
    for (NodeId i = 0; i < f.nodes.size(); ++i) {
      const Node& n = f[i];
      if (n.op->name == "parameter")
        map[i] = b.param(f.names.at(i), n.type());
      else if (n.op->name == "value_and_grad")
        results[i] = value_and_grad(b, n, map);
      else if (n.op->name == "get" && results.count(n.operands[0]))
        map[i] = results[n.operands[0]][n.attrs.integer("index")];
      else
        map[i] = copy_node(b, f, i, map);
    }
    for (const Result& r : f.results) b.result(map[r.node], r.name, r.into == kNone ? kNone : map[r.into]);
    Function out = b.finish();
    out.notes = f.notes;
    return out;
  }

  std::vector<NodeId> value_and_grad(Builder& b, const Node& n, const std::vector<NodeId>& map) {
    std::vector<NodeId> args;
    for (NodeId q : n.operands) args.push_back(map[q]);
    return inline_call(b, gradient_of(n.attrs.function("function"), n.attrs.integers("wrt")), args);
  }

  // The callee's results, then its gradients, as a function of its own: derivatives are by parameter,
  // whatever the caller passes for it. Made once for each callee and choice of parameters.
  const Function& gradient_of(const std::string& name, const std::vector<int64_t>& wrt) {
    auto [it, fresh] = gradients_.try_emplace({name, wrt});
    if (!fresh) return it->second;
    const Function& f = done_.at(name);
    Builder b(f, &done_);
    std::vector<NodeId> params;
    for (int64_t w : wrt) params.push_back(f.params[w]);
    Reverse reverse(b, f.results[0].node, params);
    for (NodeId p : params) b.result(reverse.of(p));
    return it->second = prune_function(b.finish(), done_);
  }

  const Module& m_;
  Module done_;
  std::map<std::pair<std::string, std::vector<int64_t>>, Function> gradients_;
};

}  // namespace

Module differentiate(const Module& m) { return Differentiator(m).run(); }

}  // namespace gradc::passes
