// One function of an IR module, compiled and called with host tensors: what `gradc run` and the tests use.
#pragma once

#include <span>
#include <vector>

#include "driver/lower_function.h"
#include "ir/tensor.h"

namespace gradc {

class CompiledFunction {
 public:
  // The function must be primitive (passes::run_graph_passes). Symbolic dimensions need a maximum.
  CompiledFunction(const graph::Module& m, const graph::Function& f, const CompileOptions& o);
  // A step of the function that was lowered before, or read from text.
  CompiledFunction(const graph::Function& f, step::Step s, const CompileOptions& o);

  // The results in order, computed by `threads` threads. Arguments are copied; donated ones are not changed.
  std::vector<Tensor> run(std::span<const Tensor> args, int threads) const;

  // Milliseconds of `rounds` calls by one team, ascending; donated arguments are updated from call to call.
  std::vector<double> measure(std::span<const Tensor> args, int threads, int rounds) const;

  const step::Step& step() const { return step_; }
  const passes::StepReport& report() const { return report_; }

 private:
  graph::Function f_;
  passes::StepReport report_;  // before step_, whose making fills it
  step::Step step_;
  std::unique_ptr<codegen::Jit> code_;
};

// The same call by the step interpreter, for any step of the function; dimensions in `o` are filled in from
// the arguments.
std::vector<Tensor> interpret_step(const graph::Function& f, const step::Step& s,
                                   std::span<const Tensor> args, step::RunOptions o);

// Calls an entry with a team of threads that meet at a barrier.
void call_entry(gradc_entry_v1 entry, void* state, void* io, void* scratch, const int64_t* table,
                int threads);

}  // namespace gradc
