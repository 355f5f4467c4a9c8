// The processor's f32 multiply-add rate, measured: what shares of the peak are shares of.
#pragma once

#include <cstdint>

namespace gradc {

// Billions of f32 operations a second (2 a multiply-add) of `threads` threads at once, the best of several
// short runs.
double measure_peak_gflops(int threads);

// Billions of bytes a second that one thread reads, again and again, from so many: of the level of the
// caches, or the memory, that holds them. The best of several short runs.
double measure_read_gbs(int64_t bytes);

}  // namespace gradc
