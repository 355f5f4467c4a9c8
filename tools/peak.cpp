#include "tools/peak.h"

#include <algorithm>
#include <barrier>
#include <chrono>
#include <thread>
#include <vector>

#include "runtime/memory.h"

namespace gradc {
namespace {

constexpr int kChains = 12;  // enough independent chains to hide the latency of a multiply-add on every core
constexpr int kReads = 8;    // chains of reading; what is read is a multiple of their width
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

// Reads `count` integers, a multiple of 8 vectors, in chains that do not wait for each other; integers, whose
// combining is never slower than the reading.
#define GRADC_READ_LOOP(NAME, WIDTH, TARGET)                                         \
  __attribute__((target(TARGET))) int32_t NAME(const int32_t* from, int64_t count) { \
    typedef int32_t V __attribute__((vector_size(4 * WIDTH)));                       \
    const V* at = reinterpret_cast<const V*>(from);                                  \
    V acc[kReads] = {};                                                              \
    for (int64_t i = 0; i < count / WIDTH; i += kReads)                              \
      _Pragma("GCC unroll 8") for (int c = 0; c < kReads; ++c) acc[c] ^= at[i + c];  \
    int32_t all = 0;                                                                 \
    for (const V& v : acc)                                                           \
      for (int l = 0; l < WIDTH; ++l) all ^= v[l];                                   \
    return all;                                                                      \
  }

#if defined(__x86_64__)
GRADC_PEAK_LOOP(run_avx512, 16, "avx512f,fma")
GRADC_PEAK_LOOP(run_avx2, 8, "avx2,fma")
GRADC_PEAK_LOOP(run_sse, 4, "sse2")
GRADC_READ_LOOP(read_avx512, 16, "avx512f")
GRADC_READ_LOOP(read_avx2, 8, "avx2")
GRADC_READ_LOOP(read_sse, 4, "sse2")
#else
GRADC_PEAK_LOOP(run_sse, 4, "")
GRADC_READ_LOOP(read_sse, 4, "")
#endif

struct Loop {
  double (*run)(float);
  int32_t (*read)(const int32_t*, int64_t);
  int width;
};

Loop widest() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return {run_avx512, read_avx512, 16};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return {run_avx2, read_avx2, 8};
#endif
  return {run_sse, read_sse, 4};
}

}  // namespace

double measure_peak_gflops(int threads) {
  const Loop loop = widest();
  const double work = 2.0 * loop.width * kChains * kRounds * threads;
  double best = 0;
  std::vector<double> sinks(static_cast<size_t>(threads));
  for (int round = 0; round < 8; ++round) {
    std::barrier start(threads);  // what it takes to start threads is no work
    std::vector<std::thread> team;
    for (int t = 1; t < threads; ++t)
      team.emplace_back([&, t] {
        start.arrive_and_wait();
        sinks[static_cast<size_t>(t)] = loop.run(static_cast<float>(t));
      });
    start.arrive_and_wait();
    const double from = seconds();
    sinks[0] = loop.run(1);
    for (std::thread& t : team) t.join();
    best = std::max(best, work / (seconds() - from) / 1e9);
  }
  // The sums are small and positive; reading them keeps the loops alive.
  return *std::min_element(sinks.begin(), sinks.end()) > -1 ? best : 0;
}

double measure_read_gbs(int64_t bytes) {
  const Loop loop = widest();
  const int64_t count = std::max<int64_t>(bytes / 4 / 128, 1) * 128;
  runtime::Region region(4 * count);
  int32_t* data = reinterpret_cast<int32_t*>(region.data());
  for (int64_t i = 0; i < count; ++i)
    data[i] = static_cast<int32_t>(i);  // pages of their own, not the zero page
  const int64_t passes = std::max<int64_t>(1, (int64_t(64) << 20) / (4 * count));
  double best = 0;
  for (int round = 0; round < 5; ++round) {
    const double from = seconds();
    int32_t all = 0;
    for (int64_t p = 0; p < passes; ++p) {
      all += loop.read(data, count);
      asm volatile("" : "+r"(all) : : "memory");  // each pass reads again
    }
    best = std::max(best, static_cast<double>(4 * count * passes) / (seconds() - from) / 1e9);
  }
  return best;
}

}  // namespace gradc
