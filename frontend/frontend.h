// From model text to graph functions and tables: the frontend's whole result. Function and io names follow
// runtime/program.h: @init, @train_step, @eval_step, @finish, @predict, @fit_N, @fit_N_finish.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "frontend/training/data_spec.h"
#include "ir/graph/graph.h"
#include "support/diagnostic.h"
#include "support/source.h"

namespace gradc::frontend {

struct Override {  // -D name=value, --set train.field=value
  std::string name, value;
};

struct Options {
  std::vector<Override> defines, sets;
  DType float_type = DType::F32;
  bool fma = true;
  int64_t batch = 0;  // 0: what the train block says
  // The type of one example of a field, from its file; nothing when the file cannot be read.
  std::function<std::optional<Type>(const SourceSpec&, const FieldSpec&)> example_type;
};

// A tensor of the state region. `path` is the stable name: dense.weight, __opt__/m/dense.weight,
// __carry__/lstm.h (rows for the largest batch).
struct StateSpec {
  enum class Role { Param, State, Carry, OptimizerSlot } role = Role::Param;
  std::string path;
  Type type;
  Loc loc;
  // The state of the unit whose value it takes where weights come from a file that lacks it.
  std::optional<size_t> begins_as = std::nullopt;
  // The function parameter that stands for it. A model's own parameter may be called like an input.
  std::string parameter() const { return path.find_first_of("./") == path.npos ? "/" + path : path; }
};

struct Input {  // an input of the model, or a further field that loss or metrics read
  std::string name;
  std::string parameter;  // of the functions: with a '.' before it where the name is also one of ours
  Type type;
  bool model_input = true;
  int64_t classes = 0;  // labels must be in [0, classes); 0: no such bound
  Loc loc;
};

// Numbers that name rows or classes and that nothing proves in range. The function's output "checks"
// ("..checks" where a result of the model has that name) is i64[2n]: for each check the first position
// outside, in row-major order, or -1, and the number there.
struct IndexCheck {
  std::string what;
  Shape shape;  // of the numbers
  Dim limit;    // they are in [0, limit)
  Loc loc;
};

struct Keep {  // keep = best(max = val.accuracy); stop = patience(3, min = train.loss)
  std::string split, metric;
  bool maximize = false;
  int patience = 0;
  double delta = 0;
  Loc loc;  // of the metric
};

struct Plateau {     // lr = plateau(1e-3, min = val.loss)
  std::string rate;  // which of `hyper` it is
  Keep on;
  double factor = 0.1, threshold = 1e-4, low = 0;
  int64_t patience = 10, cooldown = 0;
};

struct Numbered {  // keep = every(1000, last = 3), every(minutes = 10)
  int64_t steps = 0, last = 0;
  double minutes = 0;
};

// A metric of two axes: what it says of a split is no number to go by.
struct TableMetric {
  std::string name;
  int64_t rows = 0, columns = 0;
  std::vector<std::string> fields;  // of the data, that it is computed from
};

struct TrainSpec {
  std::string name;                                     // of the model
  int64_t batch = 32, epochs = 1, seed = 0, steps = 0;  // steps 0: epochs decide
  std::optional<Keep> keep, stop;
  std::vector<Plateau> plateaus;
  std::optional<Numbered> numbered;
  int64_t validate_every = 0;            // steps; 0: after epochs alone
  std::vector<std::string> metrics;      // values of @finish: "loss" first
  std::vector<TableMetric> tables;       // whose elements follow them
  std::vector<std::string> of_all_rows;  // metrics that see all rows at the end: not those of train
  int64_t metric_rows = 1 << 17;         // of a split, that these can keep
  std::map<std::string, double> hyper;   // f64 inputs of @train_step by name
  int64_t accumulate = 1;                // batches of an update
  Loc loc;

  std::vector<const Keep*> rules() const {  // all that go by a metric
    std::vector<const Keep*> all;
    for (const std::optional<Keep>* rule : {&keep, &stop})
      if (*rule) all.push_back(&**rule);
    for (const Plateau& p : plateaus) all.push_back(&p.on);
    return all;
  }
};

struct InitSpec {  // init m from "weights.safetensors" partial
  std::string path;
  bool partial = false;  // what fits is enough
  Loc loc;               // of the path
};

// A line of `gradc summary`.
struct LayerNote {
  std::string path, type, output;
  int64_t parameters = 0;
  Loc loc;
};

struct Unit {
  graph::Module module;
  std::vector<StateSpec> state;
  std::vector<Input> inputs;
  std::vector<std::string> outputs;                       // named results of the model, in order
  std::map<std::string, std::vector<IndexCheck>> checks;  // by function
  std::optional<TrainSpec> train;
  std::optional<DataSpec> data;
  std::optional<InitSpec> init;
  std::vector<LayerNote> layers;
  int fit_phases = 0;
  std::string model_name;
  std::string rendered;  // the file with every default

  // Whether a state goes on from batch to batch, so that rows do: row r of a batch follows row r of the one
  // before.
  bool carries() const {
    return std::any_of(state.begin(), state.end(),
                       [](const StateSpec& s) { return s.role == StateSpec::Role::Carry; });
  }
};

// Parses, checks and elaborates the file. Errors go to `diagnostics`; the unit is meaningful only without
// any.
Unit compile_model(Sources& sources, uint32_t file, const Options& o, Diagnostics& diagnostics);

}  // namespace gradc::frontend
