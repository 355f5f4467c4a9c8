#include "driver/lower_function.h"

#include <unistd.h>

#include <algorithm>
#include <thread>

#include "ir/graph/bounds.h"
#include "runtime/memory.h"
#include "support/diagnostic.h"

namespace gradc {

void check_dims(const graph::Function& f) {
  for (graph::NodeId p : f.params)
    for (const Dim& d : f.type(p).shape) {
      std::map<std::string, int> names;
      d.collect_dims(names);
      for (const auto& [name, count] : names)
        if (auto it = f.dims.find(name); it == f.dims.end() || it->second.max <= 0)
          throw CompileError(
              {}, fmt::format("dimension {} of {} has no maximum; write func @{}[{} <= N](...)", name,
                              f.type(p).str(), f.name, name));
    }
  graph::check_slices(f);
}

Machine machine_of(const codegen::Target& t) {
  const codegen::TargetInfo info = codegen::resolve(t);
  Machine m;
  m.lanes = info.lanes;
  m.vector_registers = info.vector_registers;
  // Vectors of 16 lanes take two cycles on as many processors as they take one.
  m.rates.gops = 14.0 * std::min(info.lanes, 8);
  if (!info.native) return m;
  constexpr int64_t kLeast = 1 << 18, kMost = 1 << 22;
  if (const long l2 = sysconf(_SC_LEVEL2_CACHE_SIZE); l2 > 0)
    m.near_bytes = std::clamp<int64_t>(l2 / 2, kLeast, kMost);
  m.cores = static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1U, 64U));
  return m;
}

passes::StepOptions step_options(const CompileOptions& o) {
  passes::check_without(o.without);
  passes::StepOptions s;
  s.schedule.machine = machine_of(o.codegen.target);
  if (o.parallel_threshold > 0) s.schedule.machine.parallel_threshold = o.parallel_threshold;
  if (o.rates) s.schedule.machine.rates = *o.rates;
  if (o.near_bytes > 0) s.schedule.machine.near_bytes = o.near_bytes;
  s.schedule.force_rows = o.force_rows;
  s.schedule.force_columns = o.force_columns;
  s.schedule.segments = o.segments;
  s.layouts = o.layouts;
  s.without = o.without;
  return s;
}

int64_t memory_of(const step::Step& s, int threads) {
  return s.state_bytes + s.io_bytes + codegen::scratch_bytes(s, threads);
}

namespace {

// Into more and more segments, until it fits: each time a larger part of the forward pass is run twice.
step::Step within_memory(const step::Step& naive, passes::StepOptions s, const CompileOptions& o,
                         passes::StepReport* report) {
  int64_t least = 0;
  for (const int64_t segments : {1, 2, 3, 4, 6, 8, 12, 16, 24, 32}) {
    s.schedule.segments = segments;
    passes::StepReport made = report ? *report : passes::StepReport{};
    step::Step step = naive;
    passes::run_step_passes(step, s, report ? &made : nullptr);
    const int64_t bytes = memory_of(step, o.memory_threads);
    if (bytes <= o.memory) {
      if (report) *report = std::move(made);
      return step;
    }
    least = segments == 1 ? bytes : std::min(least, bytes);
  }
  throw CompileError({},
                     fmt::format("@{} takes at least {} with {} thread{}, the limit is {}; a smaller batch "
                                 "takes less",
                                 naive.name, runtime::size_text(least), o.memory_threads,
                                 o.memory_threads == 1 ? "" : "s", runtime::size_text(o.memory)));
}

}  // namespace

step::Step lower_naive(const graph::Module& primitive, const graph::Function& f, const CompileOptions& o,
                       const passes::StateBinding& state, passes::StepReport* report) {
  check_dims(f);
  passes::StepOptions s = step_options(o);
  s.fuse.state = state;
  return passes::run_lower(primitive, passes::run_fuse(primitive, f, s, report), report);
}

step::Step finish_step(step::Step naive, const CompileOptions& o, passes::StepReport* report) {
  const passes::StepOptions s = step_options(o);
  if (o.memory > 0) return within_memory(naive, s, o, report);
  passes::run_step_passes(naive, s, report);
  return naive;
}

step::Step lower_function(const graph::Module& primitive, const graph::Function& f, const CompileOptions& o,
                          const passes::StateBinding& state, passes::StepReport* report) {
  return finish_step(lower_naive(primitive, f, o, state, report), o, report);
}

}  // namespace gradc
