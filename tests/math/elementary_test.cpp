// Elementary functions against the C library in higher precision: the largest error in units of the last
// place over seeded samples, and special values. The bounds are measured ones; docs/architecture.md states them.
#include "ir/math/elementary.h"

#include <gtest/gtest.h>

#include <functional>
#include <random>

namespace gradc::math {
namespace {

template <class T>
double ulp_error(T got, long double want) {
  if (std::isnan(got) && std::isnan(want)) return 0;
  if (static_cast<T>(want) == got)
    return std::isinf(got) ? 0
                           : std::fabs(static_cast<double>(
                                 (got - want) / (std::nextafter(std::fabs(got), INFINITY) - std::fabs(got))));
  int e = 0;
  std::frexp(static_cast<T>(want), &e);
  const int digits = std::numeric_limits<T>::digits;
  const long double unit =
      std::ldexp(1.0L, std::max(e - digits, std::numeric_limits<T>::min_exponent - digits));
  return static_cast<double>(std::fabs((got - want) / unit));
}

struct Range {
  double low, high;
};

template <class T>
double worst(Range r, const std::function<T(T)>& f, const std::function<long double(long double)>& exact,
             T* at) {
  std::mt19937_64 random(7);
  std::uniform_real_distribution<double> d(r.low, r.high);
  double most = 0;
  for (int i = 0; i < 200000; ++i) {
    const T x = static_cast<T>(d(random));
    const double e = ulp_error(f(x), exact(x));
    if (e > most) most = e, *at = x;
  }
  return most;
}

#define CHECK_ULP(T, F, EXACT, LOW, HIGH, BOUND) CHECK_ULP_OF(T, true, F, EXACT, LOW, HIGH, BOUND)
#define CHECK_ULP_OF(T, FMA, F, EXACT, LOW, HIGH, BOUND)                                         \
  {                                                                                              \
    Native<T, FMA> a;                                                                            \
    T at = 0;                                                                                    \
    const double e = worst<T>(                                                                   \
        {LOW, HIGH}, [&](T x) { return F(a, x); }, [](long double x) { return EXACT(x); }, &at); \
    RecordProperty(#F "_" #T, std::to_string(e));                                                \
    EXPECT_LE(e, BOUND) << #F " " #T " at " << static_cast<double>(at);                          \
  }

long double exact_sigmoid(long double x) { return 1 / (1 + std::exp(-x)); }

long double exact_rsqrt(long double x) { return 1 / std::sqrt(x); }

TEST(Elementary, SinglePrecision) {
  CHECK_ULP(float, exp, std::exp, -104, 88.8, 1.0);
  CHECK_ULP(float, expm1, std::expm1, -18, 88.8, 1.0);
  CHECK_ULP(float, expm1, std::expm1, -1, 1, 1.0);
  CHECK_ULP(float, log, std::log, 1e-30, 3, 1.0);
  CHECK_ULP(float, log, std::log, 3, 1e30, 1.0);
  CHECK_ULP(float, log1p, std::log1p, -0.9, 2, 1.0);
  CHECK_ULP(float, tanh, std::tanh, -10, 10, 1.0);
  CHECK_ULP(float, tanh, std::tanh, -0.3, 0.3, 1.0);
  CHECK_ULP(float, sigmoid, exact_sigmoid, -104, 30, 1.0);
  CHECK_ULP(float, erf, std::erf, -4, 4, 1.0);
  CHECK_ULP(float, sin, std::sin, -3.1, 3.1, 0.51);
  CHECK_ULP(float, sin, std::sin, -10000, 10000, 0.51);
  CHECK_ULP(float, sin, std::sin, -1e18, 1e18, 0.51);
  CHECK_ULP(float, cos, std::cos, -10000, 10000, 0.51);
  CHECK_ULP(float, cos, std::cos, -1e28, 1e28, 0.51);
  CHECK_ULP(float, cos, std::cos, -3e38, 3e38, 0.51);
  CHECK_ULP(float, atan, std::atan, -0.5, 0.5, 0.51);
  CHECK_ULP(float, atan, std::atan, -10, 10, 0.51);
  CHECK_ULP(float, atan, std::atan, -1e6, 1e6, 0.51);
  CHECK_ULP(float, rsqrt, exact_rsqrt, 0, 1e-37, 0.6);
  CHECK_ULP(float, rsqrt, exact_rsqrt, 0.1, 5, 0.6);
  CHECK_ULP(float, rsqrt, exact_rsqrt, 5, 3e38, 0.6);
}

// Without fused multiply-add what a division lost is not exact.
TEST(Elementary, SinglePrecisionUnfused) {
  CHECK_ULP_OF(float, false, exp, std::exp, -104, 88.8, 1.0);
  CHECK_ULP_OF(float, false, expm1, std::expm1, -18, 88.8, 1.0);
  CHECK_ULP_OF(float, false, log, std::log, 1e-30, 3, 1.0);
  CHECK_ULP_OF(float, false, log1p, std::log1p, -0.9, 2, 1.0);
  CHECK_ULP_OF(float, false, tanh, std::tanh, -10, 10, 2.2);
  CHECK_ULP_OF(float, false, sigmoid, exact_sigmoid, -104, 30, 1.5);
  CHECK_ULP_OF(float, false, erf, std::erf, -4, 4, 1.8);
  CHECK_ULP_OF(float, false, sin, std::sin, -1e18, 1e18, 0.51);
  CHECK_ULP_OF(float, false, rsqrt, exact_rsqrt, 0.1, 5, 1.5);
}

TEST(Elementary, DoublePrecision) {
  CHECK_ULP(double, exp, std::exp, -700, 700, 1.0);
  CHECK_ULP(double, expm1, std::expm1, -10, 80, 2.0);
  CHECK_ULP(double, expm1, std::expm1, -1, 1, 2.0);
  CHECK_ULP(double, log, std::log, 1e-30, 3, 1.0);
  CHECK_ULP(double, log1p, std::log1p, -0.9, 2, 1.5);
  CHECK_ULP(double, tanh, std::tanh, -20, 20, 2.5);
  CHECK_ULP(double, tanh, std::tanh, -0.3, 0.3, 2.7);
  CHECK_ULP(double, sigmoid, exact_sigmoid, -700, 40, 2.0);
  CHECK_ULP(double, erf, std::erf, -6, 6, 2.0);
  CHECK_ULP(double, rsqrt, exact_rsqrt, 0.1, 5, 0.6);
  CHECK_ULP(double, sin, std::sin, -1000, 1000, 1.5);
  CHECK_ULP(double, cos, std::cos, -1000, 1000, 1.5);
  CHECK_ULP(double, atan, std::atan, -0.5, 0.5, 2.0);
  CHECK_ULP(double, atan, std::atan, -10, 10, 2.0);
  CHECK_ULP(double, atan, std::atan, -1e9, 1e9, 1.0);
}

template <class T>
void special_values() {
  Native<T, true> a;
  const T inf = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
  EXPECT_EQ(exp(a, inf), inf);
  EXPECT_EQ(exp(a, -inf), 0);
  EXPECT_EQ(exp(a, T(0)), 1);
  EXPECT_EQ(expm1(a, -inf), -1);
  EXPECT_EQ(expm1(a, inf), inf);
  EXPECT_TRUE(std::signbit(expm1(a, T(-0.0))));
  EXPECT_EQ(log(a, T(0)), -inf);
  EXPECT_EQ(log(a, inf), inf);
  EXPECT_TRUE(std::isnan(log(a, T(-1))));
  EXPECT_EQ(log(a, T(1)), 0);
  EXPECT_EQ(log1p(a, T(-1)), -inf);
  EXPECT_EQ(log1p(a, inf), inf);
  EXPECT_TRUE(std::signbit(log1p(a, T(-0.0))));
  EXPECT_EQ(tanh(a, inf), 1);
  EXPECT_EQ(tanh(a, -inf), -1);
  EXPECT_EQ(sigmoid(a, -inf), 0);
  EXPECT_EQ(sigmoid(a, inf), 1);
  EXPECT_EQ(erf(a, inf), 1);
  EXPECT_EQ(erf(a, -inf), -1);
  EXPECT_TRUE(std::isnan(sin(a, inf)));
  EXPECT_TRUE(std::isnan(cos(a, -inf)));
  EXPECT_EQ(rsqrt(a, T(0)), inf);
  EXPECT_EQ(rsqrt(a, T(-0.0)), -inf);
  EXPECT_EQ(rsqrt(a, inf), 0);
  EXPECT_TRUE(std::isnan(rsqrt(a, T(-1))));
  EXPECT_TRUE(std::signbit(tanh(a, T(-0.0))));
  EXPECT_TRUE(std::signbit(erf(a, T(-0.0))));
  EXPECT_EQ(cos(a, T(0)), 1);
  EXPECT_TRUE(std::signbit(sin(a, T(-0.0))));
  EXPECT_EQ(atan(a, inf), static_cast<T>(M_PI / 2));
  EXPECT_EQ(atan(a, -inf), -static_cast<T>(M_PI / 2));
  EXPECT_EQ(atan(a, T(1)), static_cast<T>(M_PI / 4));
  EXPECT_EQ(atan(a, std::numeric_limits<T>::denorm_min()), std::numeric_limits<T>::denorm_min());
  EXPECT_TRUE(std::signbit(atan(a, T(-0.0))));
  EXPECT_EQ(pow(a, nan, T(0)), 1);
  EXPECT_EQ(pow(a, T(1), nan), 1);
  EXPECT_EQ(pow(a, T(-2), T(3)), -8);
  EXPECT_EQ(pow(a, T(0), T(-1)), inf);
  EXPECT_EQ(pow(a, T(-0.0), T(-1)), -inf);
  EXPECT_TRUE(std::isnan(pow(a, T(-2), T(0.5))));
  EXPECT_EQ(pow(a, T(0.5), inf), 0);
  EXPECT_EQ(pow(a, T(2), inf), inf);
  for (T odd : {T(1), T(3), T(-1), T(-3), T(7)}) {
    EXPECT_EQ(pow(a, -inf, odd), odd > 0 ? -inf : T(-0.0));
    EXPECT_TRUE(std::signbit(pow(a, -inf, odd)) && std::signbit(pow(a, T(-0.0), odd)));
  }
  for (T y : {T(2), T(0.5), T(2.5), inf, T(-2), T(-0.5), -inf}) {
    EXPECT_EQ(pow(a, -inf, y), y > 0 ? inf : T(0));
    EXPECT_EQ(pow(a, T(-0.0), y), y > 0 ? T(0) : inf);
    EXPECT_FALSE(std::signbit(pow(a, -inf, y)) || std::signbit(pow(a, T(-0.0), y)));
  }
  EXPECT_EQ(pow(a, T(-1), inf), 1);
  EXPECT_EQ(pow(a, T(-1), -inf), 1);
  EXPECT_EQ(pow(a, inf, T(-1)), 0);
  EXPECT_TRUE(std::isnan(pow(a, T(-1), T(0.5))));
  EXPECT_EQ(rem(a, T(5.5), inf), T(5.5));
  EXPECT_TRUE(std::isnan(rem(a, inf, T(2))));
  EXPECT_TRUE(std::isnan(rem(a, T(2), T(0))));
  EXPECT_TRUE(std::signbit(rem(a, T(-6), T(3))));
  for (T bad : {exp(a, nan), expm1(a, nan), log(a, nan), log1p(a, nan), tanh(a, nan), sigmoid(a, nan),
                erf(a, nan), rsqrt(a, nan), sin(a, nan), cos(a, nan), atan(a, nan), pow(a, nan, T(2))})
    EXPECT_TRUE(std::isnan(bad));
}

// Powers in every magnitude: the exponent is drawn so that the result is in range.
template <class T>
double worst_power(double bits) {
  Native<T, true> a;
  std::mt19937_64 random(7);
  std::uniform_real_distribution<double> d(-1, 1);
  double most = 0;
  for (int i = 0; i < 200000; ++i) {
    const T x = static_cast<T>(std::exp2(bits * d(random)));
    const T y =
        static_cast<T>(bits * d(random) / std::max(1.0, std::fabs(std::log2(static_cast<double>(x)))));
    most = std::max(
        most, ulp_error(pow(a, x, y), std::pow(static_cast<long double>(x), static_cast<long double>(y))));
  }
  return most;
}

TEST(Elementary, Powers) { EXPECT_LE(worst_power<float>(126), 0.6); }

TEST(Elementary, RemaindersAreExact) {
  std::mt19937_64 random(7);
  std::uniform_real_distribution<double> d(-12, 12);
  Native<double, true> wide;
  Native<float, true> narrow;
  Native<float, false> unfused;
  for (int i = 0; i < 100000; ++i) {
    const double x = (i % 2 ? 1 : -1) * std::exp2(d(random)), y = (i % 3 ? 1 : -1) * std::exp2(d(random));
    ASSERT_EQ(rem(wide, x, y), std::fmod(x, y)) << x << " " << y;
    const float u = static_cast<float>(x), v = static_cast<float>(y);
    ASSERT_EQ(rem(narrow, u, v), std::fmod(u, v)) << u << " " << v;
    ASSERT_EQ(rem(unfused, u, v), std::fmod(u, v)) << u << " " << v;
  }
}

TEST(Elementary, SpecialValues) {
  special_values<float>();
  special_values<double>();
}

// f32 tanh and erf reach 1 and never pass it, whatever their approximations round to near it.
template <bool Fma>
void saturation() {
  Native<float, Fma> a;
  for (int32_t bits = std::bit_cast<int32_t>(1.0f); bits < std::bit_cast<int32_t>(INFINITY);
       bits += bits < std::bit_cast<int32_t>(16.0f) ? 5 : 50021) {
    const float x = std::bit_cast<float>(bits), t = tanh(a, x), e = erf(a, x);
    ASSERT_LE(std::max(t, e), 1) << x;
    ASSERT_TRUE(t == 1 || x < 9.02f) << x;
    ASSERT_TRUE(e == 1 || x < 4) << x;
    ASSERT_EQ(tanh(a, -x), -t) << x;
    ASSERT_EQ(erf(a, -x), -e) << x;
  }
}
TEST(Elementary, SaturationIsAt1) {
  saturation<true>();
  saturation<false>();
}

TEST(Elementary, DenormalResultsAreKept) {
  Native<float, true> a;
  EXPECT_NEAR(exp(a, -100.0f) / std::exp(-100.0f), 1, 1e-4);
  EXPECT_GT(exp(a, -103.0f), 0.0f);
  EXPECT_EQ(log(a, 1e-45f), std::log(1e-45f));
}

}  // namespace
}  // namespace gradc::math
