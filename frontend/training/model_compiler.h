// The compilation of one file: the model is elaborated once for each entry point; loss, optimiser and
// learning rate become functions of which frontend/assembly puts the training step together.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "frontend/assembly/assembly.h"
#include "frontend/elaboration/elaborator.h"
#include "frontend/elaboration/index_check.h"
#include "frontend/frontend.h"
#include "frontend/training/train_block.h"

namespace gradc::frontend {

inline std::string_view output_name(const Formal& result) {
  return result.name.empty() ? std::string_view("output") : std::string_view(result.name);
}
constexpr int64_t kManySums = int64_t(1) << 24;  // while the number of accumulators is not known

class ModelCompiler {
 public:
  ModelCompiler(Sources& sources, const Options& o, Diagnostics& d) : s_(sources, d, o) {}
  Unit run(uint32_t file);

 private:
  // which model and blocks (compile_model.cpp)
  void override_constants();
  void check_constants(Elaborator& e);
  void choose();
  void read_init();
  std::vector<std::string> model_names() const;
  void unknown(Loc loc, const char* what, const std::string& name, const std::vector<std::string>& known);

  // inputs (model_inputs.cpp)
  void read_inputs(Elaborator& e);
  std::string parameter_of(const std::string& field) const;
  Dim input_dim(Elaborator& e, const DimExpr& d, int64_t batch);
  void read_fields(Elaborator& e);
  void check_carried_data();  // carried_data.cpp

  // one elaboration of the model (elaborate_model.cpp)
  struct Pass {
    Pass(const Session& s, std::string name, Mode mode, graph::Module& m, Diagnostics& d)
        : module(m), e(s, std::move(name), mode, &m, d) {}
    graph::Module& module;  // that its functions go to
    Elaborator e;
    Scope scope;  // inputs, fields and named results
    std::shared_ptr<Instance> root = std::make_shared<Instance>();
    std::map<std::string, graph::NodeId> inputs;
    graph::NodeId loss = graph::kNone;
    std::vector<std::pair<size_t, int64_t>> labels;  // fields that are labels, and how many classes they have
  };
  // What an entry adds to the unit. Several are made at once.
  struct Part {
    graph::Module module;
    Diagnostics diagnostics;  // those of the unit at first
    std::map<std::string, Checks> checks;
    std::vector<std::string> entries, outputs;
    std::vector<std::pair<size_t, int64_t>> labels;
    std::vector<StateSpec> state;  // of a model that is not trained
    Checks init_checks;
  };
  std::unique_ptr<Pass> elaborate(std::string name, Mode mode) {
    return std::make_unique<Pass>(s_, std::move(name), mode, unit_.module, s_.diagnostics);
  }
  bool apply_model(Pass& p, bool all_fields, int64_t sums);
  // loss and metrics (metrics.cpp)
  std::vector<Value> metrics(Pass& p);
  Value metric(Pass& p, const std::string& name, const Expr& x, Scope& wide);
  void note_table(Pass& p, const std::string& name, const Expr& x, const Value& v);
  void choose_numbers();
  Value loss(Pass& p, const StepFields& step);
  graph::NodeId join(graph::Builder& b, const std::vector<graph::NodeId>& parts);
  // first numbers of a split, from batch to batch
  void read_shifts(Pass& p);
  void write_shifts(Pass& p);

  // checks of indices: of reads that a result needs, each once (elaborate_model.cpp)
  IndexChecks checks_of(Pass& p);
  void add_checks(Pass& p, Part& part);
  std::string check_output() const;

  // the first elaboration (elaborate_model.cpp)
  void survey();
  void elaborate_all(Pass& p);
  static std::vector<std::string> parameter_paths(const Pass& p);
  std::set<std::string> named(const std::vector<PathPattern>& patterns, const std::string& what,
                              const std::vector<std::string>& paths);
  void choose_trained(Pass& p);
  void find_unreached(Pass& p, graph::NodeId from, const StepFields& step, std::set<std::string>& trained);

  // the parts of the training step (training_step.cpp)
  void elaborate_updates(Pass& p, size_t step);
  int update_for(size_t step, const Type& type, const std::string& path, std::map<std::string, int>& known);
  UpdatePart elaborate_update(const Expr& optimizer, const Type& type, const std::string& path,
                              const std::string& name);
  void elaborate_whole_update(Pass& p, size_t step);
  void elaborate_schedules(size_t step);
  int elaborate_schedule(size_t step, const std::string& path, const Type& type,
                         std::map<std::string, int>& known);
  void build_training();
  std::unique_ptr<Pass> elaborate_loss(size_t step);
  void build_loss(size_t step);
  void measure(Pass& p);
  Checks finish_checked(Pass& p);
  std::vector<Source> sources_of_parameters(const Pass& p) const;

  // the other functions (entry_points.cpp)
  void build();
  void build_entries();
  void add(Part part);
  void note_labels(const std::vector<std::pair<size_t, int64_t>>& labels);
  static void keep(graph::Function f, Part& part);
  void note_functions();
  void build_init(Part& part);
  void refuse_inputs(const Pass& p, const StateSpec& spec, graph::NodeId first) const;
  static graph::Function rebuilt(const graph::Function& f, const graph::Module& m);
  void build_predict(Part& part);
  void build_fit(int phase, Part& part);
  void build_evaluation(Part& part);

  Session s_;
  Unit unit_;
  const Block *train_ = nullptr, *data_ = nullptr;
  const Callable* model_ = nullptr;
  TrainFields fields_;
  std::map<std::string, int64_t> dims_;
  std::string batch_dim_ = "B";
  std::set<std::string> entries_;
  TrainingParts parts_;
  std::vector<std::set<std::string>> trained_;              // by step: paths
  std::vector<std::map<std::string, int>> update_of_path_;  // by step: positions in its updates
  std::unique_ptr<Pass> survey_;                            // kept where it is what @loss would be
  int fits_ = 0;
  bool draws_always_ = false;  // every entry that runs the model knows the step
  int64_t sums_ = 0, shifts_ = 0;
  int64_t row_columns_ = kManySums;  // of what metrics keep by row, once the survey has counted them
};

}  // namespace gradc::frontend
