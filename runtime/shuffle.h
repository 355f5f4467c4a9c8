// The order of the samples in an epoch.
#pragma once

#include <cstdint>
#include <vector>

namespace gradc::runtime {

// A random order of 0..n-1: a function of its arguments alone, on every platform, and each order equally
// likely. An epoch takes its number as the stream.
std::vector<int64_t> permutation(uint64_t seed, uint64_t stream, int64_t n);

}  // namespace gradc::runtime
