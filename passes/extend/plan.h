// Which nodes are computed for one place alone, which as a whole, and which are kept from call to call.
#pragma once

#include <optional>
#include <vector>

#include "passes/extend/narrow.h"
#include "passes/extend/places.h"

namespace gradc::passes {

// The tokens: a parameter, its axis of places, how many there are.
struct Sequence {
  graph::NodeId tokens = graph::kNone;
  int axis = 1;
  int64_t places = 0;
};

struct NodePlan {
  int row = -1;                      // the axis of which the new place alone is needed
  std::optional<Narrowed> narrowed;  // how it is computed there; else it is cut out of the whole
  bool whole = false;                // all of it is needed
  bool kept = false;                 // all of it is what earlier calls left, with the new row
  bool needed() const { return row >= 0 || whole; }
};

struct Plan {
  std::vector<NodePlan> nodes;
  std::vector<bool> row_results;  // by result of the function: its row at the new place; else it is left out
};

// What is needed for those results whose axis `sequence.axis` holds the places, and for results called
// "checks" as a whole. Throws CompileError where a row can only come from more than rows and kept values.
Plan plan_extension(const graph::Function& f, const graph::Module& m, const Sequence& sequence);

}  // namespace gradc::passes
