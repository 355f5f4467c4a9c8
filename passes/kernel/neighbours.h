// The plans beside a plan: what a search over schedules walks along. The policy does not use it.
#pragma once

#include <string>
#include <vector>

#include "passes/kernel/schedule.h"

namespace gradc::passes {

// The forms that differ from one in one decision (axes, register tile, blocks, staging, order) and that the
// kernel allows; `refused` counts those that it does not.
struct Neighbours {
  std::vector<LoopForm> allowed;
  int refused = 0;
};
Neighbours neighbours(const kernel::Kernel& k, const LoopForm& form, const ScheduleOptions& o);

// "tile 6x32 of i0, i1; staged; 4 panels a block": one line for one form.
std::string describe(const kernel::Kernel& k, const LoopForm& form);

}  // namespace gradc::passes
