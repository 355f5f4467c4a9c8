#include "driver/lower_function.h"

#include <unistd.h>

#include <algorithm>
#include <thread>

#include "ir/graph/bounds.h"
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
  m.gops = 14.0 * std::min(info.lanes, 8);
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
  if (o.near_bytes > 0) s.schedule.machine.near_bytes = o.near_bytes;
  s.schedule.force_rows = o.force_rows;
  s.schedule.force_columns = o.force_columns;
  s.layouts = o.layouts;
  s.without = o.without;
  return s;
}

step::Step lower_function(const graph::Module& primitive, const graph::Function& f, const CompileOptions& o,
                          const passes::StateBinding& state, passes::StepReport* report) {
  check_dims(f);
  passes::StepOptions s = step_options(o);
  s.fuse.state = state;
  return passes::build_step(primitive, f, s, report);
}

}  // namespace gradc
