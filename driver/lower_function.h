// From one primitive graph function to a step, with the options that commands and tests share.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "codegen/codegen.h"
#include "ir/step/step.h"
#include "passes/step/build_step.h"
#include "support/machine.h"

namespace gradc {

struct CompileOptions {
  codegen::Options codegen;
  // Exact passes that are switched off: fuse, schedule, barriers (one after every kernel), memory (no reuse),
  // pad.
  std::vector<std::string> without;
  // Scalar operations below which a kernel stays on one thread; 0 for the machine's own number.
  int64_t parallel_threshold = 0;
};

// `state_offsets`: parameters that live in the state region, by name.
step::Step lower_function(const graph::Module& primitive, const graph::Function& f, const CompileOptions& o,
                          const std::map<std::string, int64_t>& state_offsets, int64_t state_bytes,
                          passes::StepReport* report = nullptr);
Machine machine_of(const codegen::Target& t);

}  // namespace gradc
