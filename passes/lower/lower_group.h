// Lowers one fused group to a naive kernel: axis loops over the group's axes, members in order, every
// reduction in the order its node states. Scheduling comes after and moves no rounding.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "ir/kernel/kernel.h"
#include "passes/fuse/fusion.h"

namespace gradc::passes {

// What a kernel parameter stands for: the value of a node, or the donated storage that a node writes.
struct Lowered {
  kernel::Kernel kernel;
  std::vector<NodeId> buffers;  // one for each parameter buffer
};

// `storage_of`: the node whose buffer holds a memory value (a donated parameter for what is written into it).
struct LowerInput {
  const graph::Function& function;
  const Fusion& fusion;
  const std::map<NodeId, NodeId>& storage_of;
  bool fma = true;
};
Lowered lower_group(const LowerInput& in, const Group& group, const std::string& name);

}  // namespace gradc::passes
