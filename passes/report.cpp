#include "passes/report.h"

#include <fmt/format.h>

#include <algorithm>

namespace gradc::passes {
namespace {

double arithmetic_time(double operations, const Machine& m) { return operations / (1e9 * m.rates.gops); }
double memory_time(double bytes, const Machine& m) {
  return bytes / (1e9 * (bytes <= static_cast<double>(m.near_bytes) ? m.rates.near_gbs : m.rates.far_gbs));
}

}  // namespace

double least_time(double operations, double bytes, const Machine& m) {
  return std::max(arithmetic_time(operations, m), memory_time(bytes, m));
}

std::string describe(const StepReport& r) {
  double sum = 0;
  for (const StepReport::KernelNote& n : r.kernels)
    sum += n.calls * least_time(n.operations, n.bytes, r.machine);
  std::string out = fmt::format("{:24} {:>6} {:>12} {:>12} {:>9}  {:10} {:8}  {:28} {}\n", "kernel", "calls",
                                "operations", "bytes", "predicted", "by", "", "schedule", "ops in it");
  for (const StepReport::KernelNote& n : r.kernels) {
    const auto& steps = n.schedule->steps;
    const bool parallel = std::any_of(steps.begin(), steps.end(),
                                      [](const kernel::Transform& t) { return t.name == "parallelise"; });
    const bool arithmetic = arithmetic_time(n.operations, r.machine) >= memory_time(n.bytes, r.machine);
    out += fmt::format(
        "{:24} {:6.0f} {:12.0f} {:12.0f} {:7.1f} %  {:10} {:8}  {:28} {}\n", n.name, n.calls, n.operations,
        n.bytes, sum > 0 ? 100 * n.calls * least_time(n.operations, n.bytes, r.machine) / sum : 0.0,
        arithmetic ? "arithmetic" : "memory", parallel ? "parallel" : "", n.schedule->what, n.members);
  }
  return out;
}

}  // namespace gradc::passes
