// @extend of a model: its @predict of a whole text, by one token at a time.
#pragma once

#include <string>
#include <vector>

#include "frontend/frontend.h"

namespace gradc {

struct Extended {
  std::vector<frontend::StateSpec>
      kept;                 // states that @extend alone reads and writes; zeros before the first
  bool from_whole = false;  // @predict gives the kept values too
  std::string refusal;      // why the program has no @extend; "" where it has one
};

// Adds @extend to the functions behind the graph passes, where one stands for @predict of these tokens alone,
// and makes @predict one of a single row that leaves kept values as well, where it can.
Extended extend_predict(graph::Module& primitive, const frontend::Unit& unit, const Sources& sources);
// What the unit says of all functions, of @extend too.
void note_extension(frontend::Unit& unit, const Extended& extended);

}  // namespace gradc
