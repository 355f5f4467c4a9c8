#include <algorithm>
#include <array>
#include <map>
#include <numeric>

#include "ir/ops/einsum_spec.h"
#include "ir/ops/window_spec.h"
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

Function share_padded(const Function& f, const Module& m) {
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

std::string moved_last(std::string labels, char label) {
  labels.erase(labels.find(label), 1);
  return labels + label;
}

// Whether a contraction with these labels reads the operand often, and its elements apart along the lanes;
// one whose results the other operand gives along one axis alone copies what it reads for many of them at
// once.
bool reads_apart(const Function& f, NodeId i, NodeId operand, const std::string& labels,
                 const std::string& other, const std::string& out) {
  constexpr double kOften = 32, kSmall = 1 << 16;
  const char lane = out.back();
  if (!has(labels, lane) || has(other, lane) || labels.back() == lane) return false;
  const Shape& shape = f.type(i).shape;
  const auto from_other = std::count_if(out.begin(), out.end(), [&](char c) { return !has(labels, c); });
  double times = 1;
  for (size_t a = 0; a < out.size(); ++a)
    if (!has(labels, out[a])) times *= planned_count({shape[a]});
  constexpr int64_t kLanes = 8;
  return from_other >= 2 && times >= kOften && planned_count({shape.back()}) >= kLanes &&
         planned_count(f.type(operand).shape) <= kSmall;
}

// Which of the two operands of a contraction are to be transposed.
std::array<bool, 2> operands_apart(const Function& f, NodeId i) {
  if (f[i].op->name != "einsum") return {};
  const EinsumSpec s = parse_einsum(f[i].attrs.text("spec"));
  if (s.out.empty()) return {};
  return {reads_apart(f, i, f[i].operands[0], s.a, s.b, s.out),
          reads_apart(f, i, f[i].operands[1], s.b, s.a, s.out)};
}

Function lay_lanes_side_by_side(const Function& f, const Module& m) {
  std::map<NodeId, std::array<bool, 2>> found;
  for (NodeId i = 0; i < f.nodes.size(); ++i)
    if (const auto apart = operands_apart(f, i); apart[0] || apart[1]) found.emplace(i, apart);
  if (found.empty()) return f;
  return rebuild(f, m, [&](Builder& b, NodeId i, const std::vector<NodeId>& made) -> Results {
    const auto it = found.find(i);
    if (it == found.end()) return std::nullopt;
    EinsumSpec s = parse_einsum(f[i].attrs.text("spec"));
    std::vector<NodeId> operands = f[i].operands.through(made).list();
    for (const size_t side : {0, 1}) {
      if (!it->second[side]) continue;
      std::string& labels = side == 0 ? s.a : s.b;
      const std::string order = moved_last(labels, s.out.back());
      std::vector<int64_t> perm;
      for (char c : order) perm.push_back(static_cast<int64_t>(labels.find(c)));
      operands[side] = b.transpose(operands[side], perm);
      labels = order;
    }
    const NodeId n = b.make("einsum", std::move(operands), f[i].attrs.with("spec", s.text()));
    if (const std::string* name = f.names.find(i)) b.name(n, *name);
    return std::vector<NodeId>{n};
  });
}

// A contraction of windows whose results have few elements side by side (a convolution to few channels): its
// lanes run along a window's axis, and what the windows are of is to have that one last.
struct FewChannels {
  NodeId windows = kNone;
  size_t side = 0;  // the operand that the windows are
  size_t window = 0;
};
std::optional<FewChannels> few_channels(const Function& f, NodeId i) {
  constexpr double kFew = 8, kFewest = 16;  // elements side by side; lanes
  if (f[i].op->name != "einsum" || f[i].operands.size() != 2) return {};
  const EinsumSpec s = parse_einsum(f[i].attrs.text("spec"));
  for (const size_t side : {0, 1}) {
    const std::string &labels = side == 0 ? s.a : s.b, &other = side == 0 ? s.b : s.a;
    const NodeId w = f[i].operands[side];
    if (f[w].op->name != "windows" || s.out.empty() || has(labels, s.out.back()) ||
        !has(other, s.out.back()) || has(s.out, labels.back()) ||
        planned_count({f.type(i).shape.back()}) > kFew)
      continue;
    const WindowSpec spec = window_spec(f[w].attrs);
    const size_t last = spec.axes.size() - 1, axis = spec.window_axis(last) - 1;
    const EinsumSpec swapped{other, labels, s.out};
    if (!f.type(w).shape.back().is(1) && spec.strides[last] == 1 &&
        spec.window_axis(last) + 1 < labels.size() && has(s.out, labels[axis]) &&
        planned_count({f.type(w).shape[axis]}) >= kFewest && swapped.reduced() == s.reduced())
      return FewChannels{w, side, last};
  }
  return {};
}

template <class T>
std::vector<T> moved_last(std::vector<T> list, size_t axis) {
  std::rotate(list.begin() + static_cast<long>(axis), list.begin() + static_cast<long>(axis) + 1, list.end());
  return list;
}
NodeId with_last(Builder& b, NodeId x, size_t axis) {
  std::vector<int64_t> perm(b.shape(x).size());
  std::iota(perm.begin(), perm.end(), int64_t{0});
  return b.transpose(x, moved_last(perm, axis));
}
// Of a part of a tensor the whole one, which others may want the same way, and the part of that.
NodeId part_with_last(Builder& b, NodeId x, size_t axis) {
  const Node n = b.function()[x];
  if (n.op->name != "slice" || n.attrs.integers("stride") != std::vector<int64_t>(b.shape(x).size(), 1))
    return with_last(b, x, axis);
  return b.slice(with_last(b, n.operands[0], axis), moved_last(n.attrs.shape("start"), axis),
                 moved_last(n.attrs.shape("limit"), axis));
}

// The order of the sum is what the first operand says, which is the other one now.
Function lay_windows_side_by_side(const Function& f, const Module& m) {
  std::map<NodeId, FewChannels> found;
  for (NodeId i = 0; i < f.nodes.size(); ++i)
    if (const auto few = few_channels(f, i)) found.emplace(i, *few);
  if (found.empty()) return f;
  return rebuild(f, m, [&](Builder& b, NodeId i, const std::vector<NodeId>& made) -> Results {
    const auto it = found.find(i);
    if (it == found.end()) return std::nullopt;
    const auto& [node, side, window] = it->second;
    const EinsumSpec s = parse_einsum(f[i].attrs.text("spec"));
    WindowSpec w = window_spec(f[node].attrs);
    const size_t place = w.window_axis(window) - 1, axis = static_cast<size_t>(w.axes[window]);
    const NodeId x = part_with_last(b, made[f[node].operands[0]], axis);
    w.axes[window] = static_cast<int64_t>(b.shape(x).size()) - 1;
    std::string labels = side == 0 ? s.a : s.b;
    const std::string moved = labels.substr(place, 2);  // and the places in a window
    labels = labels.erase(place, 2) + moved;
    const EinsumSpec spec{side == 0 ? s.b : s.a, labels, s.out};
    const NodeId n = b.make("einsum", {made[f[i].operands[1 - side]], windows(b, x, w)},
                            f[i].attrs.with("spec", spec.text()));
    if (const std::string* name = f.names.find(i)) b.name(n, *name);
    return std::vector<NodeId>{n};
  });
}

}  // namespace

Module arrange(const Module& m) {
  return each_function(m, [](const Function& f, const Module& all) {
    return lay_windows_side_by_side(lay_lanes_side_by_side(share_padded(f, all), all), all);
  });
}

}  // namespace gradc::passes
