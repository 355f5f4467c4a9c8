// The step of a training at which numbers stopped being finite, found again by making the steps once more
// from weights that were kept before. Nothing is paid for it until then.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "runtime/batches.h"
#include "runtime/checkpoint.h"

namespace gradc::runtime {

// What a training step is called with beside its rows.
struct StepNumbers {
  int64_t step = 0, total = 0, seed = 0;
  int64_t epoch = 0;                         // of the rows' order
  std::map<std::string, double> rates = {};  // hyper-parameters that are others than the program's by now
};
// By @gather_step where the batch ends no update, unless `whole`: the same bits, at less work.
void run_step(Runner& r, const StepNumbers& n, const Split& train, const Batch& batch, bool whole = false);

// The first of a step's losses that is not finite; nothing where all are.
std::optional<int64_t> bad_loss(const Array& losses);

// Names in the file of a bad step of what is no state: the step's inputs, and the rows of its batch.
inline constexpr const char* kStepInput = "__step__/";
inline constexpr const char* kStepRows = "__step__/row numbers";

// The first step from `from` on, of those before `end`, whose loss or weights are not finite: the state that
// it began with, and what it was called with. Nothing where all are finite. Changes the runner's state.
std::optional<SafeTensors> find_bad_step(Runner& r, const Split& train, const Kept& from, StepNumbers n,
                                         int64_t batch, int64_t end);

}  // namespace gradc::runtime
