// Where a training begins: at a checkpoint, with weights from elsewhere, on a part of the data.
#pragma once

#include <optional>
#include <string>

#include "driver/load_data.h"
#include "runtime/runner.h"
#include "runtime/trainer.h"
#include "tools/commands.h"

namespace gradc {

// What --resume names. A run is gone on with in its folder; a file in a folder that the training gets as any
// other does.
struct ResumePoint {
  std::string run, file;  // one of them
};
// Throws Error where there is nothing of that name.
std::optional<ResumePoint> resume_point(const Arguments& a);
// Of a run the later of its two checkpoints; called with the run's lock held. `run_id`: of the training that
// the folder's record names, "" to take any.
runtime::TrainOptions::Start read_start(const ResumePoint& p, const std::string& run_id);

// The words that look into a step which a training kept, for a shell.
std::string bad_step_command(const Arguments& a, const std::string& path);
// The words that go on with a run where it is, for a shell.
std::string resume_command(const Arguments& a, const std::string& run);

// Weights that a training begins with.
struct InitialWeights {
  std::string path;  // a file
  bool partial = false;
};
// --init-from, else what the file's init names; nothing with --resume or --from-scratch. Throws CompileError
// where there are no such weights, Error (Usage) where --map or --allow-partial is given without any.
std::optional<InitialWeights> initial_weights_of(const Arguments& a, const frontend::Unit& unit);
// The weights that the model takes, by the names of --map. What does not fit is said, or refused by an Error.
// Overwrites the runner's state.
runtime::SafeTensors initial_weights(const Arguments& a, const InitialWeights& from, runtime::Runner& runner);

// --limit-train, --overfit, --dry-run.
void limit_data(const Arguments& a, int64_t batch, LoadedData& data);

// "90", "30s", "5m", "1h30m" in seconds; nothing where it is none.
std::optional<double> seconds_of(const std::string& text);

}  // namespace gradc
