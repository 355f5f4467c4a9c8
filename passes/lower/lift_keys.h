// Every draw of a model has a number of its own, which its key is folded with. As a parameter instead of a
// constant it leaves the kernels of equal layers equal: they are scheduled and compiled once.
#pragma once

#include "ir/kernel/kernel.h"

namespace gradc::passes {

// The numbers become parameters of the kernel; their values, in the order of the parameters.
std::vector<Index> lift_keys(kernel::Kernel& k);

}  // namespace gradc::passes
