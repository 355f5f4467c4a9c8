// Rewrites that the pass `algebra` tries on a node just made: each gives what stands for it, or kNone.
#pragma once

#include "ir/graph/builder.h"

namespace gradc::passes {

// A contraction of rows that were gathered from a table with fewer rows than there are numbers: the table is
// contracted, then gathered from; and backward, rows are added up by number before they are contracted.
graph::NodeId contract_before_gather(graph::Builder& b, const graph::Function& f, graph::NodeId n);
// A contraction with rows of zeros and a one: rows by number, or rows added up by number.
graph::NodeId rows_instead_of_one_hot(graph::Builder& b, graph::NodeId n);
// A contraction of another one, its operand number `side` that nothing else reads: the order that is less
// work, at most half of it.
graph::NodeId cheaper_order(graph::Builder& b, const graph::Function& f, graph::NodeId n, size_t side);

// The axes of x, which are called `from`, in the order of `to`.
graph::NodeId ordered(graph::Builder& b, graph::NodeId x, const std::string& from, const std::string& to);

}  // namespace gradc::passes
