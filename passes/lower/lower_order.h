// The kernels of positions in order: merges of runs that double in length, without branches or memory of
// their own.
#pragma once

#include "ir/kernel/kernel.h"
#include "ir/ops/order_spec.h"

namespace gradc::passes {

// Sorted runs of 2^level positions become runs of twice as many. Reads the elements (buffer 0) and, above
// level 0, the positions so far (buffer 1); writes the last buffer. Every place of a result finds for itself
// how many places before it the left run fills, by bisection: n log n places, each with at most log n steps.
kernel::Kernel merge_kernel(const graph::OrderSpec& o, const Type& t, int level, bool fma);

}  // namespace gradc::passes
