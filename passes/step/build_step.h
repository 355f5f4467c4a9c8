// From a primitive graph function to a step: fuses, lowers and schedules its groups, expands control flow
// into step loops and branches, orders kernels, adds copies and barriers, and plans memory.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "ir/step/step.h"
#include "passes/fuse/fusion.h"
#include "passes/kernel/schedule.h"

namespace gradc::passes {

struct StepOptions {
  std::map<std::string, int64_t> state_offsets;  // parameters that live in the state region, by name
  int64_t state_bytes = 0;
  FuseOptions fuse;
  ScheduleOptions schedule;        // `plan` is filled from the function's dimensions
  bool needless_barriers = false;  // a barrier after every kernel, for tests
  bool reuse_memory = true;
  bool pad_rows = true;  // rows of buffers are kept apart from a multiple of 1 KB
};

// What was decided for each kernel, in order, for `--emit=schedule` and for structure tests.
struct StepReport {
  struct KernelNote {
    std::string name, members, schedule;
    double work = 0;
    bool parallel = false;
  };
  std::vector<KernelNote> kernels;
  std::map<std::string, int> fusion_moves;
  int copies = 0, barriers = 0;
};

step::Step build_step(const graph::Module& m, const graph::Function& f, const StepOptions& o,
                      StepReport* report = nullptr);

// The last two parts of it, on their own: barriers where two threads could meet, then offsets for scratch and
// io.
void insert_barriers(step::Step& s, bool needless);
void plan_memory(step::Step& s, bool reuse);

}  // namespace gradc::passes
