// What the passes decided, for `--emit=schedule`, the summary and structure tests.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "passes/kernel/schedule.h"

namespace gradc::passes {

struct StepReport {
  struct KernelNote {
    std::string name, members;
    int kernel = 0;   // its number in the step
    double work = 0;  // scalar operations at planned dimensions
    kernel::Schedule schedule;
  };
  std::vector<KernelNote> kernels;  // in the order of their runs
  std::map<std::string, int> fusion_moves;
  int copies = 0;
};

// A line for each run: the kernel, its work, how it is scheduled, the ops in it.
std::string describe(const StepReport& r);

}  // namespace gradc::passes
