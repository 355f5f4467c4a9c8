// From one primitive graph function to a step, with the options that commands and tests share.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "codegen/codegen.h"
#include "ir/step/step.h"
#include "passes/pipeline.h"
#include "support/machine.h"

namespace gradc {

struct CompileOptions {
  codegen::Options codegen;
  std::vector<std::string> without;  // switchable passes (passes/pipeline.cpp) that are left out
  // Scalar operations below which a kernel stays on one thread; 0 for the machine's own number.
  int64_t parallel_threshold = 0;
  std::optional<Rates> rates;  // that were measured here; else those of the instruction set
  int64_t near_bytes = 0;      // what a core is taken to keep near it; 0 for the machine's own number
  int64_t force_rows = 0, force_columns = 0;  // of every register tile, for tests
  passes::BufferLayouts layouts;              // of buffers that are not state, for tests
  // Bytes that a call may take: state, inputs, outputs and temporaries with those of `memory_threads`
  // threads. 0: as many as are fastest.
  int64_t memory = 0;
  int memory_threads = 1;
  int64_t segments = 0;  // into which the forward pass is cut, where `memory` is not given
};

// CompileError where a dimension has no maximum, for which memory is planned, or where a slice leaves its
// operand at some size up to the maxima.
void check_dims(const graph::Function& f);
passes::StepOptions step_options(const CompileOptions& o);
// What a call of it takes, as CompileOptions::memory counts.
int64_t memory_of(const step::Step& s, int threads);
// A function as a step of naive kernels; what follows for all entries of a program together is
// passes::run_program_passes; then the rest for each: CompileError where it cannot be made to fit into the
// memory that is allowed.
// `state`: where the parameters lie that are state; none is without.
step::Step lower_naive(const graph::Module& primitive, const graph::Function& f, const CompileOptions& o,
                       const passes::StateBinding& state = {}, passes::StepReport* report = nullptr);
step::Step finish_step(step::Step naive, const CompileOptions& o, passes::StepReport* report = nullptr);
// Both, of a function that is no part of a program.
step::Step lower_function(const graph::Module& primitive, const graph::Function& f, const CompileOptions& o,
                          const passes::StateBinding& state = {}, passes::StepReport* report = nullptr);
Machine machine_of(const codegen::Target& t);

}  // namespace gradc
