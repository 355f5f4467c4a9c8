// The kernel of a running sum or product: chains along one axis, independent along all others.
#pragma once

#include "ir/kernel/kernel.h"
#include "ir/ops/running_spec.h"

namespace gradc::passes {

// Reads buffer 0, writes buffer 1, both of this type.
kernel::Kernel lower_running(const graph::RunningSpec& r, const Type& t, bool fma);

}  // namespace gradc::passes
