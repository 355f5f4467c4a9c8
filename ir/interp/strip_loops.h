// Loops over strips and what they share. One function for each element type holds all its loops and is
// compiled for several instruction sets; every clone performs the same operations, so their bits are the
// same.
#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>

#include "ir/scalar.h"

#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define GRADC_CLONES \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default"), flatten, noinline))
#else
#define GRADC_CLONES
#endif

namespace gradc::interp {

// Bool is stored as a byte of 0 or 1, but is not u8: its own type keeps conversions apart.
enum class Boolean : uint8_t {};

template <class F>
inline void with_type(DType t, F&& f) {
  switch (t) {
    case DType::Bool:
      f(Boolean{});
      return;
    case DType::U8:
      f(uint8_t{});
      return;
    case DType::I32:
      f(int32_t{});
      return;
    case DType::I64:
      f(int64_t{});
      return;
    case DType::F32:
      f(float{});
      return;
    case DType::F64:
      f(double{});
      return;
  }
}

template <class R, class T, class F>
inline void map1(const void* a, void* out, int n, F f) {
  const T* x = static_cast<const T*>(a);
  R* y = static_cast<R*>(out);
  for (int i = 0; i < n; ++i) y[i] = f(x[i]);
}
template <class R, class T, class F>
inline void map2(const void* a, const void* b, void* out, int n, F f) {
  const T *x = static_cast<const T*>(a), *y = static_cast<const T*>(b);
  R* z = static_cast<R*>(out);
  for (int i = 0; i < n; ++i) z[i] = f(x[i], y[i]);
}

template <class T>
using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;

// Equal operands differ in sign only when they are zeros: then the union or common part of the bits decides.
template <class T>
inline T maximum(T a, T b) {
  const T same = std::bit_cast<T>(std::bit_cast<Bits<T>>(a) & std::bit_cast<Bits<T>>(b));
  return a > b ? a : b > a ? b : a == b ? same : a + b;
}
template <class T>
inline T minimum(T a, T b) {
  const T same = std::bit_cast<T>(std::bit_cast<Bits<T>>(a) | std::bit_cast<Bits<T>>(b));
  return a < b ? a : b < a ? b : a == b ? same : a + b;
}

// cast_strips.cpp
void convert_strip(DType result, DType operand, const void* a, void* out, int n);
void bitcast_strip(DType result, DType operand, const void* a, void* out, int n);
void uniform_strip(DType result, const void* a, void* out, int n);

}  // namespace gradc::interp
