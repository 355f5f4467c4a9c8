// Loops whose kernels all run over an index of which one iteration hands the next, value by value, only what
// it made for the same value: a thread can then go through the whole loop with values of its own.
#pragma once

#include <optional>
#include <vector>

#include "passes/step/cut.h"

namespace gradc::passes {

struct LoopPart {
  Chain chain;
  Cut cut;                            // blocks of the one index
  std::vector<size_t> members, rest;  // of the runs in the loop; the rest may run in a loop behind
};

// Nothing where threads would have too little each, or read too much that does not move with the index.
// `access`: by kernel.
std::optional<LoopPart> part_of_loop(const step::Step& s, const step::For& loop,
                                     const std::vector<KernelAccess>& access, const ScheduleOptions& o);

}  // namespace gradc::passes
