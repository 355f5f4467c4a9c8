// What a training keeps: states with the moment that they are of, written to the run's folder, and when.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "runtime/plateau.h"
#include "runtime/runner.h"

namespace gradc::runtime {

// What whoever goes on from a state needs to know beside it.
struct Standing {
  std::vector<double> sums, shifts;  // of the metrics of the epoch under way
  std::vector<PlateauState> plateaus;
  std::optional<double> best, stop_best;
  int64_t best_step = 0;
  int waited = 0;  // validations without progress, for `stop`
};

// A state, and the moment that it is of.
struct Kept {
  std::vector<std::byte> state;
  int64_t step = 0, epoch = 0;  // steps and whole epochs that led to it
  std::optional<double> value;  // of the metric that chooses, where it was computed of this state
  Standing standing;
  explicit operator bool() const { return !state.empty(); }
};

// The moment that a file's state is of; Kept::state stays empty. Throws Error where the file does not say it.
Kept moment_of(const SafeTensors& file, const std::string& path);

// When saving pays: at once while all of it takes less than a hundredth of the time, at the latest ten
// seconds after there was something to save.
class SavePace {
 public:
  explicit SavePace(double now) : started_(now), last_(now) {}
  // The first: after an epoch, or after kFirst seconds of the first one.
  bool last_due(double now, bool epoch_ended) const {
    if (saves_ == 0) return epoch_ended || now - started_ >= kFirst;
    return now - last_ >= kWait && affordable(now);
  }
  bool best_due(double now, double found) const {
    return saves_ == 0 || affordable(now) || now - found >= kWait;
  }
  void saved(double from, double to) {
    ++saves_, last_ = to;
    cost_ = to - from, spent_ += cost_;
  }

 private:
  static constexpr double kFirst = 30, kWait = 10, kShare = 0.01;
  bool affordable(double now) const { return spent_ + cost_ <= kShare * (now - started_); }
  double started_, last_, cost_ = 0, spent_ = 0;
  int saves_ = 0;
};

// The files last.safetensors and best.safetensors of a folder, numbered and further ones. Every file says in
// its metadata what it holds: gradc.step (steps done), gradc.epoch (that the last of them was in, from 0),
// gradc.sample (rows of the epoch under way that were used), gradc.value (of the metric gradc.metric),
// gradc.seed, gradc.batch, gradc.rows (of the split train), gradc.model_hash, gradc.checksum; those
// in the folder say beside it what a Standing holds, the number of whole epochs, gradc.total (planned steps)
// and gradc.run (the same in all files of one training, however often it was resumed).
class Checkpoints {
 public:
  struct Facts {
    int64_t per_epoch = 1, batch = 1, seed = 0, rows = 0, total = 0;
    std::string metric, run;  // "val.loss"; what names the training
    std::map<std::string, std::string> metadata;
    int64_t numbered = 0;          // so many files of the kind step-00012000 stay, 0: all
    std::string buckets = "none";  // how long each makes its batches: "4 8 12"
  };
  Checkpoints(const Runner& runner, std::string folder, Facts facts)
      : runner_(runner), folder_(std::move(folder)), facts_(std::move(facts)) {}

  std::string path(const std::string& which) const { return folder_ + "/" + which + ".safetensors"; }
  bool has_folder() const { return !folder_.empty(); }
  bool has_best() const;
  // Throws Error (Mismatch) where a file is of another model, or its order of samples another one.
  void check(const SafeTensors& file, const std::string& path) const;
  void last(const Kept& k) { in_folder("last", k); }
  void best(const Kept& k) { in_folder("best", k); }
  // step-00012000.safetensors. Removes the oldest beyond the number that stays, of those that this training
  // wrote, in this process or, as far as the step `from`, before it was resumed.
  void numbered(const Kept& k);
  void find_numbered(int64_t from);
  // Throws Error; the file that was there is whole until the new one is.
  void write(const std::string& path, const Kept& k, const std::map<std::string, std::string>& more = {});
  // Of what was written: "w.safetensors: 'l.w' holds NaN in 1 of 3 numbers"; "" when there is none.
  const std::string& nan_found() const { return nan_; }

 private:
  void in_folder(const std::string& which, const Kept& k);
  const Runner& runner_;
  std::string folder_, nan_;
  Facts facts_;
  std::vector<int64_t> numbered_;  // steps of the files that are there, in the order of time
};

}  // namespace gradc::runtime
