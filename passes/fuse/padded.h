// Values that a contraction reads padded are stored once, padded.
#pragma once

#include "ir/graph/graph.h"

namespace gradc::passes {

// The other readers of such a value read the inside of the padded one, so that it has no buffer of its own:
// it is computed where it is padded. Exact.
graph::Module share_padded(const graph::Module& m);

// Whether n is its operand with little around it: computed for each of its elements, the operand costs hardly
// more than in a loop of its own.
bool pads_little(const graph::Function& f, graph::NodeId n);

}  // namespace gradc::passes
