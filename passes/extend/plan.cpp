#include "passes/extend/plan.h"

#include "ir/graph/op_def.h"
#include "support/diagnostic.h"

namespace gradc::passes {
namespace {

using namespace graph;

class Planner {
 public:
  Planner(const Function& f, const Module& m, const Sequence& s) : f_(f), m_(m), sequence_(s) {
    plan_.nodes.resize(f.nodes.size());
  }

  Plan run() {
    for (NodeId i = 0; i < f_.nodes.size(); ++i) places_.push_back(places(i));
    for (const Result& r : f_.results) plan_.row_results.push_back(ask(r));
    for (NodeId i = static_cast<NodeId>(f_.nodes.size()); i-- > 0;)
      if (plan_.nodes[i].needed()) settle(i);
    return std::move(plan_);
  }

 private:
  Places places(NodeId i) const {
    if (i == sequence_.tokens) return {true, {{sequence_.axis, 0}}};
    std::vector<Places> operands;
    bool tokens = false;
    for (NodeId q : f_[i].operands) operands.push_back(places_[q]), tokens |= places_[q].tokens;
    if (!has_meaning(f_[i])) return {tokens, {}};
    const Meaning m = without_unit_axes(meaning_of(f_, i));
    Places out = places_after(m, operands);
    if (!is_move(m))  // its rows are computed at their own place, whatever they depend on before it
      for (auto& [axis, last] : out.last) last = std::max<int64_t>(last, 0);
    return out;
  }

  bool ask(const Result& r) {
    if (r.name == "checks" || r.name == "..checks") {
      plan_.nodes[r.node].whole = true;
      return false;
    }
    const Shape& shape = f_.type(r.node).shape;
    const auto axis = static_cast<size_t>(sequence_.axis);
    if (!places_[r.node].last.count(sequence_.axis) || axis >= shape.size() ||
        !shape[axis].is(sequence_.places))
      return false;
    plan_.nodes[r.node].rows[sequence_.axis];
    return true;
  }

  void settle(NodeId i) {
    NodePlan& p = plan_.nodes[i];
    if (p.whole && keeps(i)) {
      p.kept = places_[i].last.begin()->first;
      p.rows[p.kept];
    }
    if (i == sequence_.tokens) return;
    for (auto& [axis, narrow] : p.rows) {
      narrow = narrowed(f_, m_, i, axis);
      if (narrow) {
        settle_operands(i, *narrow);
        continue;
      }
      if (p.is_kept() || !is_free(i))
        throw CompileError(location(i), fmt::format("{} {} at one place needs more than one place of what it "
                                                    "is computed from",
                                                    f_[i].op->name, f_.type(i).str()));
      p.whole = true;
    }
    if (p.whole && !p.is_kept())
      for (NodeId q : f_[i].operands) plan_.nodes[q].whole = true;
  }

  void settle_operands(NodeId i, const Narrowed& narrow) {
    for (size_t q = 0; q < f_[i].operands.size(); ++q) {
      NodePlan& operand = plan_.nodes[f_[i].operands[q]];
      if (narrow.row_of[q] >= 0)
        operand.rows[narrow.row_of[q]];
      else
        operand.whole = true;
    }
  }

  // Values by place, of which no part comes from elsewhere.
  bool keeps(NodeId i) const {
    const Places& p = places_[i];
    if (p.last.size() != 1 || p.last.begin()->second != 0) return false;
    const Dim& extent = f_.type(i).shape[static_cast<size_t>(p.last.begin()->first)];
    return extent.is(sequence_.places) && (i == sequence_.tokens || !is_move(meaning_of(f_, i)));
  }
  // Of which a row may be cut out of the whole: the rest is not computed, or the same in every call.
  bool is_free(NodeId i) const {
    return !places_[i].tokens || (has_meaning(f_[i]) && is_move(meaning_of(f_, i)));
  }

  Loc location(NodeId n) const {
    const Loc* loc = f_.locs.find(n);
    return loc ? *loc : Loc{};
  }

  const Function& f_;
  const Module& m_;
  Sequence sequence_;
  std::vector<Places> places_;
  Plan plan_;
};

}  // namespace

Plan plan_extension(const Function& f, const Module& m, const Sequence& sequence) {
  return Planner(f, m, sequence).run();
}

}  // namespace gradc::passes
