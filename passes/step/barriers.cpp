// Places barriers: between two accesses to one buffer, at least one a write, that different threads may make.
// What thread 0 alone does before and after needs none.
#include <map>

#include "passes/step/step_passes.h"

namespace gradc::passes {
namespace {

using namespace step;

struct Access {
  bool written = false;
  bool alone = true;  // only thread 0 touched it
};
using Pending = std::map<int, Access>;  // since the last barrier, by buffer

class Inserter {
 public:
  Inserter(const Step& s, bool needless) : s_(s), needless_(needless) {}

  Body run(const Body& body, Pending& pending) {
    Body out;
    for (const Stmt& s : body) {
      if (std::holds_alternative<step::Barrier>(s)) continue;
      if (auto* r = std::get_if<Run>(&s))
        add_run(*r, pending, out);
      else if (auto* f = std::get_if<std::shared_ptr<const For>>(&s))
        (*f)->tasks ? add_tasks(*f, pending, out) : add_for(**f, pending, out);
      else
        add_if(*std::get<std::shared_ptr<const If>>(s), pending, out);
    }
    return out;
  }

 private:
  static void barrier(Pending& pending, Body& out) {
    if (!pending.empty()) out.push_back(step::Barrier{});
    pending.clear();
  }

  void add_run(const Run& r, Pending& pending, Body& out) {
    const bool alone = kernel::parallel_loop(s_.kernels[r.kernel]) == nullptr;
    if (needless_ || conflicts(r, pending, alone)) barrier(pending, out);
    note(r, pending, alone);
    out.push_back(r);
  }
  bool conflicts(const Run& r, const Pending& pending, bool alone) const {
    const kernel::Kernel& k = s_.kernels[r.kernel];
    for (size_t i = 0; i < r.buffers.size(); ++i) {
      auto it = pending.find(r.buffers[i]);
      if (it == pending.end()) continue;
      const bool writes = k.buffers[i].space != kernel::Space::In;
      if ((writes || it->second.written) && !(alone && it->second.alone)) return true;
    }
    return false;
  }
  void note(const Run& r, Pending& pending, bool alone) const {
    const kernel::Kernel& k = s_.kernels[r.kernel];
    for (size_t i = 0; i < r.buffers.size(); ++i) {
      if (s_.buffers[r.buffers[i]].region == Region::Thread) continue;
      Access& a = pending[r.buffers[i]];
      a.written |= k.buffers[i].space != kernel::Space::In;
      a.alone &= alone;
    }
  }

  // Threads meet nowhere within tasks; to what stands around, they are one parallel run.
  void add_tasks(const std::shared_ptr<const For>& f, Pending& pending, Body& out) {
    bool conflict = needless_;
    each_run(f->body, [&](const Run& r) { conflict |= conflicts(r, pending, false); });
    if (conflict) barrier(pending, out);
    each_run(f->body, [&](const Run& r) { note(r, pending, false); });
    out.push_back(f);
  }

  // An iteration meets the next one at a barrier, and so do the loop and what surrounds it.
  void add_for(const For& f, Pending& pending, Body& out) {
    barrier(pending, out);
    Pending inside;
    For n{f.var, f.extent, run(f.body, inside), f.condition, false};
    barrier(inside, n.body);
    // The condition that the last iteration read is not written before all threads have read it.
    if (f.condition >= 0 && !n.body.empty()) n.body.insert(n.body.begin(), step::Barrier{});
    out.push_back(std::make_shared<const For>(std::move(n)));
  }

  // Every thread reads the condition.
  void add_if(const If& f, Pending& pending, Body& out) {
    auto it = pending.find(f.condition);
    if (it != pending.end() && it->second.written) barrier(pending, out);
    Access& a = pending[f.condition];
    a.alone = false;
    Pending in_then = pending, in_else = pending;
    If n{f.condition, run(f.then_body, in_then), run(f.else_body, in_else)};
    barrier(in_then, n.then_body);
    barrier(in_else, n.else_body);
    pending.clear();
    out.push_back(std::make_shared<const If>(std::move(n)));
  }

  const Step& s_;
  bool needless_;
};

}  // namespace

void insert_barriers(Step& s, bool needless) {
  Pending pending;
  s.body = Inserter(s, needless).run(s.body, pending);
}

}  // namespace gradc::passes
