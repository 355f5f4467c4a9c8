// Places for buffers in the order of their first use: the smallest free block that fits, freed after the last
// use. n log n, for steps of so many buffers that trying every place of every other buffer would take too
// long.
#pragma once

#include <cstdint>
#include <vector>

namespace gradc::passes {

struct Span {
  int64_t size = 0;
  int first = 0, last = 0;  // phases, both included
};

// The offset of each span; the bytes in all.
int64_t place_best_fit(const std::vector<Span>& spans, std::vector<int64_t>& offsets);

}  // namespace gradc::passes
