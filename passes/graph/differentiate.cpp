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

// Reverse accumulation over nodes [0, end) of the function under construction.
class Reverse {
 public:
  Reverse(Builder& b, NodeId loss, const std::vector<NodeId>& wrt) : b_(b), wrt_(wrt.begin(), wrt.end()) {
    cotangents_.resize(loss + 1, kNone);
    needed_ = needed(loss);
    cotangents_[loss] = b.constant(1, b.dtype(loss), b.shape(loss));
    for (NodeId i = loss + 1; i-- > 0;)
      if (needed_[i] && cotangents_[i] != kNone && !wrt_.count(i)) visit(i);
    report_missing();
  }
  NodeId of(NodeId n) {
    if (n < cotangents_.size() && cotangents_[n] != kNone) return cotangents_[n];
    return b_.zeros_like(n);
  }

 private:
  // Nodes through which some requested value reaches the loss.
  std::vector<bool> needed(NodeId loss) const {
    std::vector<bool> n(loss + 1, false);
    for (NodeId w : wrt_)
      if (w <= loss) n[w] = true;
    for (NodeId i = 0; i <= loss; ++i)
      for (NodeId q : b_[i].operands) n[i] = n[i] || n[q];
    return n;
  }

  void visit(NodeId i) {
    const Node node = b_[i];  // a copy: building adds nodes
    if (node.op->differentiable == Differentiable::Zero) return;
    if (auto it = b_.function().locs.find(i); it != b_.function().locs.end()) b_.set_location(it->second);
    if (node.op->differentiable != Differentiable::Rule) {
      missing_.push_back(i);
      return;
    }
    const NodeId g[] = {cotangents_[i]};
    const std::vector<NodeId> d = node.op->gradient(b_, {i, node.operands, g});
    for (size_t k = 0; k < d.size(); ++k)
      if (d[k] != kNone && needed_[node.operands[k]] && is_float(b_.dtype(node.operands[k])))
        accumulate(node.operands[k], d[k]);
  }

  void accumulate(NodeId n, NodeId g) {
    cotangents_[n] = cotangents_[n] == kNone ? g : b_.add(cotangents_[n], g);
    b_.name(cotangents_[n], gradient_name(b_.function(), n));
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
  std::set<NodeId> wrt_;
  std::vector<NodeId> cotangents_;
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
    std::vector<NodeId> results = inline_call(b, done_.at(n.attrs.function("function")), args);
    std::vector<NodeId> wrt;
    for (int64_t w : n.attrs.integers("wrt")) wrt.push_back(args[w]);
    Reverse reverse(b, results[0], wrt);
    for (NodeId w : wrt) results.push_back(reverse.of(w));
    return results;
  }

  const Module& m_;
  Module done_;
};

}  // namespace

Module differentiate(const Module& m) { return Differentiator(m).run(); }

}  // namespace gradc::passes
