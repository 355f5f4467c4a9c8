#include <fmt/format.h>

#include "passes/step/step_passes.h"

namespace gradc::passes {

void schedule_kernels(step::Step& s, const ScheduleOptions& options, StepReport* report) {
  ScheduleOptions o = options;
  for (const step::Dim& d : s.dims) o.plan[d.name] = d.plan;
  std::vector<Schedule> chosen;
  for (kernel::Kernel& k : s.kernels) {
    chosen.push_back(choose_schedule(k, o));
    k = apply_schedule(k, chosen.back(), o);
  }
  if (report)
    for (StepReport::KernelNote& n : report->kernels) n.schedule = chosen[static_cast<size_t>(n.kernel)];
}

std::string describe(const StepReport& r) {
  std::string out;
  for (const StepReport::KernelNote& n : r.kernels)
    out += fmt::format("{:24} {:10.0f} operations  {:8}  {:28} {}\n", n.name, n.schedule.work,
                       n.schedule.parallel ? "parallel" : "", n.schedule.why, n.members);
  return out;
}

}  // namespace gradc::passes
