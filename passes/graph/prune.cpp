#include <algorithm>
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
  for (NodeId p : f.params) live[p] = true;
  if (std::find(live.begin(), live.end(), false) == live.end()) return f;
  return rebuild(f, m, [&](Builder&, NodeId i, const std::vector<NodeId>&) {
    return live[i] ? Results() : Results(std::in_place);
  });
}

Module prune(const Module& m) { return each_function(m, prune_function); }

}  // namespace gradc::passes
