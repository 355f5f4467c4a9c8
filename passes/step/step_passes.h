// The passes on steps, one function each; pipeline.cpp lists them with the reasons for their order.
#pragma once

#include <functional>

#include "ir/step/step.h"
#include "passes/kernel/schedule.h"
#include "passes/report.h"

namespace gradc::passes {

// The layout of a buffer of inputs, outputs or temporaries.
using BufferLayouts = std::function<Layout(const Type&, step::Region)>;
// Rows of temporaries are kept apart in the caches, or buffers lie as `layouts` says where that is given;
// kernels learn how.
void pad_rows(step::Step& s, const BufferLayouts& layouts, const Machine& m, StepReport* report);
// What is large and cheap is made again for readers far behind.
void recompute(step::Step& s, const ScheduleOptions& o, StepReport* report);
// What crosses from the forward to the backward pass is made again but for checkpoints: `segments` of them.
void checkpoint(step::Step& s, const ScheduleOptions& o, StepReport* report);
// Kernels that hand large buffers to one another become tasks over blocks of what they share.
void block_runs(step::Step& s, const ScheduleOptions& o, StepReport* report);
// Loops of kernels that walk memory as one, or make the rows of one register tile, become one.
void merge_loops(step::Step& s, const Machine& m);
// A schedule for every kernel. Fills `work` and `schedule` of the report's rows.
void plan_kernels(step::Step& s, const ScheduleOptions& o, StepReport* report);
// The schedules carried out: every kernel's axis loops become tiles, vectors and a parallel loop.
void schedule_kernels(step::Step& s);
// Results that are read only after much else pass the caches by.
void stream_results(step::Step& s, const Machine& m);
// Barriers where two threads could meet; `needless`: after every kernel, for tests.
void insert_barriers(step::Step& s, bool needless);
// Offsets for io and scratch; without `reuse` no two buffers share bytes.
void plan_memory(step::Step& s, bool reuse);

}  // namespace gradc::passes
