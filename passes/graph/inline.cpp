#include "passes/graph/expand.h"

#include <set>

#include "support/diagnostic.h"

namespace gradc::passes {
namespace {

using namespace graph;

class Inliner {
 public:
  explicit Inliner(const Module& m) : m_(m) {}

  Module run() {
    for (const auto& [name, f] : m_.functions) expanded(name);
    return std::move(done_);
  }

 private:
  const Function& expanded(const std::string& name) {
    if (const Function* f = done_.find(name)) return *f;
    const Function& f = m_.at(name);
    if (!active_.insert(name).second) throw CompileError({}, fmt::format("@{} calls itself", name));
    // Functions that control flow names are expanded too, so that every type rule finds them.
    for (const Node& n : f.nodes)
      for (const auto& [attr, value] : n.attrs.list())
        if (auto* r = std::get_if<FunctionRef>(&value)) expanded(r->name);
    Function out = expand(f);
    active_.erase(name);
    return done_.functions.emplace(name, std::move(out)).first->second;
  }

  Function expand(const Function& f) {
    Builder b(f.name, &done_);
    for (const auto& [name, info] : f.dims) b.dim(name, info);
    std::vector<NodeId> map(f.nodes.size(), kNone);
    std::map<NodeId, std::vector<NodeId>> results;
    for (NodeId i = 0; i < f.nodes.size(); ++i) {
      const Node& n = f[i];
      if (n.op->name == "parameter") {
        map[i] = b.param(f.names.at(i), n.type());
      } else if (n.op->name == "call") {
        std::vector<NodeId> args;
        for (NodeId q : n.operands) args.push_back(map[q]);
        results[i] = inline_call(b, done_.at(n.attrs.function("function")), args);
        if (results[i].size() == 1) map[i] = results[i][0];
      } else if (n.op->name == "get" && results.count(n.operands[0])) {
        map[i] = results[n.operands[0]][n.attrs.integer("index")];
      } else {
        map[i] = copy_node(b, f, i, map);
      }
    }
    for (const Result& r : f.results) b.result(map[r.node], r.name, r.into == kNone ? kNone : map[r.into]);
    Function out = b.finish();
    out.notes = f.notes;
    return out;
  }

  const Module& m_;
  Module done_;
  std::set<std::string> active_;
};

}  // namespace

Module inline_calls(const Module& m) { return Inliner(m).run(); }

}  // namespace gradc::passes
