#include "passes/extend/plan.h"

#include "ir/graph/op_def.h"
#include "support/diagnostic.h"

namespace gradc::passes {
namespace {

using namespace graph;

bool is_check(const Result& r) { return r.name == "checks" || r.name == "..checks"; }

class Planner {
 public:
  Planner(const Function& f, const Module& m, const Sequence& s, const std::vector<bool>& row_results)
      : f_(f), m_(m), sequence_(s) {
    plan_.nodes.resize(f.nodes.size());
    plan_.row_results = row_results;
  }

  Plan run() {
    for (NodeId i = 0; i < f_.nodes.size(); ++i) places_.push_back(places(i));
    for (size_t r = 0; r < f_.results.size(); ++r) ask(f_.results[r], r);
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
    if (const auto s = stacked(f_, i, sequence_.places)) return places_of(f_, *s, places_);
    if (!has_meaning(f_[i])) return {tokens, {}};
    const Meaning m = without_unit_axes(meaning_of(f_, i));
    Places out = places_after(m, operands);
    if (out.everywhere() && m.combine != Combiner::None) guess(out, m, operands);
    if (!is_move(m))  // its rows are computed at their own place, whatever they depend on before it
      for (auto& [axis, last] : out.last) last = std::max<int64_t>(last, 0);
    return out;
  }

  // A mask, which depends on no token, may say which places a result joins. That is left to the proof.
  void guess(Places& out, const Meaning& m, std::span<const Places> operands) const {
    for (const Places& p : operands)
      if (p.everywhere()) return;
    for (int a = 0; a < m.outputs && out.last.empty(); ++a)
      if (m.axes[static_cast<size_t>(a)].is(sequence_.places)) out.last[a] = 0;
  }

  void ask(const Result& r, size_t number) {
    if (is_check(r)) plan_.nodes[r.node].whole = true;
    if (!plan_.row_results[number]) return;
    if (!places_[r.node].last.count(sequence_.axis)) refuse_place(r.node);
    plan_.nodes[r.node].rows[sequence_.axis];
  }

  // Where a value that has no rows by place, or not along its axis, stops to have them.
  [[noreturn]] void refuse_place(NodeId n) const {
    const auto everywhere = [&](NodeId q) { return places_[q].everywhere(); };
    for (;;) {
      const auto& operands = f_[n].operands;
      const auto it = std::find_if(operands.begin(), operands.end(), everywhere);
      if (it == operands.end()) break;
      n = *it;
    }
    throw CompileError(
        location(n),
        fmt::format("{} {} has no axis along which it depends on no later of the {} "
                    "places of {}",
                    f_[n].op->name, f_.type(n).str(), sequence_.places, f_.names.at(sequence_.tokens)));
  }

  void settle(NodeId i) {
    NodePlan& p = plan_.nodes[i];
    if (p.whole && keeps(i)) {
      p.kept = places_[i].last.begin()->first;
      p.rows[p.kept];
    }
    if (i == sequence_.tokens) return;
    for (auto& [axis, row] : p.rows)
      if (!settle_row(i, axis, row)) p.whole = true;
    if (!p.whole || p.is_kept()) return;
    refuse_loop(i);
    for (NodeId q : f_[i].operands) plan_.nodes[q].whole = true;
  }

  // Whether it comes from rows; false where it is cut out of the whole.
  bool settle_row(NodeId i, int axis, RowPlan& row) {
    if (const auto s = stacked(f_, i, sequence_.places); s && axis == 0 && !places_[i].everywhere()) {
      settle_step(*s);
      row.step = s;
      return true;
    }
    row.narrowed = narrowed(f_, m_, i, axis);
    if (row.narrowed) {
      settle_operands(i, *row.narrowed);
      return true;
    }
    if (plan_.nodes[i].is_kept() || !is_free(i))
      throw CompileError(location(i),
                         fmt::format("{} {} at one place needs more than one place of what it is "
                                     "computed from",
                                     f_[i].op->name, f_.type(i).str()));
    return false;
  }

  void settle_step(const Stacked& s) {
    const Node& scan = f_[s.scan];
    const Function& body = m_.at(scan.attrs.function("function"));
    for (NodeId n = 0; n < body.nodes.size(); ++n)
      if (names_functions(body[n]))
        throw CompileError(location(s.scan), fmt::format("a step of the loop holds a {}", body[n].op->name));
    for (size_t q = 0; q < scan.operands.size(); ++q)
      if (q < s.consts + s.carries)
        plan_.nodes[scan.operands[q]].whole = true;
      else
        plan_.nodes[scan.operands[q]].rows[0];
  }

  static bool names_functions(const Node& n) {
    const auto& list = n.attrs.list();
    return std::any_of(list.begin(), list.end(),
                       [](const auto& a) { return std::holds_alternative<FunctionRef>(a.second); });
  }
  void refuse_loop(NodeId i) const {
    const NodeId n = f_[i].op->form == Form::Get ? f_[i].operands[0] : i;
    if (names_functions(f_[n]))
      throw CompileError(location(n), fmt::format("what this {} gives is needed at more than one place, or "
                                                  "depends on what follows it",
                                                  f_[n].op->name));
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
    return extent.is(sequence_.places) && !(has_meaning(f_[i]) && is_move(meaning_of(f_, i)));
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

Plan plan_extension(const Function& f, const Module& m, const Sequence& sequence,
                    const std::vector<bool>& row_results) {
  return Planner(f, m, sequence, row_results).run();
}

}  // namespace gradc::passes
