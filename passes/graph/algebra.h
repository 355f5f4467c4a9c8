// Rewrites that the pass `algebra` tries on a node just made: each gives what stands for it, or kNone.
#pragma once

#include "ir/graph/builder.h"

namespace gradc::passes {

// A contraction of rows that were gathered from a table with fewer rows than there are numbers: the table is
// contracted, then gathered from; and backward, rows are added up by number before they are contracted.
graph::NodeId contract_before_gather(graph::Builder& b, const graph::Function& f, graph::NodeId n);

}  // namespace gradc::passes
