#include "driver/lower_function.h"

#include <algorithm>

#include "support/diagnostic.h"

namespace gradc {
namespace {

bool is_off(const CompileOptions& o, std::string_view pass) {
  return std::find(o.without.begin(), o.without.end(), pass) != o.without.end();
}

// Memory is planned for the maximum of every dimension, so each needs one.
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
}

}  // namespace

Machine machine_of(const codegen::Target& t) {
  const codegen::TargetInfo info = codegen::resolve(t);
  Machine m;
  m.lanes = info.lanes;
  m.vector_registers = info.vector_registers;
  return m;
}

step::Step lower_function(const graph::Module& primitive, const graph::Function& f, const CompileOptions& o,
                          const std::map<std::string, int64_t>& state_offsets, int64_t state_bytes,
                          passes::StepReport* report) {
  check_dims(f);
  passes::StepOptions s;
  s.state_offsets = state_offsets;
  s.state_bytes = state_bytes;
  s.schedule.machine = machine_of(o.codegen.target);
  if (o.parallel_threshold > 0) s.schedule.machine.parallel_threshold = o.parallel_threshold;
  s.fuse.enabled = !is_off(o, "fuse");
  s.schedule.tile = !is_off(o, "schedule");
  s.needless_barriers = is_off(o, "barriers");
  s.reuse_memory = !is_off(o, "memory");
  s.pad_rows = !is_off(o, "pad");
  return passes::build_step(primitive, f, s, report);
}

}  // namespace gradc
