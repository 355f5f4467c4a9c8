// The compilation of one file: the model is elaborated once for each entry point, and the training step is
// put together from the loss, its gradient and the optimiser.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "frontend/elaboration/elaborator.h"
#include "frontend/elaboration/index_check.h"
#include "frontend/frontend.h"
#include "frontend/training/train_block.h"

namespace gradc::frontend {

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
  std::vector<std::string> model_names() const;
  void unknown(Loc loc, const char* what, const std::string& name, const std::vector<std::string>& known);

  // inputs (model_inputs.cpp)
  void read_inputs(Elaborator& e);
  std::string parameter_of(const std::string& field) const;
  Dim input_dim(Elaborator& e, const DimExpr& d, int64_t batch);
  void read_fields(Elaborator& e);

  // one elaboration of the model (elaborate_model.cpp)
  struct Pass {
    Pass(Session& s, std::string name, Mode mode, graph::Module* m) : e(s, std::move(name), mode, m) {}
    Elaborator e;
    Scope scope;  // inputs, fields and named results
    std::shared_ptr<Instance> root = std::make_shared<Instance>();
    std::map<std::string, graph::NodeId> inputs;
  };
  bool apply_model(Pass& p, bool all_fields, int64_t sums);
  std::vector<Value> metrics(Pass& p);
  Value loss(Pass& p);
  graph::NodeId join(graph::Builder& b, const std::vector<graph::NodeId>& parts);
  // first numbers of a split, from batch to batch
  void read_shifts(Pass& p);
  void write_shifts(Pass& p);

  // checks of indices: of reads that a result needs, each once (elaborate_model.cpp)
  IndexChecks checks_of(Pass& p);
  void add_checks(Pass& p);
  std::string check_output() const;

  // the first elaboration (elaborate_model.cpp)
  void survey();
  void elaborate_all();
  void find_unreached(Pass& p, graph::NodeId from);

  // the training step; the optimiser runs once for each parameter (training_step.cpp)
  using Gradients = std::map<std::string, Value>;
  std::map<std::string, Value> optimise(Pass& p, const Gradients& gradients, Value lr);
  Value learning_rate(Pass& p, graph::NodeId total);
  void build_training();
  void build_step(Pass& inner, const std::vector<std::string>& stored, std::vector<IndexCheck> sites);
  void store(graph::Builder& b, const std::vector<std::pair<graph::NodeId, graph::NodeId>>& updates,
             graph::NodeId bad);
  void clip(Pass& p, Gradients& gradients);

  // the other functions (entry_points.cpp)
  void build();
  void keep(graph::Function f);
  void note_functions();
  void build_init();
  graph::Function without_inputs(graph::Function f, const Pass& p);
  graph::Function rebuilt(const graph::Function& f);
  void build_predict();
  void build_fit(int phase);
  void build_evaluation();

  Session s_;
  Unit unit_;
  const Block *train_ = nullptr, *data_ = nullptr;
  const Callable* model_ = nullptr;
  TrainFields fields_;
  std::map<std::string, int64_t> dims_;
  std::string batch_dim_ = "B";
  std::set<std::string> frozen_, entries_;
  std::vector<std::shared_ptr<Instance>> owners_;
  int fits_ = 0;
  int64_t sums_ = 0, shifts_ = 0;
};

}  // namespace gradc::frontend
