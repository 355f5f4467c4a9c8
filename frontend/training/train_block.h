// The train block's fields, checked for their form and read as far as they are plain.
#pragma once

#include "frontend/assembly/assembly.h"
#include "frontend/elaboration/elaborator.h"

namespace gradc::frontend {

struct PathPattern {
  std::string text;    // * is any text
  bool layer = false;  // written as a name: the parameter of that path, and all below it; no *
  Loc loc;
};

// One update of a training step. A train block without `step` has one, of all parameters, without a name.
struct StepFields {
  std::string name;
  Loc loc;
  std::vector<PathPattern> params;
  const Expr* loss = nullptr;
  const Expr* optimizer = nullptr;
  const Expr* lr = nullptr;
  std::string rate = "lr";  // what hosts call a rate that is a number
  Clip clip;                // of its gradients

  std::string loss_name() const { return name.empty() ? "loss" : name + ".loss"; }
  // What its functions are called.
  std::string function(const std::string& what) const { return name.empty() ? what : what + "." + name; }
};

struct TrainFields {
  std::vector<StepFields> steps;  // in the order in which they run
  std::vector<PathPattern> freeze;
  int64_t accumulate = 1;  // batches that make one update
  double ema = 0;          // of the running average of the weights; 0: none
  std::vector<std::pair<std::string, const Expr*>> metrics;
  TrainSpec spec;
};

// Overrides (--set) replace fields before they are read.
TrainFields read_train(const Block& block, Session& s, Elaborator& numbers, Scope& scope);

}  // namespace gradc::frontend
