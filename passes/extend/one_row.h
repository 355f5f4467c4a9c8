// Functions for a batch of one row.
#pragma once

#include "ir/graph/graph.h"

namespace gradc::passes {

// The function, and those that it names, where every symbolic dimension is 1.
graph::Module of_one_row(const graph::Function& f, const graph::Module& m);

}  // namespace gradc::passes
