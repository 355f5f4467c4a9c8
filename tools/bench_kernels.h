// gradc bench --kernels: where the time of a training step goes.
#pragma once

#include "driver/compiler.h"
#include "runtime/dataset.h"
#include "tools/commands.h"

namespace gradc {

// Prints a table of the kernels of the training step of `c`, which does not come from a cache, sorted by
// time.
void bench_kernels(const Arguments& a, const ModelOptions& o, const Compiled& c,
                   const runtime::Dataset& data);

}  // namespace gradc
