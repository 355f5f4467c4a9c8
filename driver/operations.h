// How much arithmetic a function asks for, counted on the graph: the same whatever the schedule.
#pragma once

#include "ir/graph/graph.h"

namespace gradc {

// Arithmetic operations of all nodes with the dimensions at their planned values: 2 a multiply-add, 1 an
// elementary function; moves, comparisons and choices are free. A scan counts every step, a branch its dearer
// side, a while one round.
double count_operations(const graph::Module& module, const graph::Function& f);

}  // namespace gradc
