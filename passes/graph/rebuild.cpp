#include <algorithm>
#include <map>

#include "passes/graph/expand.h"

namespace gradc::passes {

using namespace graph;

int64_t planned(const Function& f, const Dim& d) {
  return d.evaluate([](int) -> int64_t { return 0; },
                    [&](const std::string& name) -> int64_t {
                      const auto it = f.dims.find(name);
                      return it == f.dims.end() || it->second.plan == 0 ? 64 : it->second.plan;
                    });
}

bool has_scans(const Module& m) {
  return std::any_of(m.functions.begin(), m.functions.end(), [](const auto& f) {
    return std::any_of(f.second.nodes.begin(), f.second.nodes.end(),
                       [](const Node& n) { return n.op->form == Form::Scan; });
  });
}

Function rebuild(const Function& f, const Module& m, const Replace& replace) {
  Builder b(f.name, &m);
  b.reserve(f.nodes.size());
  for (const auto& [name, info] : f.dims) b.dim(name, info);
  std::vector<NodeId> made(f.nodes.size(), kNone);
  std::map<NodeId, std::vector<NodeId>> replaced;
  for (NodeId i = 0; i < f.nodes.size(); ++i) {
    const Node& n = f[i];
    if (n.op->form == Form::Parameter) {
      made[i] = b.param(f.names.at(i), n.type());
    } else if (Results r = replace(b, i, made)) {
      if (r->size() == 1) made[i] = r->front();
      replaced[i] = std::move(*r);
    } else if (n.op->form == Form::Get && replaced.count(n.operands[0])) {
      made[i] = replaced[n.operands[0]][static_cast<size_t>(n.attrs.integer("index"))];
    } else {
      made[i] = copy_node(b, f, i, made);
    }
  }
  for (const Result& r : f.results) b.result(made[r.node], r.name, r.into == kNone ? kNone : made[r.into]);
  Function out = b.finish();
  out.notes = f.notes;
  return out;
}

}  // namespace gradc::passes
