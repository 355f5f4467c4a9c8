// The train block's fields, checked for their form and read as far as they are plain.
#pragma once

#include "frontend/elaboration/elaborator.h"

namespace gradc::frontend {

struct TrainFields {
  const Expr* loss = nullptr;
  const Expr* optimizer = nullptr;
  const Expr* lr = nullptr;
  std::vector<std::pair<std::string, Loc>> freeze;  // patterns of paths; * is any text
  double clip = 0;                                  // largest global norm of the gradient; 0: none
  std::vector<std::pair<std::string, const Expr*>> metrics;
  TrainSpec spec;
};

// Overrides (--set) replace fields before they are read.
TrainFields read_train(const Block& block, Session& s, Elaborator& numbers, Scope& scope);

}  // namespace gradc::frontend
