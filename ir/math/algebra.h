// The algebra that the elementary functions are written over, and its native instance. An algebra has a float
// type F, an integer type I of the same width and a condition B; code generation instantiates the functions
// over LLVM values, interpreters over numbers, so that both execute the same operations and give the same
// bits.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>

namespace gradc::math {

// `Fma` false: mad rounds twice, for targets without fused multiply-add.
template <class T, bool Fma>
struct Native {
  using F = T;
  using I = std::conditional_t<std::is_same_v<T, float>, int32_t, int64_t>;
  using U = std::make_unsigned_t<I>;
  using B = bool;
  static constexpr bool is_f64 = std::is_same_v<T, double>;

  static F c(double v) { return static_cast<F>(v); }
  static I ci(int64_t v) { return static_cast<I>(v); }
  static F add(F a, F b) { return a + b; }
  static F sub(F a, F b) { return a - b; }
  static F mul(F a, F b) { return a * b; }
  static F div(F a, F b) { return a / b; }
  static F neg(F a) { return -a; }
  static F abs(F a) { return std::fabs(a); }
  static F sqrt(F a) { return std::sqrt(a); }
  static F mad(F a, F b, F c) {
    if constexpr (!Fma)
      return a * b + c;
    else if constexpr (is_f64)
      return __builtin_fma(a, b, c);
    else
      return __builtin_fmaf(a, b, c);
  }
  static F round_even(F a) {
    return is_f64 ? static_cast<F>(__builtin_rint(a))
                  : static_cast<F>(__builtin_rintf(static_cast<float>(a)));
  }
  static F trunc(F a) {
    return is_f64 ? static_cast<F>(__builtin_trunc(a))
                  : static_cast<F>(__builtin_truncf(static_cast<float>(a)));
  }
  // The integer of a float that is one and fits.
  static I to_int(F a) { return static_cast<I>(a); }
  static F to_float(I a) { return static_cast<F>(a); }
  static I bits(F a) { return std::bit_cast<I>(a); }
  static F from_bits(I a) { return std::bit_cast<F>(a); }
  static I iadd(I a, I b) { return static_cast<I>(static_cast<U>(a) + static_cast<U>(b)); }
  static I isub(I a, I b) { return static_cast<I>(static_cast<U>(a) - static_cast<U>(b)); }
  static I iand(I a, I b) { return a & b; }
  static I ior(I a, I b) { return a | b; }
  static I shl(I a, int n) { return static_cast<I>(static_cast<U>(a) << n); }
  static I sar(I a, int n) { return a >> n; }
  static B lt(F a, F b) { return a < b; }
  static B gt(F a, F b) { return a > b; }
  static B ge(F a, F b) { return a >= b; }
  static B eq(F a, F b) { return a == b; }
  static B ne(F a, F b) { return a != b; }
  static B ieq(I a, I b) { return a == b; }
  static B both(B a, B b) { return static_cast<B>(a & b); }
  static B either(B a, B b) { return static_cast<B>(a | b); }
  static F select(B p, F a, F b) { return p ? a : b; }
  // The same algebra over f64, for functions whose f32 form needs its precision.
  static Native<double, Fma> wide() { return {}; }
  static double widen(F a) { return a; }
  static F narrow(double a) { return static_cast<F>(a); }
};

}  // namespace gradc::math
