// One kernel of a training step under plans that the policy did not choose, timed beside the one it chose.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "passes/kernel/neighbours.h"
#include "tools/step_parts.h"

namespace gradc {

// The steps before and behind the pass `schedule`, whose kernels have the same numbers, and what it planned
// by.
struct PlannedStep {
  const step::Step& scheduled;
  step::Step planned;
  passes::ScheduleOptions options;
  std::vector<std::string> without;
};

struct Plan {
  passes::LoopForm form;
  kernel::Kernel kernel;  // scheduled
  std::string entry;
  double ms = 0;  // of a call of the kernel's runs in its piece: the least, then the median
};

// A kernel where it first runs, alone: the other runs of that piece are left out.
struct LoneKernel {
  int number = 0;
  size_t piece = 0;
  double share = 1;     // of its runs in the step that are in the piece
  double ms = 0;        // of all its runs in the step, by a first measurement
  int64_t repeats = 1;  // of the runs in a timed call
};
// The kernels of a step that may be run again and again, the longest first. Left out are those in loops whose
// indices are read from memory: what lies there between the iterations is no index.
std::vector<LoneKernel> lone_kernels(const PlannedStep& s, StepParts& parts);

struct SearchResult {
  LoneKernel kernel;
  Plan chosen;
  std::vector<Plan> faster;  // a few, beyond the noise, the fastest first
  int tried = 0, refused = 0;
  bool complete = false;  // whether time sufficed for all neighbours of the best plan
};
// Goes from plan to plan along the fastest neighbour, for about so many seconds.
SearchResult search_plans(const PlannedStep& s, StepParts& parts, const LoneKernel& k, double seconds);

}  // namespace gradc
