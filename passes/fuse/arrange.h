// What contractions read again and again is stored as they read it.
#pragma once

#include "ir/graph/graph.h"

namespace gradc::passes {

// Values that are read padded are stored once, padded: their other readers read the inside, so that they are
// computed where they are padded. Small operands whose elements lie apart along the last axis of the result,
// along which lanes run, are transposed once instead of for each piece of the result. What windows of a
// convolution to few channels are of has a row of the image last, along which lanes run then. Exact.
graph::Module arrange(const graph::Module& m);

// Whether n is its operand with little around it: computed for each of its elements, the operand costs hardly
// more than in a loop of its own.
bool pads_little(const graph::Function& f, graph::NodeId n);

}  // namespace gradc::passes
