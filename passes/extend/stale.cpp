#include "passes/extend/stale.h"

#include <algorithm>
#include <map>

#include "ir/graph/op_def.h"
#include "passes/extend/mark.h"
#include "passes/extend/mask.h"
#include "support/diagnostic.h"

namespace gradc::passes {
namespace {

using namespace graph;

// Along an axis, of the elements i with i + last > the new place.
struct Behind {
  int64_t last = 0;
  Mark mark;
};
using ByAxis = std::map<int, Behind>;  // axes without one: settled

// Of elements further back, too.
void join(ByAxis& all, int axis, const Behind& b) {
  const auto [it, fresh] = all.emplace(axis, b);
  if (fresh) return;
  const bool stale = it->second.mark.is_stale() || b.mark.is_stale();
  it->second = {std::max(it->second.last, b.last), stale ? Mark::stale() : Mark{}};
}

class Prover {
 public:
  Prover(const Function& f, const Module& m, const Sequence& s, const Plan& plan)
      : f_(f), sequence_(s), plan_(plan), masks_(f, m, s.places), rows_(f.nodes.size()) {}

  void run() {
    for (NodeId i = 0; i < f_.nodes.size(); ++i) {
      wholes_.push_back(whole(i));
      for (const auto& [axis, how] : plan_.nodes[i].rows)
        if (i != sequence_.tokens)
          rows_[i][axis] = how.narrowed ? row(i, *how.narrowed)
                           : how.step   ? stepped(*how.step)
                                        : cut(i, axis);
      if (plan_.nodes[i].is_kept()) require_settled(i, plan_.nodes[i].kept);
    }
    for (size_t r = 0; r < f_.results.size(); ++r)
      if (plan_.row_results[r]) require_settled(f_.results[r].node, sequence_.axis);
  }

 private:
  [[noreturn]] void refuse(NodeId n) const {
    const Loc* loc = f_.locs.find(n);
    throw CompileError(
        loc ? *loc : Loc{},
        fmt::format("{} {} depends on what follows a place, or nothing proves that it does not",
                    f_[n].op->name, f_.type(n).str()));
  }
  void require_settled(NodeId n, int row) {
    for (const auto& [axis, b] : rows_[n][row])
      if (b.mark.is_stale()) refuse(n);
  }

  // Which elements of a value that is there as a whole are of this call or an earlier one.
  Places whole(NodeId i) const {
    if (plan_.nodes[i].is_kept()) return {true, {{plan_.nodes[i].kept, 0}}};
    std::vector<Places> operands;
    bool tokens = i == sequence_.tokens;
    for (NodeId q : f_[i].operands) operands.push_back(wholes_[q]), tokens |= wholes_[q].tokens;
    if (!tokens) return {};
    if (!has_meaning(f_[i])) return {true, {}};
    const Meaning m = without_unit_axes(meaning_of(f_, i));
    return is_move(m) ? places_after(m, operands) : Places{true, {}};
  }

  ByAxis stepped(const Stacked& s) {
    const Operands& operands = f_[s.scan].operands;
    for (size_t q = s.consts + s.carries; q < operands.size(); ++q)
      if (operands[q] != sequence_.tokens) require_settled(operands[q], 0);
    return {};
  }

  // A row of the whole.
  ByAxis cut(NodeId i, int row) const {
    ByAxis out;
    const Places& p = wholes_[i];
    if (p.everywhere()) refuse(i);
    for (const auto& [axis, last] : p.last)
      if (axis != row)
        out[axis] = {last, Mark::stale()};
      else if (last > 0)
        refuse(i);
    return out;
  }

  // What a read brings along the axes of the meaning, those of its reductions too.
  ByAxis brought(NodeId i, const Narrowed& narrow, const Meaning& m, const Read& r) {
    const NodeId q = f_[i].operands[static_cast<size_t>(r.operand)];
    ByAxis from, out;
    if (const int row = narrow.row_of[static_cast<size_t>(r.operand)]; row >= 0) {
      from = rows_[q][row];
    } else {
      if (wholes_[q].everywhere()) refuse(i);
      for (const auto& [axis, last] : wholes_[q].last) from[axis] = {last, Mark::stale()};
    }
    for (const auto& [axis, b] : from) {
      const Index& at = r.at[static_cast<size_t>(axis)];
      if (const auto reach = reach_of(at, m)) {
        join(out, reach->axis, {b.last + reach->shift, reach->exact ? b.mark : b.mark.among_settled()});
      } else {
        const auto most = largest(at, m);
        if (b.mark.is_stale() && (!most || *most + b.last > 0)) refuse(i);
      }
    }
    return out;
  }

  ByAxis row(NodeId i, const Narrowed& narrow) {
    const Meaning m = without_unit_axes(meaning_of(f_, i));
    std::vector<ByAxis> reads;
    std::map<int, int64_t> axes;  // that any read brings something along, and its `last`
    for (const Read& r : m.reads) {
      reads.push_back(brought(i, narrow, m, r));
      for (const auto& [axis, b] : reads.back()) {
        const auto it = axes.emplace(axis, b.last).first;
        it->second = std::max(it->second, b.last);
      }
    }
    ByAxis out;
    for (const auto& [axis, last] : axes) {
      const Mark mark = along(i, narrow, m, reads, axis, last);
      if (mark.is_stale() && axis >= m.outputs) refuse(i);
      if (axis < m.outputs && mark.kind != Mark::Kind::Settled)
        out[axis] = {last, m.combine == Combiner::None ? mark : mark.among_settled()};
    }
    return out;
  }

  // The body, behind the new place along an axis of the meaning.
  Mark along(NodeId i, const Narrowed& narrow, const Meaning& m, const std::vector<ByAxis>& reads, int axis,
             int64_t last) {
    std::vector<Mark> marks;
    for (size_t r = 0; r < m.reads.size(); ++r) {
      const auto it = reads[r].find(axis);
      if (it != reads[r].end())
        marks.push_back(it->second.last == last ? it->second.mark : it->second.mark.among_settled());
      else
        marks.push_back(masked(i, narrow, m.reads[r], axis, last));
    }
    // A read by a number is made of the number too.
    const int first = static_cast<int>(m.axes.size());
    for (size_t r = 0; r < m.reads.size(); ++r)
      for (const std::vector<Index>* list : {&m.reads[r].at, &m.reads[r].guards})
        for (const Index& e : *list)
          for (int n = first; n <= e.max_var(); ++n)
            if (e.uses_var(n)) {
              const bool stale = marks[r].is_stale() || marks[static_cast<size_t>(n - first)].is_stale();
              marks[r] = stale ? Mark::stale() : Mark{};
            }
    if (m.initial >= 0 && marks[static_cast<size_t>(m.initial)].is_stale()) return Mark::stale();
    return mark_of(m.body, marks, f_.fuses());
  }

  // Of an operand that knows nothing of places but its indices.
  Mark masked(NodeId i, const Narrowed& narrow, const Read& r, int axis, int64_t last) {
    const NodeId q = f_[i].operands[static_cast<size_t>(r.operand)];
    if (wholes_[q].tokens || !r.guards.empty()) return {};
    int at = -1;
    for (size_t a = 0; a < r.at.size(); ++a) {
      if (!r.at[a].uses_var(axis)) continue;
      if (at >= 0 || r.at[a].as_var() != axis) return {};
      at = static_cast<int>(a);
    }
    const auto value = masks_.behind(q, narrow.row_of[static_cast<size_t>(r.operand)], at, last);
    return value ? Mark::constant(*value) : Mark{};
  }

  const Function& f_;
  Sequence sequence_;
  const Plan& plan_;
  Masks masks_;
  std::vector<std::map<int, ByAxis>> rows_;  // by node, by the axis of the new place
  std::vector<Places> wholes_;               // of what is there as a whole
};

}  // namespace

void prove_settled(const Function& f, const Module& m, const Sequence& sequence, const Plan& plan) {
  Prover(f, m, sequence, plan).run();
}

}  // namespace gradc::passes
