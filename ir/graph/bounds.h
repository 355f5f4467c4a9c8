// What only the maxima of dimensions can tell.
#pragma once

#include "ir/graph/graph.h"

namespace gradc::graph {

// Throws CompileError, with the place, for a slice that leaves its operand at some size of the dimensions up
// to their maxima; a dimension without one is taken to be small.
void check_slices(const Function& f);

}  // namespace gradc::graph
