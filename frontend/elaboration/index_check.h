// Numbers that name rows or classes are checked where nothing proves them in range: the compiled function has
// a further result that says where the first one outside is, and states keep their values then.
#pragma once

#include <string>
#include <vector>

#include "frontend/frontend.h"
#include "ir/graph/builder.h"

namespace gradc::frontend {

// A place that reads by number.
struct IndexSite {
  graph::NodeId index = graph::kNone, value = graph::kNone;  // the numbers, and what was read
  Dim limit;                                                 // they are in [0, limit)
  std::string what;
  Loc loc;
};

// The tensor whose numbers these are, all of them, in another order or shape.
graph::NodeId source_of(const graph::Builder& b, graph::NodeId index);

bool always_in_range(const graph::Builder& b, graph::NodeId index, const Dim& limit);

// Of each node whether a result of the function under construction needs it.
std::vector<char> needed_nodes(const graph::Function& f);

// `found` is i64[2n]: for each site the first position outside, in row-major order, or -1, and the number
// there. `any` is a bool scalar. Both are kNone without sites.
struct IndexChecks {
  graph::NodeId found = graph::kNone, any = graph::kNone;
  std::vector<IndexCheck> sites;
};
IndexChecks check_indices(graph::Builder& b, const std::vector<IndexSite>& sites);

}  // namespace gradc::frontend
