// Strips of scalar operations: arithmetic, comparisons, elementary functions.
#include "ir/interp/scalar_strips.h"

#include <cmath>
#include <type_traits>

#include "ir/interp/strip_loops.h"
#include "ir/math/elementary.h"
#include "support/check.h"

namespace gradc::interp {
namespace {

using enum ScalarOp;

template <class T>
GRADC_CLONES void float_strip(ScalarOp op, const void* a, const void* b, const void* c, void* out, int n,
                              bool fma) {
  switch (op) {
    case Neg:
      map1<T, T>(a, out, n, [](T x) { return -x; });
      return;
    case Abs:
      map1<T, T>(a, out, n, [](T x) { return std::abs(x); });
      return;
    case Sqrt:
      map1<T, T>(a, out, n, [](T x) { return std::sqrt(x); });
      return;
    case Floor:
      map1<T, T>(a, out, n, [](T x) { return std::floor(x); });
      return;
    case Ceil:
      map1<T, T>(a, out, n, [](T x) { return std::ceil(x); });
      return;
    case RoundEven:
      map1<T, T>(a, out, n, [](T x) { return std::nearbyint(x); });
      return;
    case Sign:
      map1<T, T>(a, out, n, [](T x) { return x > 0 ? T(1) : x < 0 ? T(-1) : x; });
      return;
    case Add:
      map2<T, T>(a, b, out, n, [](T x, T y) { return x + y; });
      return;
    case Sub:
      map2<T, T>(a, b, out, n, [](T x, T y) { return x - y; });
      return;
    case Mul:
      map2<T, T>(a, b, out, n, [](T x, T y) { return x * y; });
      return;
    case Div:
      map2<T, T>(a, b, out, n, [](T x, T y) { return x / y; });
      return;
    case Max:
      map2<T, T>(a, b, out, n, maximum<T>);
      return;
    case Min:
      map2<T, T>(a, b, out, n, minimum<T>);
      return;
    case Fma: {
      const T *x = static_cast<const T*>(a), *y = static_cast<const T*>(b), *z = static_cast<const T*>(c);
      T* o = static_cast<T*>(out);
      if (fma)
        for (int i = 0; i < n; ++i) o[i] = std::fma(x[i], y[i], z[i]);
      else
        for (int i = 0; i < n; ++i) o[i] = x[i] * y[i] + z[i];
      return;
    }
    default:
      GRADC_CHECK(false, "{} is no float operation", def_of(op).name);
  }
}

template <class T>
GRADC_CLONES void integer_strip(ScalarOp op, const void* a, const void* b, void* out, int n) {
  using U = std::make_unsigned_t<T>;
  constexpr int width = 8 * sizeof(T);
  // u8 is computed as int and narrowed, which wraps; the others are computed unsigned.
  auto wrap = [](auto f) {
    return [f](T x, T y) { return static_cast<T>(f(static_cast<U>(x), static_cast<U>(y))); };
  };
  switch (op) {
    case Neg:
      map1<T, T>(a, out, n, [](T x) { return static_cast<T>(U(0) - static_cast<U>(x)); });
      return;
    case Abs:
      map1<T, T>(a, out, n, [](T x) { return x < 0 ? static_cast<T>(U(0) - static_cast<U>(x)) : x; });
      return;
    case Sign:
      map1<T, T>(a, out, n, [](T x) { return static_cast<T>((x > 0) - (x < 0)); });
      return;
    case Not:
      map1<T, T>(a, out, n, [](T x) { return static_cast<T>(~x); });
      return;
    case Add:
      map2<T, T>(a, b, out, n, wrap([](U x, U y) { return x + y; }));
      return;
    case Sub:
      map2<T, T>(a, b, out, n, wrap([](U x, U y) { return x - y; }));
      return;
    case Mul:
      map2<T, T>(a, b, out, n, wrap([](U x, U y) { return U(1) * x * y; }));
      return;
    case Max:
      map2<T, T>(a, b, out, n, [](T x, T y) { return x > y ? x : y; });
      return;
    case Min:
      map2<T, T>(a, b, out, n, [](T x, T y) { return x < y ? x : y; });
      return;
    case And:
      map2<T, T>(a, b, out, n, [](T x, T y) { return static_cast<T>(x & y); });
      return;
    case Or:
      map2<T, T>(a, b, out, n, [](T x, T y) { return static_cast<T>(x | y); });
      return;
    case Xor:
      map2<T, T>(a, b, out, n, [](T x, T y) { return static_cast<T>(x ^ y); });
      return;
    case Div:
      map2<T, T>(a, b, out, n, [](T x, T y) {
        if (y == 0) return T(0);
        if (std::is_signed_v<T> && y == T(-1)) return static_cast<T>(U(0) - static_cast<U>(x));
        return static_cast<T>(x / y);
      });
      return;
    case Rem:
      map2<T, T>(a, b, out, n, [](T x, T y) {
        return y == 0 || (std::is_signed_v<T> && y == T(-1)) ? T(0) : static_cast<T>(x % y);
      });
      return;
    case ShiftLeft:
      map2<T, T>(a, b, out, n, [](T x, T y) {
        const U shift = static_cast<U>(y);
        return shift < width ? static_cast<T>(static_cast<U>(x) << shift) : T(0);
      });
      return;
    case ShiftRight:
      map2<T, T>(a, b, out, n, [](T x, T y) {
        const U shift = static_cast<U>(y);
        return shift < width ? static_cast<T>(static_cast<U>(x) >> shift) : T(0);
      });
      return;
    default:
      GRADC_CHECK(false, "{} is no integer operation", def_of(op).name);
  }
}

GRADC_CLONES void bool_strip(ScalarOp op, const void* a, const void* b, void* out, int n) {
  using T = uint8_t;
  switch (op) {
    case Not:
      map1<T, T>(a, out, n, [](T x) { return static_cast<T>(x ^ 1); });
      return;
    case And:
      map2<T, T>(a, b, out, n, [](T x, T y) { return static_cast<T>(x & y); });
      return;
    case Or:
      map2<T, T>(a, b, out, n, [](T x, T y) { return static_cast<T>(x | y); });
      return;
    case Xor:
      map2<T, T>(a, b, out, n, [](T x, T y) { return static_cast<T>(x ^ y); });
      return;
    case ShiftLeft:
    case ShiftRight:
      map2<T, T>(a, b, out, n, [](T x, T y) { return static_cast<T>(y ? 0 : x); });
      return;
    default:
      GRADC_CHECK(false, "{} is no bool operation", def_of(op).name);
  }
}

template <class T>
GRADC_CLONES void compare_strip(ScalarOp op, const void* a, const void* b, void* out, int n) {
  using R = uint8_t;
  switch (op) {
    case Eq:
      map2<R, T>(a, b, out, n, [](T x, T y) { return static_cast<R>(x == y); });
      return;
    case Ne:
      map2<R, T>(a, b, out, n, [](T x, T y) { return static_cast<R>(x != y); });
      return;
    case Lt:
      map2<R, T>(a, b, out, n, [](T x, T y) { return static_cast<R>(x < y); });
      return;
    case Le:
      map2<R, T>(a, b, out, n, [](T x, T y) { return static_cast<R>(x <= y); });
      return;
    case Gt:
      map2<R, T>(a, b, out, n, [](T x, T y) { return static_cast<R>(x > y); });
      return;
    case Ge:
      map2<R, T>(a, b, out, n, [](T x, T y) { return static_cast<R>(x >= y); });
      return;
    default:
      GRADC_CHECK(false, "{} is no comparison", def_of(op).name);
  }
}

template <class T>
GRADC_CLONES void select_strip(const void* p, const void* a, const void* b, void* out, int n) {
  const uint8_t* choose = static_cast<const uint8_t*>(p);
  const T *x = static_cast<const T*>(a), *y = static_cast<const T*>(b);
  T* o = static_cast<T*>(out);
  for (int i = 0; i < n; ++i) o[i] = choose[i] ? x[i] : y[i];
}

template <class T, bool Fma>
GRADC_CLONES void elementary_strip(ScalarOp op, const void* x, const void* y, void* out, int n) {
  math::Native<T, Fma> a;
  math::with_elementary(op, [&](auto function, auto operands) {
    if constexpr (operands == 1)
      map1<T, T>(x, out, n, [&](T v) { return function(a, v); });
    else
      map2<T, T>(x, y, out, n, [&](T v, T w) { return function(a, v, w); });
  });
}

uint64_t mix64(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31);
}

void rng_strip(const void* a, const void* b, void* out, int n) {
  map2<int64_t, int64_t>(a, b, out, n, [](int64_t key, int64_t counter) {
    const uint64_t step = (static_cast<uint64_t>(counter) + 1) * 0x9E3779B97F4A7C15ULL;
    return static_cast<int64_t>(mix64(static_cast<uint64_t>(key) + step));
  });
}

}  // namespace

void eval_strip(ScalarOp op, DType result, DType operand, const void* a, const void* b, const void* c,
                void* out, int n, bool fma) {
  switch (op) {
    case Convert:
      convert_strip(result, operand, a, out, n);
      return;
    case Bitcast:
      bitcast_strip(result, operand, a, out, n);
      return;
    case Uniform:
      uniform_strip(result, a, out, n);
      return;
    case RngBits:
      rng_strip(a, b, out, n);
      return;
    case Select:
      with_type(result, [&](auto t) { select_strip<decltype(t)>(a, b, c, out, n); });
      return;
    case Eq:
    case Ne:
    case Lt:
    case Le:
    case Gt:
    case Ge:
      with_type(operand, [&](auto t) { compare_strip<decltype(t)>(op, a, b, out, n); });
      return;
    case IsFinite:
      if (operand == DType::F32)
        map1<uint8_t, float>(a, out, n, [](float x) { return static_cast<uint8_t>(x - x == 0); });
      else
        map1<uint8_t, double>(a, out, n, [](double x) { return static_cast<uint8_t>(x - x == 0); });
      return;
    default:
      break;
  }
  if (def_of(op).elementary && is_float(result)) {
    if (result == DType::F32)
      fma ? elementary_strip<float, true>(op, a, b, out, n)
          : elementary_strip<float, false>(op, a, b, out, n);
    else
      fma ? elementary_strip<double, true>(op, a, b, out, n)
          : elementary_strip<double, false>(op, a, b, out, n);
    return;
  }
  switch (result) {
    case DType::Bool:
      bool_strip(op, a, b, out, n);
      return;
    case DType::U8:
      integer_strip<uint8_t>(op, a, b, out, n);
      return;
    case DType::I32:
      integer_strip<int32_t>(op, a, b, out, n);
      return;
    case DType::I64:
      integer_strip<int64_t>(op, a, b, out, n);
      return;
    case DType::F32:
      float_strip<float>(op, a, b, c, out, n, fma);
      return;
    case DType::F64:
      float_strip<double>(op, a, b, c, out, n, fma);
      return;
  }
}

void fill_strip(DType t, const Literal& value, void* out, int n) {
  with_type(t, [&](auto zero) {
    using T = decltype(zero);
    T v;
    if constexpr (std::is_floating_point_v<T>)
      v = static_cast<T>(value.f);
    else if constexpr (std::is_same_v<T, Boolean>)
      v = static_cast<Boolean>(value.i != 0);
    else
      v = static_cast<T>(value.i);
    T* o = static_cast<T*>(out);
    for (int i = 0; i < n; ++i) o[i] = v;
  });
}

}  // namespace gradc::interp
