// The order of the samples in an epoch, and points that a data block draws.
#pragma once

#include <cstdint>
#include <vector>

namespace gradc::runtime {

// A random order of 0..n-1: a function of its arguments alone, on every platform, and each order equally
// likely. An epoch takes its number as the stream.
std::vector<int64_t> permutation(uint64_t seed, uint64_t stream, int64_t n);

// n numbers in [0, 1), multiples of 2^-53, in the same way.
std::vector<double> uniform(uint64_t seed, uint64_t stream, int64_t n);

}  // namespace gradc::runtime
