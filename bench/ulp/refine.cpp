// Moves the f32 coefficients of tanh in ir/math/elementary.h by a few units in their last places, at random,
// and keeps what lowers the largest error over every input of their range: a fit (bench/ulp/fit.py) knows
// nothing of how sums round. Prints the best it found after 20,000 tries from each of three seeds, some
// minutes.
//   g++ -O3 -march=native -std=c++20 -ffp-contract=off -fno-math-errno -fno-trapping-math -I. \
//     bench/ulp/refine.cpp -lfmt -pthread -o /tmp/refine && /tmp/refine
#include <array>
#include <cstdio>
#include <random>
#include <thread>
#include <vector>

#include "ir/math/elementary.h"

namespace {

using namespace gradc::math;
using A = Native<float, true>;
constexpr float kBorder = 0.82F;

struct Near {  // m + m z (n0 + n1 z) / (d0 + d1 z + d2 z^2), z = m^2
  std::array<float, 5> c{-1.91299760342F, -0.0845248177648F, 5.73899269104F, 2.54917144775F, 0.090499997139F};
  float operator()(float m) const {
    const float z = A::mul(m, m), top = A::mul(m, A::mul(z, A::mad(z, c[1], c[0])));
    return A::add(m, A::div(top, A::mad(z, A::mad(z, c[4], c[3]), c[2])));
  }
};
struct Far {  // 1 - 1 / (2^n (1/2 + h + c0 h^2 + ...) + 1/2)
  std::array<float, 5> c{0.999999880791F, 0.666660606861F, 0.333345890045F, 0.133910149336F,
                         0.0442393124104F};
  float operator()(float m) const {
    A a;
    const Whole<A> w = nearest(a, m, 2 * kPerLn2, 1);
    const float h = a.mad(w.n, a.c(-0.5 / kPerLn2), m), square = a.mul(h, h);
    const float tail = a.mad(a.mad(c[4], square, a.mad(h, c[3], c[2])), square, a.mad(h, c[1], c[0]));
    const float half = a.mad(square, tail, a.add(h, 0.5F));
    return a.add(1, a.div(-1, a.mad(a.from_bits(a.shl(w.shifted, 23)), half, 0.5F)));
  }
};

struct Input {
  float x;
  double exact, units;  // f32 in a unit of the last place
};
std::vector<Input> inputs(float from, float to, uint32_t stride) {
  std::vector<Input> all;
  for (uint32_t i = std::bit_cast<uint32_t>(from); i < std::bit_cast<uint32_t>(to); i += stride) {
    const float x = std::bit_cast<float>(i);
    const double y = std::tanh(static_cast<double>(x));
    all.push_back({x, y, std::ldexp(1.0, 23 - std::ilogb(y))});
  }
  return all;
}

template <class F>
double largest_error(const F& f, const std::vector<Input>& all, double enough) {
  double most = 0;
  for (const Input& i : all) {
    most = std::max(most, std::fabs(f(i.x) - i.exact) * i.units);
    if (most > enough) break;
  }
  return most;
}

template <class F>
void refine(const char* name, float from, float to, unsigned seed) {
  const std::vector<Input> some = inputs(from, to, 37), all = inputs(from, to, 1);
  std::mt19937 random(seed);
  F best;
  double error = largest_error(best, all, 9);
  for (int i = 0; i < 20000; ++i) {
    F f = best;
    for (unsigned k = 1 + random() % 2; k > 0; --k) {
      float& c = f.c[random() % f.c.size()];
      const auto units = static_cast<int32_t>(std::pow(1000.0, random() % 1000 / 1000.0));
      c = std::bit_cast<float>(std::bit_cast<int32_t>(c) + (random() & 1 ? units : -units));
    }
    if (largest_error(f, some, error) >= error) continue;
    if (const double e = largest_error(f, all, error); e < error) error = e, best = f;
  }
  std::printf("%s %.4f:", name, error);
  for (float c : best.c) std::printf(" %.12g", c);
  std::printf("\n");
}

}  // namespace

int main() {
  std::thread near([] {
    for (unsigned seed : {1, 2, 3}) refine<Near>("near", 0.7F, kBorder, seed);
  });
  for (unsigned seed : {1, 2, 3}) refine<Far>("far", kBorder, 1.3F, seed);
  near.join();
}
