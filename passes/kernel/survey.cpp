#include "passes/kernel/survey.h"

#include <algorithm>
#include <cmath>

#include "passes/kernel/rewrite.h"

namespace gradc::passes {

using namespace kernel;

Survey::Survey(const Kernel& k, const ScheduleOptions& o) : k_(k), o_(o), nest_(nest_of(k)) {
  survey(*nest_.body, 0, 1);
  for (const Access& a : accesses_) deepest_ = std::max(deepest_, a.loops);
  // Rows between members are one thread's arrays, which a register tile could not share.
  for (const Buffer& b : k_.buffers) rows_ |= b.space == Space::Scratch;
  for (const Buffer& b : k_.buffers) wide_ |= b.space == Space::Tile && size_of(b.dtype) == 8;
  for (const Buffer& b : k_.buffers) accumulators_ += b.space == Space::Tile;
}

double Survey::total_work() const {
  double n = work_of(*nest_.body);
  for (size_t a = 0; a < nest_.loops.size(); ++a) n *= static_cast<double>(std::max<int64_t>(1, extent(a)));
  return n;
}

int64_t Survey::planned(const Index& e) const {
  return std::max<int64_t>(0, e.evaluate([&](int v) { return middle(v); },
                                         [&](const std::string& d) {
                                           auto it = o_.plan.find(d);
                                           return it == o_.plan.end() ? int64_t{64} : it->second;
                                         }));
}

int64_t Survey::middle(int var) const {
  for (const For* axis : nest_.loops)
    if (axis->var == var) return axis->extent.has_vars() ? 0 : planned(axis->extent) / 2;
  return 0;
}

void Survey::survey(const Body& body, int loops, double times) {
  for (const Stmt& s : body) {
    if (auto* f = std::get_if<std::shared_ptr<const For>>(&s)) {
      has_vector_ |= (*f)->kind == LoopKind::Vector;
      has_serial_ |= (*f)->kind == LoopKind::Serial;
      for (size_t a = 0; a < nest_.loops.size(); ++a)
        if ((*f)->extent.uses_var(nest_.loops[a]->var)) ragged_.insert(a);
      around_.push_back((*f)->var);
      survey((*f)->body, loops + 1, times * static_cast<double>(planned((*f)->extent)));
      around_.pop_back();
    } else if (auto* i = std::get_if<std::shared_ptr<const If>>(&s)) {
      has_branch_ = true;
      survey((*i)->body, loops, times);
    }
    if (auto* c = std::get_if<Load>(&s)) note(c->buffer, c->at, loops, times, false, !c->guards.empty());
    terms_ = std::max(terms_, times);
    if (auto* c = std::get_if<Store>(&s)) note(c->buffer, c->at, loops, times, true, false);
  }
}

void Survey::note(int buffer, const std::vector<Index>& at, int loops, double times, bool stored,
                  bool guarded) {
  const Buffer& b = k_.buffers[buffer];
  int64_t pitch = 0;
  for (size_t i = around_.size(); i-- > 0 && pitch == 0 && b.space != Space::Tile;)
    if (const std::optional<Index> c = near_address(b, at).coefficient_of(around_[i]))
      pitch = c->constant().value_or(0) * size_of(b.dtype);
  accesses_.push_back({buffer, &at, loops, pitch, times, stored || guarded, guarded});
}

double Survey::work_of(const Body& body) const {
  double n = 0;
  for (const Stmt& s : body) {
    if (auto* f = std::get_if<std::shared_ptr<const For>>(&s))
      n += static_cast<double>(planned((*f)->extent)) * work_of((*f)->body);
    else
      n += 1;
  }
  return n;
}

Survey::Strided Survey::strided_accesses(size_t axis) const {
  Strided bad;
  const int var = nest_.loops[axis]->var;
  for (const Access& a : accesses_) {
    const Buffer& b = k_.buffers[a.buffer];
    if (b.space == Space::Tile) continue;
    const Index place = near_address(b, *a.at);
    const std::optional<Index> c = place.coefficient_of(var);
    if (c && (c->is(0) || c->is(1))) continue;
    if (a.loops < deepest_) {
      ++bad.outer;
      continue;
    }
    ++bad.inner;
    bad.fixed += a.unstaged || !shared_widely(place);
  }
  return bad;
}

double Survey::cost_of_lanes(size_t axis) const {
  constexpr double kTransposed = 5, kGathered = 20;  // for each vector
  constexpr double kLoaded = 1.05;                   // where each row is loaded for one vector
  const int64_t lanes = wide_ ? std::max(1, o_.machine.lanes / 2) : o_.machine.lanes;
  const auto all = static_cast<double>(std::max<int64_t>(1, extent(axis)));
  const double vectors = std::ceil(all / static_cast<double>(lanes));
  double cost = terms_ * vectors * (vectors > 1 ? 1 : kLoaded);
  for (size_t a = 0; a < nest_.loops.size(); ++a)
    if (a != axis) cost *= static_cast<double>(extent(a));
  for (const Access& a : accesses_) {
    const Buffer& b = k_.buffers[a.buffer];
    if (b.space == Space::Tile) continue;
    const Index place = near_address(b, *a.at);
    const std::optional<Index> c = place.coefficient_of(nest_.loops[axis]->var);
    if (c && (c->is(0) || c->is(1))) continue;
    double moved = a.times * vectors / all;
    bool squares = a.loops == deepest_ && a.pitch == size_of(b.dtype);
    for (const For* loop : nest_.loops) {
      const std::optional<Index> step = place.coefficient_of(loop->var);
      if (!step || !step->is(0)) moved *= static_cast<double>(planned(loop->extent));
      squares |= a.loops < deepest_ && step && step->is(1);
    }
    cost += moved * (squares ? kTransposed : kGathered);
  }
  return cost;
}

bool Survey::shared_widely(const Index& place) const {
  const int64_t fewest =
      has_serial_ ? 2 : 32;  // of a sum's rows, which share a copy; what it costs is said above
  for (size_t a = 0; a < nest_.loops.size(); ++a)
    if (extent(a) >= fewest && !place.uses_var(nest_.loops[a]->var)) return true;
  return false;
}

bool Survey::shares_loads(size_t axis) const {
  const int var = nest_.loops[axis]->var;
  return std::any_of(accesses_.begin(), accesses_.end(), [&](const Access& access) {
    const Buffer& b = k_.buffers[access.buffer];
    if (b.space != Space::In || access.loops < deepest_) return false;
    const Index place = near_address(b, *access.at);
    return !place.uses_var(var) && uses_other_than_axes(place);
  });
}

int Survey::loads_of_rows_and_lanes(size_t rows, size_t lanes) const {
  return static_cast<int>(std::count_if(accesses_.begin(), accesses_.end(), [&](const Access& a) {
    if (k_.buffers[a.buffer].space == Space::Tile || a.loops < deepest_) return false;
    const Index place = near_address(k_.buffers[a.buffer], *a.at);
    return place.uses_var(nest_.loops[rows]->var) && place.uses_var(nest_.loops[lanes]->var);
  }));
}

bool Survey::suits_rows(size_t axis) const {
  constexpr int64_t kRows = 8;
  return extent(axis) >= kRows && std::none_of(accesses_.begin(), accesses_.end(), [&](const Access& access) {
           const Buffer& b = k_.buffers[access.buffer];
           if (b.space == Space::Tile || access.loops < deepest_) return false;
           const std::optional<Index> c = near_address(b, *access.at).coefficient_of(nest_.loops[axis]->var);
           return c && c->is_constant() && !c->is(0) && c->constant_part() * size_of(b.dtype) % kFewSets == 0;
         });
}

bool Survey::pages_apart(size_t axis) const {
  return std::any_of(accesses_.begin(), accesses_.end(), [&](const Access& access) {
    const Buffer& b = k_.buffers[access.buffer];
    if (b.space == Space::Tile || access.loops < deepest_) return false;
    const std::optional<Index> c = near_address(b, *access.at).coefficient_of(nest_.loops[axis]->var);
    return c && c->is_constant() && c->constant_part() * size_of(b.dtype) >= kPage;
  });
}

bool Survey::uses_other_than_axes(const Index& place) const {
  bool other = false;
  place.substitute([&](int v) {
    other |= std::none_of(nest_.loops.begin(), nest_.loops.end(), [&](auto* l) { return l->var == v; });
    return Index::var(v);
  });
  return other;
}

bool Survey::transposes(size_t lanes, size_t rows) const {
  bool any = false;
  for (const Access& a : accesses_) {
    const Index place = near_address(k_.buffers[a.buffer], *a.at);
    const std::optional<Index> step = place.coefficient_of(nest_.loops[lanes]->var);
    if (step && (step->is(0) || step->is(1))) continue;
    any = true;
    if (!step || a.guarded || place.coefficient_of(nest_.loops[rows]->var) != Index(1) ||
        uses_other_than_axes(place))
      return false;
  }
  return any;
}

bool Survey::far_rows_are_pages(size_t axis, int64_t multiple) const {
  return std::any_of(accesses_.begin(), accesses_.end(), [&](const Access& a) {
    const Buffer& b = k_.buffers[a.buffer];
    if (b.space == Space::Tile || a.loops < deepest_) return false;
    return a.pitch >= kPage && a.pitch % multiple == 0 &&
           near_address(b, *a.at).coefficient_of(nest_.loops[axis]->var) == Index(1) &&
           a.times * static_cast<double>(a.pitch) > 2 * static_cast<double>(o_.machine.near_bytes);
  });
}

bool Survey::lie_together(size_t axis, int64_t vectors) const {
  const int var = nest_.loops[axis]->var;
  return std::none_of(accesses_.begin(), accesses_.end(), [&](const Access& a) {
    const Layout& layout = k_.buffers[a.buffer].layout;
    for (size_t i = 0; a.loops == deepest_ && i < a.at->size(); ++i)
      if (const int64_t block = layout.block_of(static_cast<int>(i));
          block % (vectors * o_.machine.lanes) != 0 && (*a.at)[i].uses_var(var))
        return true;
    return false;
  });
}

double Survey::bytes_side_by_side(size_t axis) const {
  double bytes = 0;
  for (const Access& a : accesses_) {
    const Buffer& b = k_.buffers[a.buffer];
    if (b.space != Space::Tile && a.loops == deepest_ &&
        near_address(b, *a.at).coefficient_of(nest_.loops[axis]->var) == Index(1))
      bytes += a.times * static_cast<double>(size_of(b.dtype) * extent(axis));
  }
  return bytes;
}

const For* Survey::open_sum() const {
  for (const Stmt& s : *nest_.body)
    if (auto* f = std::get_if<std::shared_ptr<const For>>(&s))
      return (*f)->extent.is_constant() ? nullptr : f->get();
  return nullptr;
}

double Survey::bytes_of(const Access& a) const {
  const Buffer& b = k_.buffers[a.buffer];
  const auto given = [&](const Index& e) {  // by the caller: a step of a loop, say
    bool all = true;
    e.substitute([&](int v) {
      all &= std::find(k_.params.begin(), k_.params.end(), v) != k_.params.end();
      return Index::var(v);
    });
    return all;
  };
  auto bytes = static_cast<double>(size_of(b.dtype));
  for (size_t d = 0; d < b.shape.size(); ++d)
    if (!given((*a.at)[d])) bytes *= static_cast<double>(planned(b.shape[d]));
  return bytes;
}

double Survey::bytes_of_all_accesses() const {
  std::map<int, double> by_buffer;
  for (const Access& a : accesses_)
    if (k_.buffers[a.buffer].space < Space::Scratch) by_buffer[a.buffer] = bytes_of(a);
  double all = 0;
  for (const auto& [buffer, bytes] : by_buffer) all += bytes;
  return all;
}

Nest nest_of(const Kernel& k) {
  Nest n{{}, &k.body};
  while (n.body->size() == 1) {
    auto* f = std::get_if<std::shared_ptr<const For>>(&n.body->front());
    if (!f || (*f)->kind != LoopKind::Axis) break;
    n.loops.push_back(f->get());
    n.body = &(*f)->body;
  }
  return n;
}

double planned_work(const Kernel& k, const ScheduleOptions& o) { return Survey(k, o).total_work(); }

}  // namespace gradc::passes
