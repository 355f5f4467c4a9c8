#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <limits>

#include "passes/step/step_passes.h"

namespace gradc::passes {
namespace {

// Kernels that a team runs together, by number; the others run in tasks, each by one thread.
std::vector<bool> shared_kernels(const step::Step& s) {
  std::vector<bool> shared(s.kernels.size(), true), in_task(s.kernels.size(), false);
  const std::function<void(const step::Body&)> visit = [&](const step::Body& body) {
    for (const step::Stmt& st : body)
      if (auto* f = std::get_if<std::shared_ptr<const step::For>>(&st)) {
        if ((*f)->tasks)
          step::each_run((*f)->body,
                         [&](const step::Run& r) { in_task[static_cast<size_t>(r.kernel)] = true; });
        else
          visit((*f)->body);
      } else if (auto* i = std::get_if<std::shared_ptr<const step::If>>(&st)) {
        visit((*i)->then_body), visit((*i)->else_body);
      }
  };
  visit(s.body);
  for (size_t k = 0; k < shared.size(); ++k) shared[k] = !in_task[k];
  return shared;
}

}  // namespace

void plan_kernels(step::Step& s, const ScheduleOptions& options, StepReport* report) {
  ScheduleOptions o = options;
  for (const step::Dim& d : s.dims) o.plan[d.name] = d.plan;
  s.schedules.clear();
  const std::vector<bool> shared = shared_kernels(s);
  ScheduleOptions alone = o;
  alone.machine.parallel_threshold = std::numeric_limits<int64_t>::max();
  for (size_t k = 0; k < s.kernels.size(); ++k)
    s.schedules.push_back(choose_schedule(s.kernels[k], shared[k] ? o : alone));
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
