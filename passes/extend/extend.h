// A function of a whole sequence, such as @predict of a text, as one that goes on with it by one place.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ir/graph/graph.h"

namespace gradc::passes {

struct Extension {
  // @extend(tokens of one row at the new place, place i32[], those parameters of the function that it reads,
  // kept values) gives the row of each result that has one for every place; "checks" as they are; kept values
  // into themselves. Kept values begin as zeros, and calls come in the order of places, from 0.
  graph::Function function;
  // The function itself, of one row, which leaves its first places as calls of @extend would; nothing where
  // loops are among it, whose carries behind a place it does not give.
  std::optional<graph::Function> whole;
  std::vector<std::string> kept;  // names of parameters
};

// `f` is behind the pass `fold`, so that every rounding is said: the rows have the bits of the function's
// own, but the sign of a zero (stale.h). `tokens` is its parameter of shape [rows, places]; every symbolic
// dimension is taken to be 1. Throws CompileError, with the place, where no row can be told from those before
// it, or nothing proves that it can.
Extension extend(const graph::Module& m, const graph::Function& f, graph::NodeId tokens);

}  // namespace gradc::passes
