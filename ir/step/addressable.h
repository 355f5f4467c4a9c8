// Sizes that a process can address (2^56 bytes), so that sums of them stay far from the end of int64_t.
#pragma once

#include <optional>

#include "ir/step/step.h"

namespace gradc::step {

// Where so many elements end behind `before` bytes; none where no process could address them.
std::optional<int64_t> addressable_end(int64_t elements, DType t, int64_t before);
// The same of a buffer at given dimensions; a CompileError where there is none.
int64_t addressable_end(const Buffer& b, const std::map<std::string, int64_t>& dims, int64_t before);

}  // namespace gradc::step
