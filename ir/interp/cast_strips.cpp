// Strips of casts: conversions, bits, and bits to numbers in [0, 1).
#include <cstring>
#include <limits>

#include "ir/interp/strip_loops.h"

namespace gradc::interp {
namespace {

// Saturates; the limits are powers of two, exact in every float type.
template <class R, class T>
inline R to_integer(T x) {
  constexpr T top = std::is_same_v<R, uint8_t> ? T(256) : T(uint64_t(1) << (8 * sizeof(R) - 1));
  constexpr T bottom = std::is_same_v<R, uint8_t> ? T(0) : -top;
  if (!(x == x)) return 0;
  return x >= top      ? std::numeric_limits<R>::max()
         : x <= bottom ? std::numeric_limits<R>::min()
                       : static_cast<R>(x);
}

template <class R, class T>
inline R convert_one(T x) {
  if constexpr (std::is_same_v<R, T>)
    return x;
  else if constexpr (std::is_same_v<R, Boolean>)
    return static_cast<Boolean>(x != T(0));
  else if constexpr (std::is_same_v<T, Boolean>)
    return static_cast<R>(static_cast<uint8_t>(x));
  else if constexpr (std::is_integral_v<R> && std::is_floating_point_v<T>)
    return to_integer<R, T>(x);
  else
    return static_cast<R>(x);
}

template <class T>
GRADC_CLONES void convert_from(DType result, const void* a, void* out, int n) {
  switch (result) {
    case DType::Bool:
      map1<Boolean, T>(a, out, n, convert_one<Boolean, T>);
      return;
    case DType::U8:
      map1<uint8_t, T>(a, out, n, convert_one<uint8_t, T>);
      return;
    case DType::I32:
      map1<int32_t, T>(a, out, n, convert_one<int32_t, T>);
      return;
    case DType::I64:
      map1<int64_t, T>(a, out, n, convert_one<int64_t, T>);
      return;
    case DType::F32:
      map1<float, T>(a, out, n, convert_one<float, T>);
      return;
    case DType::F64:
      map1<double, T>(a, out, n, convert_one<double, T>);
      return;
  }
}

}  // namespace

void convert_strip(DType result, DType operand, const void* a, void* out, int n) {
  with_type(operand, [&](auto t) { convert_from<decltype(t)>(result, a, out, n); });
}

void bitcast_strip(DType result, DType operand, const void* a, void* out, int n) {
  if (is_float(operand) && result != operand) {
    auto canonical = [&](auto zero) {
      using T = decltype(zero);
      map1<T, T>(a, out, n, [](T x) { return x == x ? x : std::numeric_limits<T>::quiet_NaN(); });
    };
    if (operand == DType::F32)
      canonical(float{});
    else
      canonical(double{});
  } else if (result == DType::Bool) {
    map1<uint8_t, uint8_t>(a, out, n, [](uint8_t x) { return static_cast<uint8_t>(x != 0); });
  } else if (a != out) {
    std::memcpy(out, a, static_cast<size_t>(n * size_of(result)));
  }
}

void uniform_strip(DType result, const void* a, void* out, int n) {
  if (result == DType::F32)
    map1<float, int64_t>(
        a, out, n, [](int64_t x) { return static_cast<float>(static_cast<uint64_t>(x) >> 40) * 0x1p-24f; });
  else
    map1<double, int64_t>(
        a, out, n, [](int64_t x) { return static_cast<double>(static_cast<uint64_t>(x) >> 11) * 0x1p-53; });
}

}  // namespace gradc::interp
