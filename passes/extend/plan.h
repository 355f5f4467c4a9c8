// Which nodes are computed for one place alone, which as a whole, and which are kept from call to call.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "passes/extend/narrow.h"
#include "passes/extend/step.h"

namespace gradc::passes {

// The tokens: a parameter, its axis of places, how many there are.
struct Sequence {
  graph::NodeId tokens = graph::kNone;
  int axis = 1;
  int64_t places = 0;
};

// How a value at the new place is computed: by a narrower node, or by a step of its loop; else it is cut out
// of the whole.
struct RowPlan {
  std::optional<Narrowed> narrowed;
  std::optional<Stacked> step;
};

struct NodePlan {
  std::map<int, RowPlan> rows;  // by axis along which the new place alone is needed
  bool whole = false;           // all of it is needed
  int kept = -1;                // along this axis all of it is what earlier calls left, with the new row
  bool is_kept() const { return kept >= 0; }
  bool needed() const { return whole || !rows.empty(); }
};

struct Plan {
  std::vector<NodePlan> nodes;
  std::vector<bool> row_results;  // by result of the function: its row at the new place is given
};

// What is needed for the rows of these results, and for results called "checks" as a whole. Throws
// CompileError where a row can only come from more than rows and kept values.
Plan plan_extension(const graph::Function& f, const graph::Module& m, const Sequence& sequence,
                    const std::vector<bool>& row_results);

}  // namespace gradc::passes
