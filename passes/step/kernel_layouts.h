// Kernels know how their buffers lie: what follows when layouts of a step's buffers change.
#pragma once

#include "ir/step/step.h"
#include "passes/report.h"

namespace gradc::passes {

// Gives each run a kernel that knows the layouts of its buffers: a kernel that runs on buffers of several
// layouts becomes several.
void adopt_layouts(step::Step& s, StepReport* report);

}  // namespace gradc::passes
