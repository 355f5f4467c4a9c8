// Recurrences along an axis as steps that double in length.
#pragma once

#include "ir/graph/builder.h"

namespace gradc::graph {

// Steps until doubling has covered an axis but one element: by its length, or by its dimension's maximum
// where that is known.
int doublings(const Function& f, const Dim& extent);
// x moved along an axis by `by` places, `fill` moved in.
NodeId shifted(Builder& b, NodeId x, int64_t axis, int64_t by, double fill);

}  // namespace gradc::graph
