// The training loop: epochs of shuffled batches, validation, the choice of the best weights, checkpoints,
// progress.
#pragma once

#include <atomic>
#include <cstdio>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "runtime/checkpoint.h"
#include "runtime/plateau.h"
#include "runtime/progress.h"
#include "runtime/runner.h"

namespace gradc::runtime {

struct Numbered {  // which weights to keep besides, in files that carry their step: whichever of both is
                   // given
  int64_t steps = 0;
  double seconds = 0;
  int64_t last = 0;  // so many stay, 0: all
};

struct TrainResult;

struct Report {  // of an epoch, or of a validation within one
  const TrainResult& result;
  const std::vector<double>& train;  // metrics of the epoch, as far as it has come
  int64_t epoch = 0;                 // from 1
  bool within = false;
  double train_seconds = 0, val_seconds = 0;  // of this epoch, of this validation
  int64_t train_steps = 0, val_steps = 0;     // that took so long
  bool best = false;                          // `keep` chose its weights
};

struct TrainOptions {
  std::string name;                                     // of the model, for messages
  int64_t batch = 32, epochs = 1, seed = 0, steps = 0;  // steps 0: epochs decide
  std::optional<Rule> keep, stop;                       // looked at where their metric is measured
  std::vector<Plateau> plateaus;
  int64_t validate_every = 0;  // steps, besides the end of every epoch; 0: there alone
  std::optional<Numbered> numbered;
  std::string run_dir;  // "" saves nothing by itself
  std::string save;  // a further file for the chosen weights; stays when a signal came before an epoch ended
  std::map<std::string, std::string> metadata;  // into every file
  // Where to go on: a whole state, and the best weights so far where they are known.
  struct Start {
    std::string file, best_file;
    SafeTensors state;
    std::optional<SafeTensors> best;
  };
  std::optional<Start> resume;
  std::function<void(Runner&)>
      weights;             // called once after initialisation and fitting: weights from elsewhere
  int64_t max_steps = 0;   // 0: none; steps of this call
  double max_seconds = 0;  // 0: none
  std::string run;         // what names the training, in its files
  bool quiet = false;
  const std::atomic<int>* signal = nullptr;         // not 0: finish the step, save, return
  std::function<void(const Report&)> measured;      // before its checkpoint
  std::function<void(const TrainResult&)> started;  // called before the first step
  // Called after weights were written before the end, from the thread that writes them.
  std::function<void(const TrainResult&)> saved;
  // Called when the training diverges, with the step that it diverged at (runtime/bad_step.h). What it
  // returns ends the message.
  std::function<std::string(const SafeTensors&)> bad_step;
};

struct TrainResult {
  int64_t step = 0, epochs = 0;
  // Values by Program::metrics; empty without the split. `train` is of the last epoch, `val` and `test` are
  // of the chosen weights.
  std::vector<double> train, val, test;
  bool interrupted = false;    // by a signal
  bool limited = false;        // by max_steps or max_seconds
  std::optional<double> best;  // of the metric that `keep` names, or the loss of val, where it was computed
  int64_t best_step = 0;
  bool saved_chosen = false;  // whether TrainOptions::save was written
  // Time that was neither steps nor validation: display, metrics, snapshots; and that of the thread beside.
  double beside_seconds = 0, writing_seconds = 0, seconds = 0;
  std::vector<std::string> warnings;
};

// Throws what train() would where o.resume does not fit, and else leaves its state in the runner.
void check_start(Runner& runner, const Splits& data, const TrainOptions& o);

// Throws Error where there is not the memory to train: the weights, the arena, and the copies of the weights
// that are kept to save, as the best and as the last good ones.
void require_memory_to_train(const Runner& runner);

// Initialises, fits, trains; ends with the chosen weights in the runner. Throws Error; Failure::Diverged when
// the loss or a weight is no longer finite: then the files hold the last weights whose loss was finite, and
// the best. A best.safetensors that is there is replaced only by weights that a whole epoch led to, and by
// those that `keep` chose where it is given. Files are written beside the steps, and all of them before this
// returns or throws. A checkpoint that cannot be written before the end is a warning.
TrainResult train(Runner& runner, const Splits& data, const TrainOptions& o, std::FILE* progress);

}  // namespace gradc::runtime
