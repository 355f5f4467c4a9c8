#include <set>
#include <string>
#include <vector>

#include "passes/graph/expand.h"

namespace gradc::passes {

using namespace graph;

Function prune_function(const Function& f, const Module& m) {
  std::vector<bool> live(f.nodes.size(), false);
  for (const Result& r : f.results) live[r.node] = true;
  for (NodeId i = static_cast<NodeId>(f.nodes.size()); i-- > 0;)
    if (live[i])
      for (NodeId q : f[i].operands) live[q] = true;
  return rebuild(f, m, [&](Builder&, NodeId i, const std::vector<NodeId>&) {
    return live[i] ? Results() : Results(std::in_place);
  });
}

namespace {

// Functions marked private are kept where another function still names them.
std::set<std::string> needed_functions(const Module& m) {
  std::vector<const Function*> work;
  std::set<std::string> needed;
  auto need = [&](const Function& f) {
    if (needed.insert(f.name).second) work.push_back(&f);
  };
  for (const auto& [name, f] : m.functions)
    if (f.notes.count("private") == 0) need(f);
  while (!work.empty()) {
    const Function& f = *work.back();
    work.pop_back();
    for (const Node& n : f.nodes)
      for (const auto& [attr, value] : n.attrs.list())
        if (const auto* r = std::get_if<FunctionRef>(&value)) need(m.at(r->name));
  }
  return needed;
}

}  // namespace

Module prune(const Module& m) {
  Module out = each_function(m, prune_function);
  const std::set<std::string> needed = needed_functions(out);
  std::erase_if(out.functions, [&](const auto& f) { return needed.count(f.first) == 0; });
  return out;
}

}  // namespace gradc::passes
