// How much arithmetic a kernel asks for, the same whatever its schedule.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "ir/kernel/kernel.h"

namespace gradc::kernel {

// Moves, comparisons and choices are none.
bool is_arithmetic(ScalarOp op);
// Of one run of a kernel that no schedule has touched: 2 a multiply-add, 1 an elementary function. What it
// computes again in place counts again.
double count_operations(const Kernel& naive, const std::map<std::string, int64_t>& dims);

}  // namespace gradc::kernel
