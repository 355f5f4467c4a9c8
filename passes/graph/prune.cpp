#include "passes/graph/expand.h"

namespace gradc::passes {

using namespace graph;

Function prune_function(const Function& f, const Module& m) {
  std::vector<bool> live(f.nodes.size(), false);
  for (const Result& r : f.results) live[r.node] = true;
  for (NodeId i = static_cast<NodeId>(f.nodes.size()); i-- > 0;)
    if (live[i])
      for (NodeId q : f[i].operands) live[q] = true;
  Builder b(f.name, &m);
  for (const auto& [name, info] : f.dims) b.dim(name, info);
  std::vector<NodeId> map(f.nodes.size(), kNone);
  for (NodeId i = 0; i < f.nodes.size(); ++i) {
    if (f[i].op->name == "parameter")
      map[i] = b.param(f.names.at(i), f.type(i));
    else if (live[i])
      map[i] = copy_node(b, f, i, map);
  }
  for (const Result& r : f.results) b.result(map[r.node], r.name, r.into == kNone ? kNone : map[r.into]);
  Function out = b.finish();
  out.notes = f.notes;
  return out;
}

Module prune(const Module& m) { return each_function(m, prune_function); }

}  // namespace gradc::passes
