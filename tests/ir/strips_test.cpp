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

template <class T, bool Fused>
T alone(ScalarOp op, T x) {
  math::Native<T, Fused> a;
  T y = 0;
  math::with_elementary(op, [&](auto function, auto operands) {
    if constexpr (operands == 1)
      y = function(a, x);
    else
      y = function(a, x, x);
  });
  return y;
}

template <class T, bool Fused>
void expect_same(ScalarOp op) {
  const std::vector<T> x = samples<T>();
  std::vector<T> out(x.size());
  const DType t = sizeof(T) == 4 ? DType::F32 : DType::F64;
  interp::eval_strip(op, t, t, x.data(), x.data(), nullptr, out.data(), static_cast<int>(x.size()), Fused);
  for (size_t i = 0; i < x.size(); ++i) {
    const T want = alone<T, Fused>(op, x[i]);
    if (want != want) {
      EXPECT_NE(out[i], out[i]) << def_of(op).name << " of " << x[i];
    } else {
      EXPECT_EQ(std::memcmp(&want, &out[i], sizeof(T)), 0) << def_of(op).name << " of " << x[i];
    }
  }
}

template <class T, bool Fused>
void expect_all_same() {
  for (const ScalarOpDef& d : scalar_ops())
    if (d.elementary) expect_same<T, Fused>(d.op);
}

TEST(Strips, EveryInstructionSetGivesTheSameBits) {
  expect_all_same<float, true>();
  expect_all_same<float, false>();
  expect_all_same<double, true>();
  expect_all_same<double, false>();
}

}  // namespace
}  // namespace gradc
