// From fused groups to a step of naive kernels: lowers the groups, expands control flow into step loops and
// branches, adds copies.
#pragma once

#include "ir/step/step.h"
#include "passes/fuse/fusion.h"
#include "passes/report.h"

namespace gradc::passes {

step::Step lower_function(const graph::Module& m, const FusedStep& fused, StepReport* report);

}  // namespace gradc::passes
