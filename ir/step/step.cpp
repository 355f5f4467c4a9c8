// Small facts about steps that everything after the step IR shares.
#include "ir/step/step.h"

namespace gradc::step {

void each_run(const Body& b, const std::function<void(const Run&)>& visit) {
  for (const Stmt& s : b) {
    if (auto* r = std::get_if<Run>(&s))
      visit(*r);
    else if (auto* f = std::get_if<std::shared_ptr<const For>>(&s))
      each_run((*f)->body, visit);
    else if (auto* i = std::get_if<std::shared_ptr<const If>>(&s))
      each_run((*i)->then_body, visit), each_run((*i)->else_body, visit);
  }
}

Body map_runs(const Body& b, const std::function<Run(const Run&)>& f) {
  Body out;
  for (const Stmt& s : b) {
    if (auto* r = std::get_if<Run>(&s))
      out.push_back(f(*r));
    else
      out.push_back(map_bodies(s, [&](const Body& inner) { return map_runs(inner, f); }));
  }
  return out;
}

Stmt map_bodies(const Stmt& s, const std::function<Body(const Body&)>& f) {
  if (auto* l = std::get_if<std::shared_ptr<const For>>(&s)) {
    For made = **l;
    made.body = f((*l)->body);
    return std::make_shared<const For>(std::move(made));
  }
  if (auto* i = std::get_if<std::shared_ptr<const If>>(&s)) {
    If made{(*i)->condition, f((*i)->then_body), {}};
    made.else_body = f((*i)->else_body);
    return std::make_shared<const If>(std::move(made));
  }
  return s;
}

ThreadScratch thread_scratch(const kernel::Kernel& k) {
  ThreadScratch t;
  for (const kernel::Buffer& b : k.buffers) {
    if (b.space != kernel::Space::Scratch) continue;
    t.offsets.push_back(t.bytes);
    t.bytes += (b.layout.size(b.shape).constant_part() * size_of(b.dtype) + 63) / 64 * 64;
  }
  return t;
}

int64_t kernel_scratch_bytes(const Step& s) {
  int64_t most = 0;
  for (const kernel::Kernel& k : s.kernels) most = std::max(most, thread_scratch(k).bytes);
  return most;
}

int64_t thread_area_bytes(const Step& s) { return kernel_scratch_bytes(s) + s.thread_bytes; }

Range range_of(int64_t extent, int64_t tid, int64_t nthreads) {
  const int64_t each = extent / nthreads, rest = extent % nthreads;
  const int64_t begin = tid * each + std::min(tid, rest);
  return {begin, begin + each + (tid < rest ? 1 : 0)};
}

}  // namespace gradc::step
