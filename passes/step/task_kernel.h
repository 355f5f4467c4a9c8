// The kernels of a chain as a task runs them: shared loops over a block, which begins where a parameter says.
#pragma once

#include <set>

#include "passes/step/cut.h"

namespace gradc::passes {

// The member of a chain as one task runs it; `inner` buffers are as small as a block.
kernel::Kernel task_kernel(const kernel::Kernel& k, const Chain& c, size_t member, const Cut& cut,
                           const std::set<int>& inner);
// For a sum over blocks: sets to zero what they add to, the kernel's only buffer.
kernel::Kernel start_kernel(const kernel::Kernel& k, const Chain& c, size_t member, const Cut& cut,
                            const std::set<int>& inner);

}  // namespace gradc::passes
