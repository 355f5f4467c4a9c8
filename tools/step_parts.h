// The training step cut at its top-level statements, each an entry of its own over the memory of the step:
// called in order, the data are a training step's, and so is what the caches hold.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "driver/compiler.h"
#include "runtime/runner.h"

namespace gradc {

double now_ms();
double thread_ms();  // that the processor gave to this thread, whatever else it did
double median(std::vector<double> v);
// Prepares a call of the training step: the batch in its place, the step's scalars set.
void begin_step(runtime::Runner& runner, const runtime::Dataset& data, int total, int step);

const step::Step& train_step(const Compiled& c);
const passes::StepReport& train_report(const Compiled& c);

struct Piece {
  step::Step step;
  int kernel = -1;  // its number in the step; -1 for a loop or branch
  std::string name, members;
  std::vector<passes::StepReport::KernelNote> runs;  // in its text
};
std::vector<Piece> pieces_of(const step::Step& s, const passes::StepReport& report);

class StepParts {
 public:
  StepParts(const Compiled& c, const codegen::Options& o, const runtime::Dataset& data, int threads)
      : StepParts(c, o, data, threads, 0, now_ms) {}
  // `room`: bytes of scratch of each thread for entries that come later. `clock`: what calls are timed by.
  StepParts(const Compiled& c, const codegen::Options& o, const runtime::Dataset& data, int threads,
            int64_t room, double (*clock)());
  const std::vector<Piece>& pieces() const { return pieces_; }
  runtime::Runner& runner() { return *runner_; }

  // Whether there is room for what a step takes of scratch.
  bool fits(const step::Step& s) const;
  // Machine code for further steps over the same memory, called by their names from now on.
  void add(const std::vector<step::Step>& steps);
  // Weights as at the start, a batch, and the step up to a piece, which is called too.
  void run_through(size_t piece);
  // One call of an entry, ms.
  double time(const std::string& entry);
  // Throws CompileError where the step that was called last, whole or in pieces, diverged.
  void check_loss();

 private:
  codegen::Options options_;
  const runtime::Dataset& data_;
  std::vector<Piece> pieces_;
  std::vector<std::unique_ptr<codegen::Jit>> code_;
  runtime::Program program_;
  std::unique_ptr<runtime::Runner> runner_;
  int64_t room_;
  double (*clock_)();
};

}  // namespace gradc
