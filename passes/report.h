// What the passes decided, for `--emit=schedule`, the summary and structure tests.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "passes/kernel/schedule.h"
#include "support/machine.h"

namespace gradc::passes {

struct StepReport {
  struct KernelNote {
    std::string name, members;
    int kernel = 0;                                    // its number in the step
    double operations = 0;                             // arithmetic of a run at planned dimensions
    double bytes = 0;                                  // that a run reads and writes, each place once
    double calls = 1;                                  // in a step: loops and tasks count
    std::shared_ptr<const kernel::Schedule> schedule;  // of the kernel; none before the pass `plan`
  };
  std::vector<KernelNote> kernels;  // in the order of their runs
  std::map<std::string, int> fusion_moves;
  int copies = 0;
  Machine machine;  // that the kernels were scheduled for
};

// The time that a run takes at least, seconds: its arithmetic, or its bytes from where they lie.
double least_time(double operations, double bytes, const Machine& m);

// A line for each run of the step's text: the kernel, its calls, operations, bytes, its predicted share of
// the step's time and what that is of, how it is scheduled, the ops in it.
std::string describe(const StepReport& r);

}  // namespace gradc::passes
