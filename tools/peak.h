// The processor's f32 multiply-add rate, measured: what shares of the peak are shares of.
#pragma once

namespace gradc {

// Billions of f32 operations a second (2 a multiply-add) of `threads` threads at once, the best of several
// short runs.
double measure_peak_gflops(int threads);

}  // namespace gradc
