#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <limits>

#include "ir/kernel/operations.h"
#include "passes/step/chain.h"
#include "passes/step/step_passes.h"
#include "support/parallel.h"

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

// How often each run of the text is made, in order.
void count_calls(const step::Body& body, const ScheduleOptions& o, double times, std::vector<double>& calls) {
  for (const step::Stmt& st : body)
    if (std::holds_alternative<step::Run>(st)) {
      calls.push_back(times);
    } else if (auto* f = std::get_if<std::shared_ptr<const step::For>>(&st)) {
      const int64_t n = (*f)->extent.evaluate([](int) -> int64_t { return 0; },
                                              [&](const std::string& d) { return o.plan.at(d); });
      count_calls((*f)->body, o, times * static_cast<double>(n), calls);
    } else if (auto* i = std::get_if<std::shared_ptr<const step::If>>(&st)) {
      count_calls((*i)->then_body, o, times, calls);
      count_calls((*i)->else_body, o, times, calls);
    }
}

double bytes_of(const kernel::Kernel& naive, const ScheduleOptions& o) {
  double total = 0;
  for (const KernelAccess::Use& use : access_of(naive, o).uses) total += use.bytes * (use.read + use.written);
  return total;
}

}  // namespace

void plan_kernels(step::Step& s, const ScheduleOptions& options, StepReport* report) {
  ScheduleOptions o = options;
  for (const step::Dim& d : s.dims) o.plan[d.name] = d.plan;
  s.schedules.clear();
  const std::vector<bool> shared = shared_kernels(s);
  ScheduleOptions alone = o;
  alone.machine.parallel_threshold = std::numeric_limits<int64_t>::max();
  s.schedules.resize(s.kernels.size());
  in_parallel(
      s.kernels.size(),
      [&](size_t k) { s.schedules[k] = choose_schedule(s.kernels[k], shared[k] ? o : alone); }, 4);
  if (!report) return;
  std::vector<double> calls;
  count_calls(s.body, o, 1, calls);
  std::vector<StepReport::KernelNote> of_kernel(s.kernels.size());
  for (size_t k = 0; k < s.kernels.size(); ++k) {
    of_kernel[k].schedule = std::make_shared<const kernel::Schedule>(s.schedules[k]);
    of_kernel[k].operations = kernel::count_operations(s.kernels[k], o.plan);
    of_kernel[k].bytes = bytes_of(s.kernels[k], o);
  }
  for (size_t i = 0; i < report->kernels.size(); ++i) {
    StepReport::KernelNote& n = report->kernels[i];
    const StepReport::KernelNote& known = of_kernel.at(static_cast<size_t>(n.kernel));
    n.schedule = known.schedule, n.operations = known.operations, n.bytes = known.bytes,
    n.calls = calls.at(i);
  }
  report->machine = o.machine;
}

void schedule_kernels(step::Step& s) {
  in_parallel(
      s.schedules.size(), [&](size_t i) { s.kernels[i] = apply_schedule(s.kernels[i], s.schedules[i]); }, 4);
  s.schedules.clear();
}

}  // namespace gradc::passes
