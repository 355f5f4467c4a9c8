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
    return rebuild(f, done_, [&](Builder& b, NodeId i, const std::vector<NodeId>& made) -> Results {
      if (f[i].op->form != Form::Call) return std::nullopt;
      std::vector<NodeId> args;
      for (NodeId q : f[i].operands) args.push_back(made[q]);
      return inline_call(b, done_.at(f[i].attrs.function("function")), args);
    });
  }

  const Module& m_;
  Module done_;
  std::set<std::string> active_;
};

}  // namespace

Module inline_calls(const Module& m) { return Inliner(m).run(); }

}  // namespace gradc::passes
