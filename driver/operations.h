// How much arithmetic a function asks for, counted on the graph: the same whatever the schedule.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "ir/graph/graph.h"
#include "ir/kernel/kernel.h"

namespace gradc {

// Arithmetic operations of all nodes with the dimensions at their planned values: 2 a multiply-add, 1 an
// elementary function; moves, comparisons and choices are free. A scan counts every step, a branch its dearer
// side, a while one round.
double count_operations(const graph::Module& module, const graph::Function& f);
// Of one run of a kernel that no schedule has touched, counted alike; what it computes again in place counts
// again.
double count_operations(const kernel::Kernel& naive, const std::map<std::string, int64_t>& dims);

}  // namespace gradc
