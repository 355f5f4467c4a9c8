// The fusion pass: walks the nodes from results to parameters and places each producer into the group of its
// earliest consumer where the one legality test allows, else into a group of its own.
#include "passes/fuse/fusion.h"

#include <algorithm>
#include <functional>
#include <queue>

#include "support/check.h"

namespace gradc::passes {
namespace {

using graph::Function;
using graph::kNone;

constexpr int64_t kMaxScratchElements = 1 << 14;  // a row kernel's arrays stay in L1 and L2

struct DraftGroup {
  std::vector<Dim> axes;
  std::vector<NodeId> members;
  bool opaque = false, cut = false, contraction = false, lanes = false;
  bool alive = true;
};

class Fuser {
 public:
  Fuser(const Function& f, const FuseOptions& o) : f_(f), options_(o) {}

  Fusion run() {
    prepare();
    for (auto it = order_.rbegin(); it != order_.rend(); ++it) place(*it);
    return finish();
  }

 private:
  bool is_param(NodeId n) const { return f_[n].op->name == "parameter"; }
  bool has_meaning(NodeId n) const { return meanings_[n].has_value(); }
  bool is_map(NodeId n) const { return has_meaning(n) && meanings_[n]->combine == Combiner::None; }

  // Free nodes only move or name elements: their body is one read, one constant or one axis.
  bool is_free(NodeId n) const {
    if (!is_map(n)) return false;
    const Meaning& m = *meanings_[n];
    for (const ScalarNode& s : m.body)
      if (s.op != ScalarOp::Read && s.op != ScalarOp::Const && s.op != ScalarOp::Axis &&
          s.op != ScalarOp::Convert)
        return false;
    if (m.body.back().op == ScalarOp::Convert && m.reads.size() == 1) return m.body.size() == 2;
    return m.reads.size() <= 1;
  }

  void prepare() {
    const size_t n = f_.nodes.size();
    meanings_.resize(n);
    fusion_.storage.assign(n, Storage::Inline);
    fusion_.group_of.assign(n, -1);
    result_.assign(n, false);
    for (const graph::Result& r : f_.results) result_[r.node] = true;
    for (NodeId i = 0; i < n; ++i) {
      if (is_param(i)) {
        fusion_.storage[i] = Storage::Memory;
      } else if (graph::has_meaning(f_[i])) {
        meanings_[i] = graph::meaning_of(f_, i);
      } else {
        fusion_.storage[i] = Storage::Opaque;
      }
    }
    inline_free_nodes();
    donation_edges();
    topological_order();
  }

  void inline_free_nodes() {
    inline_.assign(f_.nodes.size(), false);
    for (NodeId i = 0; i < f_.nodes.size(); ++i) inline_[i] = !is_param(i) && !result_[i] && is_free(i);
    // A node without a meaning reads buffers, not expressions.
    for (NodeId i = 0; i < f_.nodes.size(); ++i)
      if (!is_param(i) && !has_meaning(i))
        for (NodeId q : f_[i].operands) inline_[q] = false;
  }

  // Readers of a donated parameter run before the writer of its new value; where a reader needs the new
  // value, the new value is kept apart and copied at the end.
  void donation_edges() {
    after_.assign(f_.nodes.size(), {});
    for (const graph::Result& r : f_.results) {
      if (r.into == kNone || r.node == r.into) continue;
      const std::vector<NodeId> readers = transitive_readers(r.into);
      const std::vector<bool> below = reachable(r.node);
      // The same value donated elsewhere too, or a parameter: it cannot be computed in place.
      bool copy = is_param(r.node) || !has_meaning(r.node) || writes_[r.node]++ > 0;
      for (NodeId reader : readers) copy |= reader != r.node && below[reader];
      copy = copy || !reads_own_element(r.node, r.into);
      for (const graph::Result& other : f_.results) copy |= other.node == r.into;
      if (copy) {
        fusion_.copied.insert(r.into);
        continue;
      }
      for (NodeId reader : readers)
        if (reader != r.node) after_[reader].push_back(r.node);
      into_[r.node] = r.into;
    }
  }

  // Nodes that read `n` directly or through inline nodes.
  std::vector<NodeId> transitive_readers(NodeId n) const {
    std::vector<NodeId> found;
    std::vector<bool> via(f_.nodes.size(), false);
    via[n] = true;
    for (NodeId i = n + 1; i < f_.nodes.size(); ++i)
      for (NodeId q : f_[i].operands)
        if (via[q]) {
          if (inline_[i])
            via[i] = true;
          else
            found.push_back(i);
          break;
        }
    return found;
  }

  std::vector<bool> reachable(NodeId from) const {
    std::vector<bool> seen(f_.nodes.size(), false);
    seen[from] = true;
    for (NodeId i = from + 1; i < f_.nodes.size(); ++i)
      for (NodeId q : f_[i].operands) seen[i] = seen[i] || seen[q];
    return seen;
  }

  // Node order refined by the donation edges.
  void topological_order() {
    const size_t n = f_.nodes.size();
    std::vector<int> waiting(n, 0);
    std::vector<std::vector<NodeId>> next(n);
    for (NodeId i = 0; i < n; ++i) {
      for (NodeId q : f_[i].operands) next[q].push_back(i), ++waiting[i];
      for (NodeId w : after_[i]) next[i].push_back(w), ++waiting[w];
    }
    std::priority_queue<NodeId, std::vector<NodeId>, std::greater<>> ready;
    for (NodeId i = 0; i < n; ++i)
      if (waiting[i] == 0) ready.push(i);
    while (!ready.empty()) {
      const NodeId i = ready.top();
      ready.pop();
      order_.push_back(i);
      for (NodeId w : next[i])
        if (--waiting[w] == 0) ready.push(w);
    }
    GRADC_CHECK(order_.size() == n, "donation made a cycle in @{}", f_.name);
    position_.resize(n);
    for (size_t p = 0; p < n; ++p) position_[order_[p]] = p;
  }

  // Everything `n` reads once inline nodes are looked through, with indices over n's axes.
  const std::vector<ResolvedRead>& reads_of(NodeId n) {
    auto it = reads_.find(n);
    if (it != reads_.end()) return it->second;
    std::vector<ResolvedRead> out;
    if (!has_meaning(n)) {
      for (NodeId q : f_[n].operands)
        out.push_back({q, std::vector<Index>(f_[q].types[0].rank(), Index::var(kUnknownVar)), false});
    } else {
      const Meaning& m = *meanings_[n];
      std::vector<Index> axes;
      for (size_t a = 0; a < m.axes.size(); ++a) axes.push_back(Index::var(static_cast<int>(a)));
      auto extent = [&](int v) { return v < static_cast<int>(m.axes.size()) ? m.axes[v] : Index(1LL << 40); };
      resolve(n, axes, false, extent, out);
    }
    return reads_.emplace(n, std::move(out)).first->second;
  }

  void resolve(NodeId n, const std::vector<Index>& axes, bool guarded,
               const std::function<Index(int)>& extent, std::vector<ResolvedRead>& out) {
    const Meaning& m = *meanings_[n];
    auto bind = [&](int v) { return v < static_cast<int>(axes.size()) ? axes[v] : Index::var(kUnknownVar); };
    for (const Read& r : m.reads) {
      const NodeId q = f_[n].operands[r.operand];
      std::vector<Index> at;
      for (const Index& e : r.at) at.push_back(simplify(e.substitute(bind), extent));
      const bool g = guarded || !r.guards.empty();
      if (inline_[q])
        resolve(q, at, g, extent, out);
      else
        out.push_back({q, std::move(at), g});
    }
  }

  struct Use {
    NodeId consumer;
    std::vector<std::vector<Index>> maps;
  };

  void note_reads(NodeId consumer) {
    for (const ResolvedRead& r : reads_of(consumer)) {
      if (is_param(r.node)) continue;
      std::vector<Use>& uses = uses_[r.node];
      if (uses.empty() || uses.back().consumer != consumer) uses.push_back({consumer, {}});
      auto& maps = uses.back().maps;
      if (std::find(maps.begin(), maps.end(), r.at) == maps.end()) maps.push_back(r.at);
    }
  }

  void place(NodeId p) {
    if (is_param(p) || inline_[p]) return;
    if (uses_[p].empty() && !result_[p]) return;  // read by nobody
    if (!has_meaning(p)) {
      new_group(p, true);
    } else if (options_.enabled && may_inline(p)) {
      inline_[p] = true;
      ++fusion_.moves["inline"];
      renote(p);
      return;
    } else if (!options_.enabled || !join(p)) {
      new_group(p, false);
    }
    note_reads(p);
  }

  // A cheap producer with one reader that evaluates it no more often than a loop of its own would.
  bool may_inline(NodeId p) {
    if (result_[p] || !is_map(p) || uses_[p].size() != 1 || uses_[p][0].maps.size() != 1) return false;
    const NodeId c = uses_[p][0].consumer;
    if (!has_meaning(c)) return false;
    // What reads a donated buffer keeps its place before the buffer's writer, or reads what that writer
    // overwrites.
    for (NodeId w : after_[p]) {
      const bool ordered = std::find(after_[c].begin(), after_[c].end(), w) != after_[c].end();
      if (!ordered && !(c == w && same_group_safe(p, c))) return false;
    }
    return element_count(meanings_[c]->axes) == element_count(meanings_[p]->axes);
  }
  // Whether every read that `n` makes of a donated parameter is of the element where n itself stands.
  bool reads_own_element(NodeId n, NodeId param) {
    for (const ResolvedRead& r : reads_of(n))
      if (r.node == param &&
          !(r.at.size() == static_cast<size_t>(meanings_[n]->outputs) && is_identity(r.at, r.at.size())))
        return false;
    return true;
  }
  // Reads of a donated buffer that move into its writer must be of the element written there.
  bool same_group_safe(NodeId p, NodeId writer) {
    if (!reads_own_element(p, into_.at(writer))) return false;
    return element_count(meanings_[writer]->axes) == element_count(meanings_[p]->axes) &&
           is_identity(uses_[p][0].maps[0], static_cast<size_t>(meanings_[p]->outputs));
  }

  // The reader of `p` now reads what `p` reads.
  void renote(NodeId p) {
    const NodeId c = uses_[p][0].consumer;
    reads_.erase(c);
    for (const ResolvedRead& r : reads_of(c)) {
      if (is_param(r.node)) continue;
      std::vector<Use>& uses = uses_[r.node];
      auto it = std::find_if(uses.begin(), uses.end(), [&](const Use& u) { return u.consumer == c; });
      if (it == uses.end()) it = uses.insert(uses.end(), {c, {}});
      if (std::find(it->maps.begin(), it->maps.end(), r.at) == it->maps.end()) it->maps.push_back(r.at);
    }
  }

  void new_group(NodeId p, bool opaque) {
    DraftGroup g;
    g.opaque = opaque;
    if (!opaque) {
      g.axes.assign(meanings_[p]->axes.begin(), meanings_[p]->axes.begin() + meanings_[p]->outputs);
    }
    groups_.push_back(std::move(g));
    ++fusion_.moves["new group"];
    add(p, static_cast<int>(groups_.size()) - 1);
  }

  void add(NodeId p, int group) {
    DraftGroup& g = groups_[group];
    g.members.push_back(p);
    fusion_.group_of[p] = group;
    if (has_meaning(p) && meanings_[p]->combine != Combiner::None) {
      if (is_contraction(p))
        g.contraction = true;
      else if (graph::order_of(f_[p]) == Order::Lanes)
        g.lanes = true;
    }
  }

  // A reduction of products of two different reads over more than one element each: worth a register tile.
  bool is_contraction(NodeId p) const {
    const Meaning& m = *meanings_[p];
    return m.combine == Combiner::Add && m.reads.size() >= 2 && (m.fma || m.body.back().op == ScalarOp::Mul);
  }

  static bool is_identity(const std::vector<Index>& at, size_t n) {
    if (at.size() < n) return false;
    for (size_t i = 0; i < n; ++i)
      if (!(at[i] == Index::var(static_cast<int>(i)))) return false;
    return true;
  }

  bool join(NodeId p) {
    std::vector<int> candidates;
    for (const Use& u : uses_[p]) {
      const int g = fusion_.group_of[u.consumer];
      if (std::find(candidates.begin(), candidates.end(), g) == candidates.end()) candidates.push_back(g);
    }
    std::sort(candidates.begin(), candidates.end(), [&](int a, int b) { return first_of(a) < first_of(b); });
    for (int g : candidates) {
      const int depth = legal_depth(p, g);
      if (depth < 0 || makes_cycle(p, g, candidates)) continue;
      DraftGroup& group = groups_[g];
      if (depth < static_cast<int>(group.axes.size())) {
        group.axes.resize(depth);
        group.cut = true;
        ++fusion_.moves["cut"];
      }
      group.cut |= meanings_[p]->outputs > depth;  // p becomes an array over its inner axes
      ++fusion_.moves[meanings_[p]->combine == Combiner::None ? "join map" : "join reduction"];
      add(p, g);
      return true;
    }
    return false;
  }

  size_t first_of(int g) const {
    size_t first = ~size_t(0);
    for (NodeId m : groups_[g].members) first = std::min(first, position_[m]);
    return first;
  }

  // The legality test: each iteration of the group's outer axes reads only what `p` computes there. Gives the
  // depth at which p is placed (the group's axes are cut to it), or -1.
  int legal_depth(NodeId p, int g) {
    const DraftGroup& group = groups_[g];
    if (group.opaque) return -1;
    const Meaning& m = *meanings_[p];
    const size_t n = group.axes.size(), rank = static_cast<size_t>(m.outputs);
    const size_t shared = std::min(n, rank);
    for (const Use& u : uses_[p]) {
      if (fusion_.group_of[u.consumer] != g) continue;
      for (const auto& map : u.maps)
        if (!is_identity(map, shared)) return -1;
    }
    for (size_t i = 0; i < shared; ++i)
      if (!(m.axes[i] == group.axes[i])) return -1;
    if (rank == n && !group.cut)
      return compatible(p, group) && donation_safe(p, group, n) ? static_cast<int>(n) : -1;
    return row_depth(p, group, shared);
  }

  bool compatible(NodeId p, const DraftGroup& group) const {
    if (meanings_[p]->combine == Combiner::None) return true;
    const bool lanes = graph::order_of(f_[p]) == Order::Lanes;
    if (is_contraction(p)) return !group.lanes;
    return !(lanes && group.contraction);
  }

  // Row kernels: the group is cut to the axes that all share, values between members are arrays over a row.
  int row_depth(NodeId p, const DraftGroup& group, size_t depth) const {
    if (depth == 0 && !group.axes.empty()) return -1;
    if (group.contraction || is_contraction(p)) return -1;
    if (depth < group.axes.size() && meanings_[p]->combine == Combiner::None && !reads_reduction(p, depth))
      return -1;
    auto fits = [&](NodeId n) {
      std::vector<Dim> inner(
          meanings_[n]->axes.begin() + static_cast<long>(std::min<size_t>(depth, meanings_[n]->outputs)),
          meanings_[n]->axes.end());
      const bool constant =
          std::all_of(inner.begin(), inner.end(), [](const Dim& d) { return d.is_constant(); });
      return constant && element_count(inner).constant_part() <= kMaxScratchElements;
    };
    for (NodeId m : group.members)
      if (!fits(m) || !donation_row_safe(m)) return -1;
    return fits(p) && donation_row_safe(p) ? static_cast<int>(depth) : -1;
  }

  // Whether a map over the outer axes alone carries the result of a reduction over inner ones (1 / sum).
  bool reads_reduction(NodeId p, size_t depth) const {
    for (NodeId q : f_[p].operands) {
      if (is_param(q) || !has_meaning(q)) continue;
      if (meanings_[q]->combine != Combiner::None && meanings_[q]->outputs == static_cast<int>(depth))
        return true;
      if (meanings_[q]->combine == Combiner::None && reads_reduction(q, depth)) return true;
    }
    return false;
  }

  // In a group over full elements: a member that reads a donated buffer which another member writes reads the
  // element that is written in the same iteration.
  bool donation_safe(NodeId p, const DraftGroup& group, size_t n) {
    std::vector<NodeId> all = group.members;
    all.push_back(p);
    for (NodeId w : all) {
      auto it = into_.find(w);
      if (it == into_.end()) continue;
      for (NodeId reader : all)
        for (const ResolvedRead& r : reads_of(reader))
          if (r.node == it->second && !(r.at.size() == n && is_identity(r.at, n))) return false;
    }
    return true;
  }
  // Row groups do not write donated buffers in place unless nothing in them could read across rows.
  bool donation_row_safe(NodeId n) const { return into_.find(n) == into_.end(); }

  // Whether another consumer's group leads back to `g`, so that p in g would wait for itself.
  bool makes_cycle(NodeId p, int g, const std::vector<int>& consumers) {
    std::vector<int> stack;
    for (int c : consumers)
      if (c != g) stack.push_back(c);
    for (NodeId w : after_[p])
      if (fusion_.group_of[w] >= 0 && fusion_.group_of[w] != g) stack.push_back(fusion_.group_of[w]);
    std::set<int> seen;
    while (!stack.empty()) {
      const int c = stack.back();
      stack.pop_back();
      if (c == g) return true;
      if (!seen.insert(c).second) continue;
      for (NodeId m : groups_[c].members) {
        for (const Use& u : uses_[m]) stack_push(stack, fusion_.group_of[u.consumer], c);
        for (NodeId w : after_[m]) stack_push(stack, fusion_.group_of[w], c);
      }
    }
    return false;
  }
  static void stack_push(std::vector<int>& stack, int group, int from) {
    if (group >= 0 && group != from) stack.push_back(group);
  }

  Fusion finish() {
    emit_groups(order_groups());
    for (NodeId i = 0; i < f_.nodes.size(); ++i)
      if (fusion_.group_of[i] < 0 && !is_param(i)) fusion_.storage[i] = Storage::Inline;
    return std::move(fusion_);
  }

  // Groups in dependency order, earliest member first among the ready ones.
  std::vector<int> order_groups() {
    const int n = static_cast<int>(groups_.size());
    std::vector<std::set<int>> next(n);
    std::vector<int> waiting(n, 0);
    auto edge = [&](int a, int b) {
      if (a >= 0 && b >= 0 && a != b && next[a].insert(b).second) ++waiting[b];
    };
    for (NodeId i = 0; i < f_.nodes.size(); ++i) {
      const int g = fusion_.group_of[i];
      if (g < 0) continue;
      for (const ResolvedRead& r : reads_of(i)) edge(fusion_.group_of[r.node], g);
      for (NodeId w : after_[i]) edge(g, fusion_.group_of[w]);
    }
    using Key = std::pair<size_t, int>;
    std::priority_queue<Key, std::vector<Key>, std::greater<>> ready;
    for (int g = 0; g < n; ++g)
      if (waiting[g] == 0) ready.push({first_of(g), g});
    std::vector<int> sorted;
    while (!ready.empty()) {
      const int g = ready.top().second;
      ready.pop();
      sorted.push_back(g);
      for (int b : next[g])
        if (--waiting[b] == 0) ready.push({first_of(b), b});
    }
    GRADC_CHECK(static_cast<int>(sorted.size()) == n, "fused groups of @{} depend on each other", f_.name);
    return sorted;
  }

  void emit_groups(const std::vector<int>& sorted) {
    std::vector<int> renumber(groups_.size(), -1);
    for (int g : sorted) {
      DraftGroup& draft = groups_[g];
      std::sort(draft.members.begin(), draft.members.end(),
                [&](NodeId a, NodeId b) { return position_[a] < position_[b]; });
      Group out{draft.axes, {}, draft.opaque};
      for (NodeId m : draft.members) out.members.push_back(member(m, g));
      renumber[g] = static_cast<int>(fusion_.groups.size());
      fusion_.groups.push_back(std::move(out));
    }
    for (int& g : fusion_.group_of)
      if (g >= 0) g = renumber[g];
  }

  Member member(NodeId m, int g) {
    if (!has_meaning(m)) return {m, Storage::Opaque, true};
    Member out{m, Storage::Register, result_[m]};
    if (meanings_[m]->outputs > static_cast<int>(groups_[g].axes.size())) out.storage = Storage::Scratch;
    for (const Use& u : uses_[m]) out.memory |= fusion_.group_of[u.consumer] != g;
    fusion_.storage[m] = out.memory ? Storage::Memory : out.storage;
    return out;
  }

  const Function& f_;
  FuseOptions options_;
  Fusion fusion_;
  std::vector<std::optional<Meaning>> meanings_;
  std::vector<bool> result_, inline_;
  std::vector<std::vector<NodeId>> after_;  // donation: reader -> writers that must follow it
  std::map<NodeId, NodeId> into_;           // writer -> donated parameter written in place
  std::map<NodeId, int> writes_;
  std::vector<NodeId> order_;
  std::vector<size_t> position_;
  std::map<NodeId, std::vector<ResolvedRead>> reads_;
  std::map<NodeId, std::vector<Use>> uses_;
  std::vector<DraftGroup> groups_;
};

}  // namespace

Fusion fuse(const graph::Module&, const graph::Function& f, const FuseOptions& o) {
  return Fuser(f, o).run();
}

std::string describe(const Fusion& fusion, const graph::Function& f) {
  std::string out;
  auto name = [&](NodeId n) {
    auto it = f.names.find(n);
    return it == f.names.end() ? fmt::format("%{}", n) : "%" + it->second;
  };
  for (const Group& g : fusion.groups) {
    out += fmt::format("group {}{}:", str(g.axes), g.opaque ? " opaque" : "");
    for (const Member& m : g.members) {
      out += fmt::format(" {}:{}", name(m.node), f[m.node].op->name);
      if (m.storage == Storage::Scratch) out += "(scratch)";
      if (m.memory) out += "(memory)";
    }
    out += "\n";
  }
  return out;
}

}  // namespace gradc::passes
