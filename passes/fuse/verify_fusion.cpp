// Invariants of groups, which lowering relies on: every node is a parameter, a member of one group or
// computed in place. Members have a meaning and live in all axes of their group, which are their leading
// ones; a value computed in place has no combiner, and no node without a meaning reads it. Within a group a
// member is read after it, at the same place of the shared axes, as its storage says; from elsewhere it is
// read from its buffer, in a later group. What overwrites a parameter does it element by element, and
// whatever else reads the parameter comes before, in the same iteration only the element that is written.
// Not checked: that arrays are small enough to be worth it.
#include "ir/graph/text.h"
#include "passes/fuse/donation.h"
#include "passes/fuse/fusion.h"
#include "support/check.h"

namespace gradc::passes {
namespace {

using graph::Function;
using graph::kNone;

class Verifier {
 public:
  Verifier(const Function& f, const Fusion& fusion)
      : f_(f),
        fusion_(fusion),
        place_(f.nodes.size()),
        reads_(f, fusion.in_place),
        seen_(f.nodes.size(), 0) {}

  void run() {
    find_places();
    for (size_t g = 0; g < fusion_.groups.size(); ++g)
      for (const Member& m : fusion_.groups[g].members) {
        verify_operands(m.node);
        if (!fusion_.groups[g].opaque) verify_member(m, fusion_.groups[g]);
        for (const ResolvedRead& r : reads_.of(m.node)) verify_read(m, r);
      }
    verify_results();
  }

 private:
  struct Place {
    int group = -1, member = -1;
  };

  bool is_param(NodeId n) const { return f_[n].op->form == graph::Form::Parameter; }
  std::string text(NodeId n) const {
    const std::string* name = f_.names.find(n);
    return fmt::format("@{}: %{} ({})", f_.name, name ? *name : fmt::format("{}", n), f_[n].op->name);
  }
  const Group& group_of(NodeId n) const { return fusion_.groups[place_[n].group]; }
  const Member& member(NodeId n) const { return group_of(n).members[place_[n].member]; }

  void find_places() {
    GRADC_CHECK(fusion_.in_place.size() == f_.nodes.size(), "@{} has {} nodes, its fusion {}", f_.name,
                f_.nodes.size(), fusion_.in_place.size());
    for (size_t g = 0; g < fusion_.groups.size(); ++g) {
      const Group& group = fusion_.groups[g];
      GRADC_CHECK(
          !group.members.empty() && (!group.opaque || (group.members.size() == 1 && group.axes.empty())),
          "@{}: group {} is empty, or opaque with axes or several members", f_.name, g);
      for (size_t i = 0; i < group.members.size(); ++i) {
        const NodeId n = group.members[i].node;
        GRADC_CHECK(n < f_.nodes.size() && !is_param(n) && !fusion_.in_place[n] && place_[n].group < 0,
                    "{} has two places", text(n));
        GRADC_CHECK(group.opaque != graph::has_meaning(f_[n]), "{} is in a group of the other kind", text(n));
        place_[n] = {static_cast<int>(g), static_cast<int>(i)};
      }
    }
    for (NodeId n = 0; n < f_.nodes.size(); ++n)
      GRADC_CHECK(is_param(n) + fusion_.in_place[n] + (place_[n].group >= 0) == 1, "{} has no place",
                  text(n));
  }

  // What a member reaches through values computed in place; of these, those that nothing reads may be
  // anything.
  void verify_operands(NodeId n) {
    for (NodeId q : f_[n].operands) {
      if (!fusion_.in_place[q]) continue;
      GRADC_CHECK(graph::has_meaning(f_[n]) && graph::has_meaning(f_[q]) &&
                      reads_.meanings()[q]->combine == Combiner::None,
                  "{} is computed in place", text(q));
      if (std::exchange(seen_[q], 1) == 0) verify_operands(q);
    }
  }

  void verify_member(const Member& m, const Group& g) const {
    const Shape& shape = f_.type(m.node).shape;
    const int rank = static_cast<int>(shape.size());
    GRADC_CHECK(m.depth == static_cast<int>(g.axes.size()) && m.depth <= rank, "{} is at depth {} of {} axes",
                text(m.node), m.depth, g.axes.size());
    for (int a = 0; a < m.depth; ++a)
      GRADC_CHECK(shape[a] == g.axes[a].extent, "{} has {} along {}: {}", text(m.node), shape[a].str(),
                  g.axes[a].name, g.axes[a].extent.str());
    if (m.storage == Storage::Memory) GRADC_CHECK(m.memory, "{} is nowhere", text(m.node));
    if (m.storage == Storage::Register)
      GRADC_CHECK(rank == m.depth, "{} is more than one register", text(m.node));
    if (m.storage == Storage::Scratch)
      for (int a = m.depth; a < rank; ++a)
        GRADC_CHECK(shape[a].is_constant(), "{} is an array without a constant size", text(m.node));
  }

  void verify_read(const Member& reader, const ResolvedRead& r) const {
    if (is_param(r.node)) return;
    const Place &from = place_[r.node], &to = place_[reader.node];
    GRADC_CHECK(from.group >= 0, "{} is read by {} and computed nowhere", text(r.node), text(reader.node));
    if (from.group != to.group) {
      GRADC_CHECK(from.group < to.group && member(r.node).memory, "{} has no buffer yet when {} reads it",
                  text(r.node), text(reader.node));
      return;
    }
    const Member& m = member(r.node);
    GRADC_CHECK(from.member < to.member && m.storage != Storage::Memory &&
                    is_identity(r.at, static_cast<size_t>(m.depth)),
                "{} is read by {} in another order than it is computed", text(r.node), text(reader.node));
  }

  void verify_results() const {
    std::set<NodeId> bound, returned;
    std::map<NodeId, NodeId> writer;  // by parameter
    for (const graph::Result& r : f_.results) {
      const NodeId n = r.node;
      GRADC_CHECK(is_param(n) || (place_[n].group >= 0 && member(n).memory),
                  "{} is a result without a buffer", text(n));
      returned.insert(n);
      // The first place that a result is computed into; further ones are copies.
      if (is_param(n) || bound.count(n)) continue;
      if (r.into != kNone && fusion_.copied.count(r.into)) continue;
      const bool updates = r.into != kNone && updates_in_place(f_, n, r.into);
      if (!graph::has_meaning(f_[n]) && !updates) continue;
      bound.insert(n);
      if (r.into != kNone) writer[r.into] = n;
    }
    for (NodeId p : fusion_.copied) GRADC_CHECK(f_.is_donated(p), "{} is copied", text(p));
    for (const auto& [p, n] : writer) {
      GRADC_CHECK(updates_in_place(f_, n, p) || member(n).depth == f_.type(n).rank(),
                  "{} overwrites rows of {}", text(n), text(p));
      GRADC_CHECK(!returned.count(p), "{} is overwritten and returned", text(p));
    }
    for (const Group& g : fusion_.groups)
      for (const Member& m : g.members)
        for (const ResolvedRead& r : reads_.of(m.node))
          if (auto it = writer.find(r.node); it != writer.end()) verify_old_value(m.node, r, it->second);
  }

  void verify_old_value(NodeId reader, const ResolvedRead& r, NodeId writer) const {
    const Place &read = place_[reader], &write = place_[writer];
    const size_t rank = static_cast<size_t>(f_.type(writer).rank());
    if (reader == writer && updates_in_place(f_, writer, r.node)) return;
    const bool same = read.group == write.group && read.member <= write.member && r.at.size() == rank &&
                      is_identity(r.at, rank);
    GRADC_CHECK(read.group < write.group || same, "{} reads {}, which {} has overwritten", text(reader),
                text(r.node), text(writer));
  }

  const Function& f_;
  const Fusion& fusion_;
  std::vector<Place> place_;
  ReadTable reads_;
  std::vector<char> seen_;
};

}  // namespace

void verify(const graph::Module& m, const FusedStep& s) {
  for (const auto& [name, fusion] : s.functions) Verifier(m.at(name), fusion).run();
  const Function& entry = m.at(s.entry);
  for (const Function* f : graph::reached(m, entry))
    GRADC_CHECK(s.functions.count(f->name), "@{} has no groups", f->name);
  for (const auto& [p, state] : s.state) {
    std::vector<StatePlace> places = state.copies;
    places.push_back(state.place);
    for (const auto& [layout, at] : places)
      GRADC_CHECK(p < entry.nodes.size() && entry[p].op->form == graph::Form::Parameter &&
                      layout.fits(entry.type(p).rank()) && at >= 0 && at % 64 == 0 && at <= s.state_bytes,
                  "a node of @{} is state at {}", s.entry, at);
  }
}

}  // namespace gradc::passes
