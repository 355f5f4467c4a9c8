#include "passes/fuse/padded.h"

#include <algorithm>
#include <map>

#include "passes/fuse/reads.h"
#include "passes/graph/expand.h"

namespace gradc::passes {
namespace {

using namespace graph;

// The values of f that are to be stored padded, and the nodes that pad them.
std::map<NodeId, NodeId> stored_padded(const Function& f) {
  std::map<NodeId, NodeId> found;
  for (NodeId i = 0; i < f.nodes.size(); ++i)
    if (pads_little(f, i)) found.emplace(f[i].operands[0], i);
  if (found.empty()) return found;
  const ReadTable reads(f);
  std::vector<bool> kept(f.nodes.size(), false), shared(f.nodes.size(), false);
  for (const Result& r : f.results) kept[r.node] = true;
  for (NodeId i = 0; i < f.nodes.size(); ++i)
    for (NodeId q : f[i].operands) {
      if (!reads.meanings()[i]) kept[q] = true;
      if (auto it = found.find(q); it != found.end() && it->second != i) shared[q] = true;
    }
  std::erase_if(found, [&](const auto& p) {
    const auto& value = reads.meanings()[p.first];
    return kept[p.first] || !shared[p.first] || !value || value->combine != Combiner::None ||
           reads.is_inline(p.first) || reads.is_inline(p.second);
  });
  return found;
}

// How many elements stand before the operand's first along each axis.
Shape amounts_before(const Function& f, NodeId pad) {
  const Meaning m = meaning_of(f, pad);
  Shape low;
  for (size_t a = 0; a < m.axes.size(); ++a)
    low.push_back(Index::var(static_cast<int>(a)) - m.reads[0].at[a]);
  return low;
}

Function rewritten(const Function& f, const Module& m) {
  const std::map<NodeId, NodeId> padded = stored_padded(f);
  if (padded.empty()) return f;
  std::map<NodeId, NodeId> made_padded;  // by the node that pads
  return rebuild(f, m, [&](Builder& b, NodeId i, const std::vector<NodeId>& made) -> Results {
    if (auto it = made_padded.find(i); it != made_padded.end()) return std::vector<NodeId>{it->second};
    auto it = padded.find(i);
    if (it == padded.end()) return std::nullopt;
    const NodeId value = copy_node(b, f, i, made);
    const NodeId whole = b.copy(f, it->second, {value});
    if (const std::string* name = f.names.find(it->second)) b.name(whole, *name);
    made_padded[it->second] = whole;
    const Shape low = amounts_before(f, it->second);
    Shape end = low;
    for (size_t a = 0; a < end.size(); ++a) end[a] = end[a] + b.shape(value)[a];
    return std::vector<NodeId>{b.slice(whole, low, end)};
  });
}

}  // namespace

bool pads_little(const Function& f, NodeId n) {
  constexpr double kMost = 2;
  if (f[n].operands.size() != 1 || f[n].types.size() != 1) return false;
  const Shape &from = f.type(f[n].operands[0]).shape, &to = f.type(n).shape;
  if (from.size() != to.size() || from == to || planned_count(to) > kMost * planned_count(from)) return false;
  if (!has_meaning(f[n])) return false;
  const Meaning m = meaning_of(f, n);
  if (m.combine != Combiner::None || m.reads.size() != 1 || m.reads[0].guards.empty() || !only_moves(m))
    return false;
  for (size_t a = 0; a < to.size(); ++a)
    if (!(m.reads[0].at[a] - Index::var(static_cast<int>(a))).is_constant()) return false;
  return true;
}

Module share_padded(const Module& m) { return each_function(m, rewritten); }

}  // namespace gradc::passes
