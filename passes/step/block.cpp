// Kernels that hand large buffers to one another run block by block: a loop of tasks over the indices that
// all of them share, each task a few rows of every kernel, so that what they hand on stays near the core that
// made it. A buffer that nobody else reads shrinks to such a block, one for each thread. Chains are found by
// their accesses and taken by the bytes that they save. Loops whose kernels all run over one index become
// tasks too, each the whole loop for some values of it, so that threads meet nowhere in them (part.h).
#include <algorithm>
#include <deque>
#include <numeric>
#include <optional>
#include <utility>

#include "passes/step/part.h"
#include "passes/step/step_passes.h"
#include "passes/step/task_kernel.h"

namespace gradc::passes {
namespace {

using namespace step;

constexpr size_t kAhead = 24;  // runs that are looked at for the next member of a chain

class Blocker {
 public:
  Blocker(Step& s, const ScheduleOptions& o, StepReport* report)
      : s_(s), o_(o), report_(report), uses_(s.buffers.size()), cutter_(s, o, uses_) {
    for (const step::Dim& d : s.dims) o_.plan[d.name] = d.plan;
  }

  // `far`: whether there are buffers that chains could save the bytes of.
  void run(bool far) {
    far_ = far;
    each_run(s_.body, [&](const Run& r) {
      for (int b : r.buffers) ++uses_[b];
    });
    count_conditions(s_.body);
    for (int b : s_.outputs) ++uses_[b];
    for (const kernel::Kernel& k : s_.kernels) access_.push_back(access_of(k, o_));
    s_.body = body(s_.body);
    for (const Renamed& r : shrunk_)
      s_.buffers[r.buffer].region = Region::Thread, s_.buffers[r.buffer].shape = r.shape;
    drop_kernels_without_runs();
    if (report_) report_->kernels = std::move(notes_);
  }

 private:
  struct Item {
    Run run;
    size_t note;  // its row of the report
  };
  using Items = std::deque<Item>;
  struct Renamed {
    int buffer;
    Shape shape;
  };

  void count_conditions(const Body& b) {
    for (const Stmt& st : b)
      if (auto* f = std::get_if<std::shared_ptr<const For>>(&st)) {
        if ((*f)->condition >= 0) ++uses_[(*f)->condition];
        count_conditions((*f)->body);
      } else if (auto* i = std::get_if<std::shared_ptr<const If>>(&st)) {
        ++uses_[(*i)->condition];
        count_conditions((*i)->then_body), count_conditions((*i)->else_body);
      }
  }

  Body body(const Body& b) {
    Body out;
    Items items;
    for (const Stmt& st : b) {
      if (auto* r = std::get_if<Run>(&st)) {
        items.push_back({*r, seen_++});
        continue;
      }
      straight(std::exchange(items, {}), out);
      auto* f = std::get_if<std::shared_ptr<const For>>(&st);
      if (!f || !part(**f, out))
        out.push_back(map_bodies(st, [&](const Body& inner) { return body(inner); }));
    }
    straight(std::move(items), out);
    return out;
  }

  // A loop as tasks, and what may follow it as a loop of its own. False where it stays as it is.
  bool part(const For& f, Body& out) {
    const std::optional<LoopPart> p = part_of_loop(s_, f, access_, o_);
    if (!p) return false;
    Items items;
    for (const Stmt& st : f.body) items.push_back({std::get<Run>(st), seen_++});
    emit_loop(f, *p, items, out);
    return true;
  }
  void emit_loop(const For& f, const LoopPart& p, const Items& items, Body& out) {
    For tasks{s_.vars++, p.chain.shared()[0].extent.ceil_div(p.cut.block), {}, -1, true};
    For inside{s_.vars++, f.extent, {}, -1, false}, behind{s_.vars++, f.extent, {}, -1, false};
    const auto moved = [&](Run r, int var) {
      for (Index& e : r.params) e = e.substitute([&](int v) { return Index::var(v == f.var ? var : v); });
      return r;
    };
    for (size_t m = 0; m < p.members.size(); ++m) {
      const Item& item = items[p.members[m]];
      Run r = moved(item.run, inside.var);
      r.kernel = number(task_kernel(s_.kernels[r.kernel], p.chain, m, p.cut, {}));
      r.params.push_back(Index::var(tasks.var) * p.cut.block);
      inside.body.push_back(r);
      note(item, r.kernel);
    }
    tasks.body.push_back(std::make_shared<const For>(std::move(inside)));
    out.push_back(std::make_shared<const For>(std::move(tasks)));
    if (p.rest.empty()) return;
    Items rest;
    for (size_t i : p.rest) {
      rest.push_back({moved(items[i].run, behind.var), items[i].note});
      behind.body.push_back(rest.back().run);
    }
    if (const std::optional<LoopPart> next = part_of_loop(s_, behind, access_, o_))
      return emit_loop(behind, *next, rest, out);
    for (const Item& i : rest) note(i, i.run.kernel);
    out.push_back(std::make_shared<const For>(std::move(behind)));
  }

  // Runs without control flow between them.
  void straight(Items items, Body& out) {
    while (!items.empty()) {
      std::optional<Taken> t = far_ ? chain_from(items, 0) : std::nullopt;
      // A chain that gains more without its first run begins later.
      if (t && items.size() > 1)
        if (const std::optional<Taken> later = chain_from(items, 1); later && later->cut.saved > t->cut.saved)
          t.reset();
      if (!t) {
        emit(items.front(), out);
        items.pop_front();
        continue;
      }
      for (size_t i : t->before) emit(items[i], out);
      emit_tasks(*t, items, out);
      std::vector<Item> rest;
      for (size_t i : t->after) rest.push_back(items[i]);
      items.erase(items.begin(), items.begin() + static_cast<long>(t->looked_at));
      items.insert(items.begin(), rest.begin(), rest.end());
    }
  }
  void emit(const Item& i, Body& out) {
    out.push_back(i.run);
    if (report_) notes_.push_back(report_->kernels[i.note]);
  }

  // A chain of the first run with later ones; runs between them go before or behind.
  struct Taken {
    Chain chain;
    Cut cut;
    std::vector<size_t> members, before, after;
    size_t looked_at = 0;
  };
  std::optional<Taken> chain_from(const Items& items, size_t from) const {
    const Run& first = items[from].run;
    if (!can_join(first) || !writes_much(items[from])) return std::nullopt;
    Taken t{Chain(first, access_of_run(items[from])), {}, {from}, {}, {}, from + 1};
    std::optional<Taken> best;
    for (size_t i = from + 1; i < std::min(items.size(), from + kAhead); ++i) {
      const Run& r = items[i].run;
      t.looked_at = i + 1;
      if (conflicts(items, t.after, r)) {
        t.after.push_back(i);
        continue;
      }
      if (join(t, best, items, i))
        pull(t, best, items);
      else
        (conflicts(items, t.members, r) ? t.after : t.before).push_back(i);
    }
    return best;
  }
  // Takes a run into the chain where that saves no less.
  bool join(Taken& t, std::optional<Taken>& best, const Items& items, size_t i) const {
    Chain longer = t.chain;
    if (!can_join(items[i].run) || !longer.join(items[i].run, access_of_run(items[i]))) return false;
    const std::optional<Cut> cut = cutter_.cut(longer);
    if (cut ? best && cut->saved < best->cut.saved : best.has_value()) return false;
    t.chain = std::move(longer);
    t.members.push_back(i);
    if (cut) t.cut = *cut, best = t;
    return true;
  }
  // What was to run before the tasks, though the chain reads it now, and nothing else before the tasks does.
  void pull(Taken& t, std::optional<Taken>& best, const Items& items) const {
    for (size_t n = t.before.size(); n-- > 0;) {
      const size_t i = t.before[n];
      const std::vector<size_t> later(t.before.begin() + static_cast<long>(n) + 1, t.before.end());
      if (!conflicts(items, t.members, items[i].run) || conflicts(items, later, items[i].run)) continue;
      const std::vector<size_t> all = t.before;
      t.before.erase(t.before.begin() + static_cast<long>(n));
      if (!join(t, best, items, i)) t.before = all;
    }
  }
  const KernelAccess& access_of_run(const Item& i) const {
    return access_[static_cast<size_t>(i.run.kernel)];
  }
  bool writes_much(const Item& i) const {
    const std::vector<KernelAccess::Use>& uses = access_of_run(i).uses;
    for (size_t p = 0; p < uses.size(); ++p)
      if (uses[p].written && cutter_.is_large(i.run.buffers[p], uses[p])) return true;
    return false;
  }
  bool can_join(const Run& r) const {
    std::set<int> distinct(r.buffers.begin(), r.buffers.end());
    if (distinct.size() != r.buffers.size()) return false;
    return std::none_of(r.buffers.begin(), r.buffers.end(), [&](int b) {
      return s_.buffers[b].derived_from >= 0 || s_.buffers[b].region == Region::Thread;
    });
  }
  bool conflicts(const Items& items, const std::vector<size_t>& others, const Run& r) const {
    return std::any_of(others.begin(), others.end(), [&](size_t i) { return conflict(s_, items[i].run, r); });
  }

  void emit_tasks(const Taken& t, const Items& items, Body& out) {
    std::set<int> inner;
    for (int b : t.chain.written())
      if (cutter_.is_inner(t.chain, b)) inner.insert(b);
    For tasks{s_.vars++, 1, {}, -1, true}, blocks{-1, 1, {}, -1, false};
    const SharedIndex& last = t.chain.shared()[t.cut.indices - 1];
    if (last.summed) blocks.var = s_.vars++, blocks.extent = last.extent.ceil_div(t.cut.block);
    std::vector<Index> starts(t.cut.indices);
    Index rest = Index::var(tasks.var);
    for (size_t i = t.cut.indices - last.summed; i-- > 0;) {
      const int64_t size = i + 1 == t.cut.indices ? t.cut.block : 1;
      const Index count = t.chain.shared()[i].extent.ceil_div(size);
      starts[i] = (i == 0 ? rest : rest.mod(count)) * size;
      rest = rest.floor_div(count);
      tasks.extent = tasks.extent * count;
    }
    if (last.summed) {
      start_sums(t, items, inner, starts, tasks.body);
      starts.back() = Index::var(blocks.var) * t.cut.block;
    }
    Body& body = last.summed ? blocks.body : tasks.body;
    for (size_t m : in_order(t)) {
      const Item& item = items[t.members[m]];
      Run r = item.run;
      r.kernel = number(task_kernel(s_.kernels[r.kernel], t.chain, m, t.cut, inner));
      r.params.insert(r.params.end(), starts.begin(), starts.end());
      for (size_t i = 0; i < r.buffers.size(); ++i)
        if (inner.count(r.buffers[i]))
          shrunk_.push_back({r.buffers[i], s_.kernels[r.kernel].buffers[i].shape});
      body.push_back(r);
      note(item, r.kernel);
    }
    if (last.summed) tasks.body.push_back(std::make_shared<const For>(std::move(blocks)));
    out.push_back(std::make_shared<const For>(std::move(tasks)));
  }
  // Members in the order of their runs; they joined in another where one was pulled in.
  static std::vector<size_t> in_order(const Taken& t) {
    std::vector<size_t> order(t.members.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return t.members[a] < t.members[b]; });
    return order;
  }
  void start_sums(const Taken& t, const Items& items, const std::set<int>& inner,
                  const std::vector<Index>& starts, Body& body) {
    for (size_t m : in_order(t)) {
      const KernelAccess& a = *t.chain.accesses()[m];
      if (!a.is_sum(t.chain.shared()[t.cut.indices - 1].loops[m])) continue;
      const Item& item = items[t.members[m]];
      Run r{number(start_kernel(s_.kernels[item.run.kernel], t.chain, m, t.cut, inner)),
            {item.run.buffers[*a.sum]},
            item.run.params};
      r.params.insert(r.params.end(), starts.begin(), starts.end());
      body.push_back(r);
      note(item, r.kernel);
    }
  }
  void note(const Item& item, int kernel) {
    if (!report_) return;
    notes_.push_back(report_->kernels[item.note]);
    notes_.back().kernel = kernel;
  }

  // Equal kernels are one.
  int number(kernel::Kernel k) {
    const auto [it, fresh] = numbers_.emplace(kernel::canonical_text(k), static_cast<int>(s_.kernels.size()));
    if (fresh) s_.kernels.push_back(std::move(k));
    return it->second;
  }

  void drop_kernels_without_runs() {
    std::vector<int> now(s_.kernels.size(), -1);
    std::vector<kernel::Kernel> kept;
    each_run(s_.body, [&](const Run& r) {
      int& n = now[static_cast<size_t>(r.kernel)];
      if (n >= 0) return;
      n = static_cast<int>(kept.size());
      kept.push_back(std::move(s_.kernels[static_cast<size_t>(r.kernel)]));
    });
    s_.body = map_runs(s_.body, [&](Run r) {
      r.kernel = now[static_cast<size_t>(r.kernel)];
      return r;
    });
    s_.kernels = std::move(kept);
    for (StepReport::KernelNote& n : notes_) n.kernel = now[static_cast<size_t>(n.kernel)];
  }

  Step& s_;
  ScheduleOptions o_;
  StepReport* report_;
  std::vector<int> uses_;  // by buffer
  Cutter cutter_;
  std::vector<KernelAccess> access_;  // by kernel
  std::map<std::string, int> numbers_;
  std::vector<Renamed> shrunk_;
  std::vector<StepReport::KernelNote> notes_;
  size_t seen_ = 0;
  bool far_ = false;
};

bool has_loops(const Body& b) {
  return std::any_of(b.begin(), b.end(), [](const Stmt& st) {
    if (auto* i = std::get_if<std::shared_ptr<const If>>(&st))
      return has_loops((*i)->then_body) || has_loops((*i)->else_body);
    return std::holds_alternative<std::shared_ptr<const For>>(st);
  });
}

}  // namespace

void block_runs(Step& s, const ScheduleOptions& o, StepReport* report) {
  const bool far = is_far(largest_temporary(s), o.machine);
  if (far || has_loops(s.body)) Blocker(s, o, report).run(far);
}

}  // namespace gradc::passes
