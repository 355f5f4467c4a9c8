// The training loop: epochs of shuffled batches, validation, the choice of the best weights, checkpoints,
// progress.
#pragma once

#include <atomic>
#include <cstdio>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "runtime/progress.h"
#include "runtime/runner.h"

namespace gradc::runtime {

struct Rule {  // on a metric of the split val: which weights to keep, when to stop
  std::string metric;
  bool maximize = false;
  int patience = 0;
  double delta = 0;
};

struct TrainOptions {
  std::string name;                                     // of the model, for messages
  int64_t batch = 32, epochs = 1, seed = 0, steps = 0;  // steps 0: epochs decide
  std::optional<Rule> keep, stop;
  std::string run_dir;                          // "" saves nothing by itself
  std::string save;                             // a further file for the chosen weights
  std::map<std::string, std::string> metadata;  // into every file
  bool quiet = false;
  const std::atomic<int>* signal = nullptr;  // not 0: finish the step, save, return
};

struct TrainResult {
  int64_t step = 0, epochs = 0;
  // Values by Program::metrics; empty without the split. `train` is of the last epoch, `val` and `test` are
  // of the chosen weights.
  std::vector<double> train, val, test;
  bool interrupted = false;
  std::string warning;
};

// Initialises, fits, trains; ends with the chosen weights in the runner. Throws Error; Failure::Diverged when
// the loss or a weight is no longer finite: then the files hold the last weights whose loss was finite, and
// the best.
TrainResult train(Runner& runner, const Splits& data, const TrainOptions& o, std::FILE* progress);

}  // namespace gradc::runtime
