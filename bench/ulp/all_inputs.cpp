// The elementary functions of ir/math in f32 over all 2^32 inputs (sqrt with them, as a check of this
// program): the largest error in units of the last place, and an input that has it. The exact value is the C
// library's in f64, whose own error is below 1e-8 of a unit of f32.
//   g++ -O3 -march=native -std=c++20 -ffp-contract=off -fno-math-errno -fno-trapping-math -I. \
//     bench/ulp/all_inputs.cpp -lfmt -pthread -o /tmp/all_inputs && /tmp/all_inputs
// Arguments: names of functions (all without any), --stride=N for every Nth input, --no-fma for the bits of
// fma=off.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "ir/math/elementary.h"

namespace {

using namespace gradc;

// A unit is the distance of neighbouring f32 around the exact value: 2^-149 below the normal range. Values
// beyond the range count as 2^128.
double error_in_ulp(float got, double exact) {
  if (std::isnan(exact)) return std::isnan(got) ? 0 : INFINITY;
  if (std::isnan(got)) return INFINITY;
  const int64_t field = (std::bit_cast<int64_t>(exact) >> 52) & 0x7FF;
  const int64_t unit = std::max<int64_t>(field, 1023 - 126) - 23;
  const double value = std::clamp<double>(got, -0x1p128, 0x1p128);
  return std::fabs(value - std::clamp(exact, -0x1p128, 0x1p128)) *
         std::bit_cast<double>((2 * 1023 - unit) << 52);
}

struct Worst {
  double error = 0;
  float at = 0;
};

constexpr int kStrip = 4096;

// With an estimate of the exact value, inputs for which it says less than half a unit are not looked at
// again, but in every 64th strip: the C library takes most of the time.
template <class F, class E>
Worst scan(const F& function, const E& estimate, double (*exact)(double), uint64_t from, uint64_t to,
           uint64_t stride) {
  std::vector<float> x(kStrip), y(kStrip);
  std::vector<double> guess(kStrip);
  Worst worst;
  for (uint64_t i = from; i < to; i += kStrip * stride) {
    for (uint64_t j = 0; j < kStrip; ++j) x[j] = std::bit_cast<float>(static_cast<uint32_t>(i + j * stride));
    for (int j = 0; j < kStrip; ++j) y[j] = function(x[j]);
    const bool all = i / (kStrip * stride) % 64 == 0;
    for (int j = 0; j < kStrip; ++j) guess[j] = estimate(x[j]);
    for (int j = 0; j < kStrip; ++j) {
      if (!all && error_in_ulp(y[j], guess[j]) < 0.5) continue;
      const double e = error_in_ulp(y[j], exact(x[j]));
      if (e > worst.error) worst = {e, x[j]};
    }
  }
  return worst;
}

template <class F, class E>
void measure(const char* name, const F& function, const E& estimate, double (*exact)(double),
             uint64_t stride) {
  constexpr uint64_t kAll = uint64_t{1} << 32;
  const uint64_t piece = uint64_t{kStrip} * stride * 16;
  std::atomic<uint64_t> next = 0;
  std::vector<Worst> found(std::max(1U, std::thread::hardware_concurrency()));
  std::vector<std::thread> team;
  for (Worst& mine : found)
    team.emplace_back([&] {
      for (uint64_t i = next.fetch_add(piece); i < kAll; i = next.fetch_add(piece)) {
        const Worst w = scan(function, estimate, exact, i, std::min(kAll, i + piece), stride);
        if (w.error > mine.error) mine = w;
      }
    });
  for (std::thread& t : team) t.join();
  const Worst w =
      *std::max_element(found.begin(), found.end(), [](auto& a, auto& b) { return a.error < b.error; });
  std::printf("%-8s %.4f at %.9g (%a)\n", name, w.error, w.at, w.at);
  std::fflush(stdout);
}

double sigmoid_exact(double x) { return 1 / (1 + std::exp(-x)); }
double rsqrt_exact(double x) { return 1 / std::sqrt(x); }

template <bool Fma>
void measure_all(const std::vector<std::string>& names, uint64_t stride) {
  const auto wanted = [&](const char* n) {
    return names.empty() || std::find(names.begin(), names.end(), n) != names.end();
  };
#define MEASURE(name, estimate, exact)          \
  if (wanted(#name)) {                          \
    const auto f = [](float x) {                \
      math::Native<float, Fma> a;               \
      return math::name(a, x);                  \
    };                                          \
    measure(#name, f, estimate, exact, stride); \
  }
// Estimated by the f64 form, which tests/math compares with the C library.
#define MEASURE_BY_F64(name, exact)    \
  {                                    \
    const auto by_f64 = [](double x) { \
      math::Native<double, true> a;    \
      return math::name(a, x);         \
    };                                 \
    MEASURE(name, by_f64, exact)       \
  }
  const auto none = [](double) { return NAN; };  // an infinite error: looked at
  MEASURE_BY_F64(exp, std::exp)
  MEASURE_BY_F64(expm1, std::expm1)
  MEASURE_BY_F64(log, std::log)
  MEASURE_BY_F64(log1p, std::log1p)
  MEASURE_BY_F64(tanh, std::tanh)
  MEASURE_BY_F64(sigmoid, sigmoid_exact)
  MEASURE_BY_F64(erf, std::erf)
  MEASURE(rsqrt, none, rsqrt_exact)
  MEASURE(sin, none, std::sin)
  MEASURE(cos, none, std::cos)
  MEASURE(atan, none, std::atan)
#undef MEASURE
#undef MEASURE_BY_F64
  const auto root = [](float x) { return math::Native<float, Fma>::sqrt(x); };
  if (wanted("sqrt")) measure("sqrt", root, none, std::sqrt, stride);
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> names;
  uint64_t stride = 1;
  bool fma = true;
  for (int i = 1; i < argc; ++i) {
    const std::string a = argv[i];
    if (a.rfind("--stride=", 0) == 0)
      stride = std::max(1ULL, std::strtoull(argv[i] + 9, nullptr, 10));
    else if (a == "--no-fma")
      fma = false;
    else
      names.push_back(a);
  }
  fma ? measure_all<true>(names, stride) : measure_all<false>(names, stride);
}
