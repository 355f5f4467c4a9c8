// The fusion pass: walks the nodes from results to parameters and places each producer into the group of its
// earliest consumer where the one legality test allows, else into a group of its own. Elementwise groups of
// other consumers then become one with that group, where nothing stands between them.
#include "passes/fuse/fusion.h"

#include <algorithm>
#include <functional>
#include <queue>

#include "ir/graph/text.h"
#include "passes/fuse/donation.h"
#include "passes/fuse/ordered_graph.h"
#include "support/check.h"

namespace gradc::passes {
namespace {

using graph::Function;
using graph::kNone;

constexpr int64_t kMaxScratchElements = 1 << 14;  // a row kernel's arrays stay in L1 and L2
constexpr int kMaxGroupWeight = 192;              // scalar operations: LLVM takes bounded time for a kernel
constexpr size_t kNear = 64;                      // nodes between the first ones of groups that become one

struct DraftGroup {
  std::vector<Dim> axes;
  std::vector<NodeId> members, writers;  // writers: members that overwrite a donated parameter
  bool opaque = false, cut = false, contraction = false, row = false;
  bool pairwise = false, straight = false;  // reductions whose code branches, and others
  int64_t weight = 0;
  size_t first = ~size_t{0};  // the earliest position of a member
};

class Fuser {
 public:
  Fuser(const Function& f, bool enabled, std::map<std::string, int>& moves)
      : f_(f), enabled_(enabled), moves_(moves), reads_(f), donation_(decide_donation(f, reads_)) {}

  Fusion run() {
    prepare();
    for (auto it = donation_.order.rbegin(); it != donation_.order.rend(); ++it) place(*it);
    return finish();
  }

 private:
  bool is_param(NodeId n) const { return f_[n].op->form == graph::Form::Parameter; }
  bool has_meaning(NodeId n) const { return meaning_at(n) != nullptr; }
  const std::shared_ptr<const Meaning>& meaning_at(NodeId n) const { return reads_.meanings()[n]; }
  const Meaning& meaning(NodeId n) const { return *meaning_at(n); }
  bool is_map(NodeId n) const { return has_meaning(n) && meaning(n).combine == Combiner::None; }
  bool overwrites(NodeId n) const { return donation_.into.count(n) > 0; }

  void prepare() {
    const size_t n = f_.nodes.size();
    group_of_.assign(n, -1);
    fusion_.copied = donation_.copied;
    result_.assign(n, false);
    uses_.resize(n);
    position_.resize(n);
    for (const graph::Result& r : f_.results) result_[r.node] = true;
    for (size_t p = 0; p < n; ++p) position_[donation_.order[p]] = p;
    find_carried_reductions();
  }

  // By map: the numbers of output axes of the reductions that it reads through maps, as bits.
  void find_carried_reductions() {
    carried_.assign(f_.nodes.size(), 0);
    for (NodeId i = 0; i < f_.nodes.size(); ++i) {
      if (!is_map(i)) continue;
      for (NodeId q : f_[i].operands)
        if (is_map(q))
          carried_[i] |= carried_[q];
        else if (has_meaning(q))
          carried_[i] |= uint64_t{1} << std::min(meaning(q).outputs, 63);
    }
  }

  struct Use {
    NodeId consumer;
    std::vector<std::vector<Index>> maps;
  };

  // `known`: what the consumer was noted to read before.
  void note_reads(NodeId consumer, const std::vector<ResolvedRead>& known = {}) {
    for (const ResolvedRead& r : reads_.of(consumer)) {
      if (is_param(r.node)) continue;
      Use& use = use_of(r.node, consumer, known);
      if (std::find(use.maps.begin(), use.maps.end(), r.at) == use.maps.end()) use.maps.push_back(r.at);
    }
  }
  Use& use_of(NodeId n, NodeId consumer, const std::vector<ResolvedRead>& known) {
    std::vector<Use>& uses = uses_[n];
    if (!uses.empty() && uses.back().consumer == consumer) return uses.back();
    if (std::any_of(known.begin(), known.end(), [&](const ResolvedRead& k) { return k.node == n; })) {
      auto it =
          std::find_if(uses.rbegin(), uses.rend(), [&](const Use& u) { return u.consumer == consumer; });
      return *it;
    }
    return uses.emplace_back(Use{consumer, {}});
  }

  void place(NodeId p) {
    if (is_param(p) || reads_.is_inline(p)) return;
    if (uses_[p].empty() && !result_[p]) return;  // read by nobody
    if (!has_meaning(p)) {
      new_group(p, true);
    } else if (enabled_ && may_inline(p)) {
      const NodeId c = uses_[p][0].consumer;
      groups_[group_of_[c]].weight += reads_.weight(p);
      for (NodeId w : donation_.after[p]) let_precede(c, w);
      const std::vector<ResolvedRead> before = reads_.of(c);
      reads_.inline_into(p, c);
      ++moves_["inline"];
      note_reads(c, before);
      return;
    } else if (!enabled_ || !join(p)) {
      new_group(p, false);
    }
    note_reads(p);
  }

  // A cheap producer with one reader that evaluates it no more often than a loop of its own would.
  bool may_inline(NodeId p) {
    if (result_[p] || !is_map(p) || uses_[p].size() != 1 || uses_[p][0].maps.size() != 1) return false;
    const NodeId c = uses_[p][0].consumer;
    if (!has_meaning(c) || !has_room(p, groups_[group_of_[c]])) return false;
    for (NodeId w : donation_.after[p])
      if (!(group_of_[c] == group_of_[w] ? same_group_safe(p, c, w) : may_precede(c, w))) return false;
    return element_count(meaning(c).axes) == element_count(meaning(p).axes) || pads_little(f_, c);
  }
  // Whether c, which reads what w overwrites once a producer is computed in it, runs before w or can be made
  // to: nothing of its group waits for w's.
  bool may_precede(NodeId c, NodeId w) {
    const auto& after = donation_.after[c];
    if (std::find(after.begin(), after.end(), w) != after.end()) return true;
    const int from = group_of_[c], to = group_of_[w];
    return to >= 0 && from != to && !order_.reached(std::span(&to, 1), from);
  }
  void let_precede(NodeId c, NodeId w) {
    auto& after = donation_.after[c];
    if (group_of_[c] == group_of_[w] || std::find(after.begin(), after.end(), w) != after.end()) return;
    after.push_back(w);
    order_.add_edge(group_of_[c], group_of_[w]);
  }
  bool has_room(NodeId p, const DraftGroup& g) const {
    return g.weight + reads_.weight(p) <= kMaxGroupWeight;
  }
  // Reads of a donated buffer that move into a member of its writer's group must be of the element that is
  // written there, and come before it.
  bool same_group_safe(NodeId p, NodeId consumer, NodeId writer) {
    if (position_[consumer] > position_[writer]) return false;
    if (!reads_own_element(reads_, p, donation_.into.at(writer))) return false;
    return element_count(meaning(writer).axes) == element_count(meaning(p).axes) &&
           is_identity(uses_[p][0].maps[0], static_cast<size_t>(meaning(p).outputs));
  }

  void new_group(NodeId p, bool opaque) {
    DraftGroup g;
    g.opaque = opaque;
    if (!opaque) g.axes.assign(meaning(p).axes.begin(), meaning(p).axes.begin() + meaning(p).outputs);
    groups_.push_back(std::move(g));
    order_.add();
    ++moves_["new group"];
    add(p, static_cast<int>(groups_.size()) - 1, followers(p));
  }

  // Groups that must run after p's: those that read it, and those that overwrite what it reads.
  std::vector<int> followers(NodeId p) const {
    std::vector<int> out;
    for (const Use& u : uses_[p]) out.push_back(group_of_[u.consumer]);
    for (NodeId w : donation_.after[p])
      if (group_of_[w] >= 0) out.push_back(group_of_[w]);
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
  }

  void add(NodeId p, int group, const std::vector<int>& followers) {
    DraftGroup& g = groups_[group];
    g.members.push_back(p);
    g.weight += reads_.weight(p);
    g.first = std::min(g.first, position_[p]);
    if (overwrites(p)) g.writers.push_back(p);
    group_of_[p] = group;
    for (int next : followers) order_.add_edge(group, next);
    if (has_meaning(p) && meaning(p).combine != Combiner::None) {
      (is_pairwise(p) ? g.pairwise : g.straight) = true;
      if (is_contraction(p))
        g.contraction = true;
      else if (graph::order_of(f_[p]) != Order::Chain)
        g.row = true;
    }
  }

  // A reduction of products of two different reads over more than one element each: worth a register tile.
  bool is_contraction(NodeId p) const {
    const Meaning& m = meaning(p);
    return m.combine == Combiner::Add && m.reads.size() >= 2 && (m.fma || m.body.back().op == ScalarOp::Mul);
  }

  // The group of the earliest reader first; few are tried, since a later one seldom can wait for all others.
  bool join(NodeId p) {
    constexpr size_t kTried = 8;
    const std::vector<int> after = followers(p);
    std::map<int, std::vector<const Use*>> uses;
    for (const Use& u : uses_[p]) uses[group_of_[u.consumer]].push_back(&u);
    std::vector<int> candidates;
    for (const auto& [g, list] : uses) candidates.push_back(g);
    std::sort(candidates.begin(), candidates.end(),
              [&](int a, int b) { return groups_[a].first < groups_[b].first; });
    if (candidates.size() > kTried) candidates.resize(kTried);
    for (int g : candidates) {
      const int depth = has_room(p, groups_[g]) ? legal_depth(p, g, uses[g]) : -1;
      if (depth < 0 || order_.reached(after, g)) continue;
      DraftGroup& group = groups_[g];
      if (depth < static_cast<int>(group.axes.size())) {
        group.axes.resize(static_cast<size_t>(depth));
        group.cut = true;
        ++moves_["cut"];
      }
      group.cut |= meaning(p).outputs > depth;  // p becomes an array over its inner axes
      ++moves_[meaning(p).combine == Combiner::None ? "join map" : "join reduction"];
      add(p, g, after);
      for (int c : candidates)
        if (c != g && may_merge(g, c)) merge(g, c);
      return true;
    }
    return false;
  }

  // Elementwise groups of the same axes that read the same value: one loop reads it once, and where it
  // belongs to the loop it needs no memory.
  bool may_merge(int first, int second) {
    const DraftGroup &a = groups_[first], &b = groups_[second];
    if (!is_elementwise(a) || !is_elementwise(b) || a.axes != b.axes || a.weight + b.weight > kMaxGroupWeight)
      return false;
    // What comes much later would wait in memory until then.
    if (b.first > a.first + kNear) return false;
    const size_t n = a.axes.size();
    for (NodeId m : a.members)
      for (const Use& u : uses_[m])
        if (group_of_[u.consumer] == second)
          for (const auto& map : u.maps)
            if (!is_identity(map, n)) return false;
    for (NodeId m : a.members)
      if (!donation_safe(m, b, n)) return false;
    for (NodeId m : b.members)
      if (!donation_safe(m, a, n)) return false;
    return order_.can_merge(first, second);
  }
  bool is_elementwise(const DraftGroup& g) const {
    return !g.opaque && !g.cut &&
           std::all_of(g.members.begin(), g.members.end(), [&](NodeId m) { return is_map(m); });
  }
  void merge(int first, int second) {
    DraftGroup &a = groups_[first], b = std::exchange(groups_[second], {});
    for (NodeId m : b.members) group_of_[m] = first;
    a.members.insert(a.members.end(), b.members.begin(), b.members.end());
    a.writers.insert(a.writers.end(), b.writers.begin(), b.writers.end());
    a.weight += b.weight;
    a.first = std::min(a.first, b.first);
    order_.merge(first, second);
    ++moves_["merge"];
  }

  // The legality test: each iteration of the group's outer axes reads only what `p` computes there. Gives the
  // depth at which p is placed (the group's axes are cut to it), or -1.
  int legal_depth(NodeId p, int g, const std::vector<const Use*>& uses) {
    const DraftGroup& group = groups_[g];
    if (group.opaque) return -1;
    const Meaning& m = meaning(p);
    const size_t n = group.axes.size(), rank = static_cast<size_t>(m.outputs);
    const size_t shared = std::min(n, rank);
    if (shared == 0 && n > 0) return -1;
    for (const Use* u : uses)
      for (const auto& map : u->maps)
        if (!is_identity(map, shared)) return -1;
    for (size_t i = 0; i < shared; ++i)
      if (!(m.axes[i] == group.axes[i])) return -1;
    if (rank == n && !group.cut)
      return compatible(p, group) && donation_safe(p, group, n) ? static_cast<int>(n) : -1;
    return row_depth(p, group, shared);
  }

  bool is_pairwise(NodeId p) const { return graph::order_of(f_[p]) == Order::Pairwise; }

  // Than it gives: beside another such sum it would have half of the registers, and save little.
  bool reads_much_more(NodeId p) const {
    constexpr double kMore = 16;
    double read = 0;
    for (const ResolvedRead& r : reads_.of(p)) read += planned_count(f_.type(r.node).shape);
    return read >= kMore * planned_count(f_.type(p).shape);
  }

  bool compatible(NodeId p, const DraftGroup& group) const {
    if (meaning(p).combine == Combiner::None) return true;
    // Pairwise sums branch, so that no lanes go along their outputs; they would take those of others.
    if (is_pairwise(p) ? group.straight : group.pairwise) return false;
    if (is_contraction(p)) return !group.row && !(group.contraction && reads_much_more(p));
    return graph::order_of(f_[p]) == Order::Chain || !group.contraction;
  }

  // Row kernels: the group is cut to the axes that all share, values between members are arrays over a row.
  int row_depth(NodeId p, const DraftGroup& group, size_t depth) const {
    if (group.contraction || is_contraction(p)) return -1;
    // A map over the outer axes alone belongs here if it carries the result of a reduction over inner ones.
    const bool carries = carried_[p] >> std::min<size_t>(depth, 63) & 1;
    if (depth < group.axes.size() && meaning(p).combine == Combiner::None && !carries) return -1;
    auto fits = [&](NodeId n) {
      const Meaning& m = meaning(n);
      std::vector<Dim> inner(m.axes.begin() + static_cast<long>(std::min<size_t>(depth, m.outputs)),
                             m.axes.end());
      const bool constant =
          std::all_of(inner.begin(), inner.end(), [](const Dim& d) { return d.is_constant(); });
      // A row group overwrites nothing: another row could still be read.
      return constant && element_count(inner).constant_part() <= kMaxScratchElements && !overwrites(n);
    };
    for (NodeId m : group.members)
      if (!fits(m)) return -1;
    return fits(p) ? static_cast<int>(depth) : -1;
  }

  // In a group over full elements: a member that reads a donated buffer which another member writes reads the
  // element that is written in the same iteration, and before it (what is computed in place in it was to).
  bool donation_safe(NodeId p, const DraftGroup& group, size_t n) const {
    auto safe = [&](NodeId reader, NodeId writer) {
      for (const ResolvedRead& r : reads_.of(reader))
        if (r.node == donation_.into.at(writer) &&
            !(r.at.size() == n && is_identity(r.at, n) && position_[reader] <= position_[writer]))
          return false;
      return true;
    };
    for (NodeId w : group.writers)
      if (!safe(p, w)) return false;
    if (overwrites(p))
      for (NodeId reader : group.members)
        if (!safe(reader, p)) return false;
    return true;
  }

  Fusion finish() {
    emit_groups(order_groups());
    fusion_.in_place.assign(f_.nodes.size(), false);
    for (NodeId i = 0; i < f_.nodes.size(); ++i) fusion_.in_place[i] = group_of_[i] < 0 && !is_param(i);
    return std::move(fusion_);
  }

  // Groups in dependency order. Among those that are ready the one first whose earliest member, or that of a
  // group that waits for it, stands first: a gradient updates its weight while it lies near, and the values
  // that it is made of need not be kept for the end of the step.
  std::vector<int> order_groups() {
    const int n = static_cast<int>(groups_.size());
    std::vector<std::vector<int>> next(n);
    std::vector<int> waiting(n, 0);
    auto edge = [&](int a, int b) {
      if (a >= 0 && b >= 0 && a != b) next[a].push_back(b), ++waiting[b];
    };
    for (NodeId i = 0; i < f_.nodes.size(); ++i) {
      const int g = group_of_[i];
      if (g < 0) continue;
      for (const ResolvedRead& r : reads_.of(i)) edge(group_of_[r.node], g);
      for (NodeId w : donation_.after[i]) edge(g, group_of_[w]);
    }
    std::vector<size_t> first;
    for (const DraftGroup& g : groups_) first.push_back(g.first);
    const std::vector<int> order = sorted(next, waiting, first);
    for (auto g = order.rbegin(); g != order.rend(); ++g)
      for (int b : next[*g]) first[*g] = std::min(first[*g], first[b]);
    return sorted(next, waiting, first);
  }

  // The groups, the ready one with the least key first.
  std::vector<int> sorted(const std::vector<std::vector<int>>& next, std::vector<int> waiting,
                          const std::vector<size_t>& keys) const {
    using Key = std::pair<size_t, int>;
    std::priority_queue<Key, std::vector<Key>, std::greater<>> ready;
    for (size_t g = 0; g < keys.size(); ++g)
      if (waiting[g] == 0) ready.push({keys[g], static_cast<int>(g)});
    std::vector<int> out;
    while (!ready.empty()) {
      const int g = ready.top().second;
      ready.pop();
      out.push_back(g);
      for (int b : next[g])
        if (--waiting[b] == 0) ready.push({keys[b], b});
    }
    GRADC_CHECK(out.size() == keys.size(), "fused groups of @{} depend on each other", f_.name);
    return out;
  }

  void emit_groups(const std::vector<int>& sorted) {
    for (int g : sorted) {
      DraftGroup& draft = groups_[g];
      if (draft.members.empty()) continue;  // merged
      std::sort(draft.members.begin(), draft.members.end(),
                [&](NodeId a, NodeId b) { return position_[a] < position_[b]; });
      Group out{{}, {}, draft.opaque};
      for (const Dim& extent : draft.axes) out.axes.push_back({axis_name(out.axes.size()), extent});
      for (NodeId m : draft.members) out.members.push_back(member(m, g));
      fusion_.groups.push_back(std::move(out));
    }
  }
  // i, j, k, l, then i4, i5, ...
  static std::string axis_name(size_t n) { return n < 4 ? std::string(1, "ijkl"[n]) : fmt::format("i{}", n); }

  Member member(NodeId m, int g) const {
    Member out{m, static_cast<int>(groups_[g].axes.size()), Storage::Memory, result_[m] || !has_meaning(m)};
    for (const Use& u : uses_[m])
      if (group_of_[u.consumer] != g)
        out.memory = true;
      else
        out.storage = meaning(m).outputs > out.depth ? Storage::Scratch : Storage::Register;
    return out;
  }

  const Function& f_;
  bool enabled_;
  std::map<std::string, int>& moves_;
  ReadTable reads_;
  Donation donation_;
  Fusion fusion_;
  std::vector<int> group_of_;  // by node; -1 for nodes computed in place and parameters
  std::vector<bool> result_;
  std::vector<uint64_t> carried_;
  std::vector<size_t> position_;
  std::vector<std::vector<Use>> uses_;
  std::vector<DraftGroup> groups_;
  OrderedGraph order_;
};

}  // namespace

FusedStep fuse(const graph::Module& m, const Function& f, const FuseOptions& o,
               std::map<std::string, int>* moves) {
  FusedStep s{f.name, {}, {}, o.state.table.bytes};
  std::map<std::string, int> made;
  for (const Function* g : graph::reached(m, f))
    s.functions.emplace(g->name, Fuser(*g, o.enabled, made).run());
  std::map<int, std::vector<StatePlace>> copies;
  for (const StateRow& r : o.state.table.rows)
    if (r.derived_from >= 0) copies[r.derived_from].push_back(r.place);
  for (size_t p = 0; p < o.state.row_of_param.size(); ++p) {
    const int row = o.state.row_of_param[p];
    if (row < 0) continue;
    FusedState& state = s.state[f.params.at(p)];
    state.place = o.state.table.rows.at(static_cast<size_t>(row)).place;
    if (const auto of_row = copies.find(row); of_row != copies.end()) state.copies = of_row->second;
  }
  if (moves)
    for (const auto& [move, n] : made) (*moves)[move] += n;
  return s;
}

}  // namespace gradc::passes
