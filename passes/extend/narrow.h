// One row of a node by its own op, over rows of what it reads.
#pragma once

#include <optional>
#include <vector>

#include "ir/graph/graph.h"

namespace gradc::passes {

struct Narrowed {
  graph::Attrs attrs;
  std::vector<int> row_of;  // by operand: the axis of which it reads one row; -1: it reads all of it
};

// The node with an extent of 1 along `axis`, where that means what the node means at any one index there;
// that its meaning is the same is compared, not concluded from the op. Nothing where no such node is found.
std::optional<Narrowed> narrowed(const graph::Function& f, const graph::Module& m, graph::NodeId n, int axis);

}  // namespace gradc::passes
