// The passes on steps, one function each; pipeline.cpp lists them with the reasons for their order.
#pragma once

#include "ir/step/step.h"
#include "passes/kernel/schedule.h"
#include "passes/report.h"

namespace gradc::passes {

// Rows of temporaries are kept apart in the caches; kernels learn the strides.
void pad_rows(step::Step& s, StepReport* report);
// A schedule for every kernel. Fills `work` and `schedule` of the report's rows.
void plan_kernels(step::Step& s, const ScheduleOptions& o, StepReport* report);
// The schedules carried out: every kernel's axis loops become tiles, vectors and a parallel loop.
void schedule_kernels(step::Step& s);
// Barriers where two threads could meet; `needless`: after every kernel, for tests.
void insert_barriers(step::Step& s, bool needless);
// Offsets for io and scratch; without `reuse` no two buffers share bytes.
void plan_memory(step::Step& s, bool reuse);

}  // namespace gradc::passes
