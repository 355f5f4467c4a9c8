#include "tools/peak.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <vector>

namespace gradc {
namespace {

constexpr int kChains = 12;  // enough independent chains to hide the latency of a multiply-add on every core
constexpr int kRounds = 200000;

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// One body for each vector width; the attribute picks the instructions, the compiler contracts a * b + c.
#define GRADC_PEAK_LOOP(NAME, WIDTH, TARGET)                                              \
  __attribute__((target(TARGET), optimize("fp-contract=fast"))) double NAME(float seed) { \
    typedef float V __attribute__((vector_size(4 * WIDTH)));                              \
    V acc[kChains], a, b;                                                                 \
    for (int l = 0; l < WIDTH; ++l) a[l] = 1 - 1e-7f * seed, b[l] = 1e-9f * seed;         \
    for (V & v : acc) v = b;                                                              \
    for (int r = 0; r < kRounds; ++r)                                                     \
      _Pragma("GCC unroll 12") for (int c = 0; c < kChains; ++c) acc[c] = acc[c] * a + b; \
    float sum = 0;                                                                        \
    for (const V& v : acc)                                                                \
      for (int l = 0; l < WIDTH; ++l) sum += v[l];                                        \
    return sum;                                                                           \
  }

#if defined(__x86_64__)
GRADC_PEAK_LOOP(run_avx512, 16, "avx512f,fma")
GRADC_PEAK_LOOP(run_avx2, 8, "avx2,fma")
GRADC_PEAK_LOOP(run_sse, 4, "sse2")
#else
GRADC_PEAK_LOOP(run_sse, 4, "")
#endif

struct Loop {
  double (*run)(float);
  int width;
};

Loop widest() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return {run_avx512, 16};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return {run_avx2, 8};
#endif
  return {run_sse, 4};
}

}  // namespace

double measure_peak_gflops(int threads) {
  const Loop loop = widest();
  const double work = 2.0 * loop.width * kChains * kRounds * threads;
  double best = 0;
  std::vector<double> sinks(static_cast<size_t>(threads));
  for (int round = 0; round < 8; ++round) {
    const double from = seconds();
    std::vector<std::thread> team;
    for (int t = 1; t < threads; ++t)
      team.emplace_back([&, t] { sinks[static_cast<size_t>(t)] = loop.run(static_cast<float>(t)); });
    sinks[0] = loop.run(1);
    for (std::thread& t : team) t.join();
    best = std::max(best, work / (seconds() - from) / 1e9);
  }
  // The sums are small and positive; reading them keeps the loops alive.
  return *std::min_element(sinks.begin(), sinks.end()) > -1 ? best : 0;
}

}  // namespace gradc
