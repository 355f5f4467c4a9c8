// Strips, which are compiled for several instruction sets, against the same functions one element at a time
// as this file's flags compile them: the bits must be the same.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "ir/interp/scalar_strips.h"
#include "ir/math/elementary.h"

namespace gradc {
namespace {

template <class T>
std::vector<T> samples() {
  std::vector<T> v{T(0),
                   -T(0),
                   T(1),
                   T(-1),
                   std::numeric_limits<T>::infinity(),
                   -std::numeric_limits<T>::infinity(),
                   std::numeric_limits<T>::quiet_NaN(),
                   std::numeric_limits<T>::denorm_min(),
                   std::numeric_limits<T>::max()};
  for (int i = 0; i < 990; ++i)
    v.push_back(static_cast<T>(std::sin(i * 12.9898) * std::pow(10.0, i % 9 - 5)));
  return v;
}

template <class T, bool Fused, class F>
void expect_same(ScalarOp op, F f) {
  const std::vector<T> x = samples<T>();
  std::vector<T> out(x.size());
  const DType t = sizeof(T) == 4 ? DType::F32 : DType::F64;
  interp::eval_strip(op, t, t, x.data(), x.data(), nullptr, out.data(), static_cast<int>(x.size()), Fused);
  math::Native<T, Fused> a;
  for (size_t i = 0; i < x.size(); ++i) {
    const T want = f(a, x[i]);
    if (want != want) {
      EXPECT_NE(out[i], out[i]) << def_of(op).name << " of " << x[i];
    } else {
      EXPECT_EQ(std::memcmp(&want, &out[i], sizeof(T)), 0) << def_of(op).name << " of " << x[i];
    }
  }
}

template <class T, bool Fused>
void expect_all_same() {
  using enum ScalarOp;
  expect_same<T, Fused>(Exp, [](auto& a, T x) { return math::exp(a, x); });
  expect_same<T, Fused>(Expm1, [](auto& a, T x) { return math::expm1(a, x); });
  expect_same<T, Fused>(Log, [](auto& a, T x) { return math::log(a, x); });
  expect_same<T, Fused>(Log1p, [](auto& a, T x) { return math::log1p(a, x); });
  expect_same<T, Fused>(Sin, [](auto& a, T x) { return math::sin(a, x); });
  expect_same<T, Fused>(Cos, [](auto& a, T x) { return math::cos(a, x); });
  expect_same<T, Fused>(Tanh, [](auto& a, T x) { return math::tanh(a, x); });
  expect_same<T, Fused>(Sigmoid, [](auto& a, T x) { return math::sigmoid(a, x); });
  expect_same<T, Fused>(Erf, [](auto& a, T x) { return math::erf(a, x); });
  expect_same<T, Fused>(Pow, [](auto& a, T x) { return math::pow(a, x, x); });
}

TEST(Strips, EveryInstructionSetGivesTheSameBits) {
  expect_all_same<float, true>();
  expect_all_same<float, false>();
  expect_all_same<double, true>();
  expect_all_same<double, false>();
}

}  // namespace
}  // namespace gradc
