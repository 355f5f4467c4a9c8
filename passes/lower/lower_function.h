// From a primitive graph function to a step of naive kernels: fuses, lowers the groups, expands control flow
// into step loops and branches, orders kernels and adds copies.
#pragma once

#include <map>
#include <string>

#include "ir/step/step.h"
#include "passes/fuse/fusion.h"
#include "passes/report.h"

namespace gradc::passes {

struct LowerOptions {
  std::map<std::string, int64_t> state_offsets;  // parameters that live in the state region, by name
  int64_t state_bytes = 0;
  FuseOptions fuse;
  bool pad_rows = true;  // rows of buffers are kept apart from a multiple of 1 KB
};

step::Step lower_function(const graph::Module& m, const graph::Function& f, const LowerOptions& o,
                          StepReport* report);

}  // namespace gradc::passes
