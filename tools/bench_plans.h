// gradc bench --plans: what the policy of schedules loses against the best plan that a search finds.
#pragma once

#include "driver/compiler.h"
#include "runtime/dataset.h"
#include "tools/commands.h"

namespace gradc {

// Prints a table of the kernels of the training step of `c`, which does not come from a cache, sorted by
// time: the chosen plan and the best, alone and in the step; then the geometric mean of the quotients.
void bench_plans(const Arguments& a, const ModelOptions& o, const Compiled& c, const runtime::Dataset& data);

}  // namespace gradc
