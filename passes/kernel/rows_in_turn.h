// Rows that wait for their sums: several take turns, statement by statement, or all rows of a block stage by
// stage.
#pragma once

#include "ir/kernel/kernel.h"

namespace gradc::passes {

// Each statement for each of `rows`, which stand at `first`, `first` + 1, ... of `var`, with arrays of its
// own.
kernel::Body interleave(const kernel::Body& body, int var, const Index& first, int64_t rows,
                        kernel::Kernel& k);

// Rows of a block.
struct BlockOfRows {
  int var = 0;        // of the body, for a row
  Index first;        // the first row
  int64_t turns = 1;  // rows that take turns where there are sums: a group
  Index groups;       // how many there are
  Index rest;         // rows that come after them
  int64_t most = 1;   // rows of the largest block
};
// The body for all rows of a block, stage by stage: what ends in a sum; numbers, with the rows as lanes;
// other loops over columns. What a stage knows of a row stands in scratch for the stages that follow.
kernel::Body distribute(const kernel::Body& body, const BlockOfRows& rows, kernel::Kernel& k);

}  // namespace gradc::passes
