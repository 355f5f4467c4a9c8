// Entry points put together from graph functions: the loss, the optimiser's update, the learning rate, the
// first values. The language hands these over, and so may an importer or a builder: nothing here knows a
// syntax tree.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "frontend/frontend.h"

namespace gradc::frontend {

// What a parameter of a function stands for in the entry point that calls it.
struct Source {
  enum class Kind : uint8_t { Input, State, Step, Seed, Shifts, Fresh };
  Kind kind = Kind::Input;
  size_t index = 0;  // of the unit's inputs or states
};

// A function that checks numbers has two results behind its others: the positions found, and a bool scalar,
// whether there is any (frontend/elaboration/index_check.h).
using Checks = std::vector<IndexCheck>;

// (parameters...) -> (loss; of the first update alone: sums of the metrics; the states in `stored`; the
// shifts of the next batch, where the function has a parameter for them; of every update: what its checks
// found).
struct LossPart {
  std::string function;
  std::vector<Source> parameters;
  std::vector<size_t> stored;  // positions among the unit's states
  Checks checks;
};

// The optimiser over parameters of one type; or over all parameters of a step, one behind the other in one
// tensor of one axis.
struct UpdatePart {
  std::string
      function;  // (param, gradient, lr: f64[], finished steps: f64[]; slots) -> (param, slots; checks)
  std::string initial;             // (param) -> slots
  std::vector<std::string> slots;  // "m", "v"
  std::vector<Loc> locs;           // of the slots
  bool whole = false;
  Checks checks;
};

// A learning rate that changes, or that only some parameters have.
struct SchedulePart {
  std::string function;  // (step: i64[], total: i64[]) -> (lr: f64[]; checks); both count updates
  Checks checks;
};

// One update of a training step: its loss, and what that loss trains.
struct Clip {        // of gradients; 0: as they are
  double norm = 0;   // of all of a step's together, at most
  double value = 0;  // of each number, up or down
};

struct StepPart {
  LossPart loss;
  std::vector<UpdatePart> updates;
  // By state: which of `updates` trains it, or -1. A parameter is trained by one step at most; states, and
  // parameters without an update, keep their value.
  std::vector<int> update_of;
  std::vector<SchedulePart> schedules;
  std::vector<int> schedule_of;  // by state: which of `schedules`, or -1: the step's input `rate`
  std::string name, rate = "lr";
  Clip clip;
  // In the names of slots of an optimiser over all of its parameters: no parameter's begins so.
  std::string whole_path() const { return "/" + (name.empty() ? "all" : name); }
};

struct TrainingParts {
  std::map<std::string, graph::DimInfo> dims;
  std::vector<StepPart> steps;  // in the order in which they run, one at least
  int64_t accumulate = 1;       // batches, the mean of whose gradients makes one update
  double average = 0;  // what the running average of the weights keeps of itself in an update; 0: none
  std::string check_output = "checks";

  bool trained(size_t state) const {
    return std::any_of(steps.begin(), steps.end(),
                       [&](const StepPart& s) { return s.update_of[state] >= 0; });
  }
};

// @train_step, and where several batches make an update @gather_step: each update reads the parameters as
// those before it left them, and the model's states as they were before the first, whose states are stored.
// Its output `loss` is the loss of the one update, or those of all in a row. The slots of the optimisers
// become states of the unit, behind those that are there, and with them the sum of the gradients of an update
// under way, and the trained weights where the parameters themselves hold the average. @gather_step is
// @train_step without the updates: of a batch that ends none it gives the same.
void assemble_training_step(Unit& unit, const TrainingParts& parts);
// @init: (seed) -> the first value of every state. `values` gives those that the model declares, from the
// seed alone; `training` those of the optimiser's slots, where there is one.
void assemble_init(Unit& unit, const std::string& values, const Checks& checks, const TrainingParts* training,
                   const std::string& check_output);

}  // namespace gradc::frontend
