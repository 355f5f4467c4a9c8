#include <fmt/format.h>

#include <algorithm>

#include "passes/step/step_passes.h"

namespace gradc::passes {

void plan_kernels(step::Step& s, const ScheduleOptions& options, StepReport* report) {
  ScheduleOptions o = options;
  for (const step::Dim& d : s.dims) o.plan[d.name] = d.plan;
  s.schedules.clear();
  for (const kernel::Kernel& k : s.kernels) s.schedules.push_back(choose_schedule(k, o));
  if (!report) return;
  for (StepReport::KernelNote& n : report->kernels) {
    n.schedule = s.schedules[static_cast<size_t>(n.kernel)];
    n.work = planned_work(s.kernels[static_cast<size_t>(n.kernel)], o);
  }
}

void schedule_kernels(step::Step& s) {
  for (size_t i = 0; i < s.schedules.size(); ++i) s.kernels[i] = apply_schedule(s.kernels[i], s.schedules[i]);
  s.schedules.clear();
}

std::string describe(const StepReport& r) {
  std::string out;
  for (const StepReport::KernelNote& n : r.kernels) {
    const auto& steps = n.schedule.steps;
    const bool parallel = std::any_of(steps.begin(), steps.end(),
                                      [](const kernel::Transform& t) { return t.name == "parallelise"; });
    out += fmt::format("{:24} {:10.0f} operations  {:8}  {:28} {}\n", n.name, n.work,
                       parallel ? "parallel" : "", n.schedule.what, n.members);
  }
  return out;
}

}  // namespace gradc::passes
