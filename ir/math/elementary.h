// Our elementary functions, each written once over an algebra (algebra.h). No tables, no branches: selects
// only. f32 and f64 share the text; a degree or a constant differs where precision asks for it. Measured
// errors are in docs/numerics.md; special values follow C99.
#pragma once

#include <initializer_list>
#include <limits>
#include <span>

#include "ir/math/algebra.h"
#include "ir/scalar.h"
#include "support/check.h"

namespace gradc::math {

// coefficients[0] + x * (coefficients[1] + ...), highest first in evaluation.
template <class A>
typename A::F polynomial(A& a, typename A::F x, std::initializer_list<double> c) {
  const double* p = c.end();
  typename A::F r = a.c(*--p);
  while (p != c.begin()) r = a.mad(r, x, a.c(*--p));
  return r;
}

inline constexpr double kLn2 = 0.693147180559945309417232121458;

// x = n ln 2 + r, |r| <= ln 2 / 2.
template <class A>
struct Reduced {
  typename A::F r, n;
};
template <class A>
Reduced<A> reduce_ln2(A& a, typename A::F x) {
  const typename A::F n = a.round_even(a.mul(x, a.c(1.44269504088896340735992468100)));
  // The high part has trailing zeros, so that n * high is exact.
  const double high = A::is_f64 ? 0x1.62e42fefa3800p-1 : 0x1.62e000p-1;
  const typename A::F r = a.mad(n, a.c(-high), x);
  return {a.mad(n, a.c(-(A::is_f64 ? 0x1.ef35793c7673p-45 : 0x1.0bfbe8e7bcd5ep-15)), r), n};
}

// (e^r - 1 - r) / r^2 for |r| <= ln 2 / 2.
template <class A>
typename A::F exp_tail(A& a, typename A::F r) {
  if constexpr (A::is_f64)
    return polynomial(a, r,
                      {1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040, 1.0 / 40320,
                       1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800.0});
  else
    return polynomial(a, r, {1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040});
}

// 2^n for an integer n of normal exponent.
template <class A>
typename A::F power_of_two(A& a, typename A::I n) {
  const int mantissa = A::is_f64 ? 52 : 23, bias = A::is_f64 ? 1023 : 127;
  return a.from_bits(a.shl(a.iadd(n, a.ci(bias)), mantissa));
}
// x * 2^n in two steps, so that results below the normal range are rounded once.
template <class A>
typename A::F scale(A& a, typename A::F x, typename A::I n) {
  const typename A::I half = a.sar(n, 1);
  return a.mul(a.mul(x, power_of_two(a, half)), power_of_two(a, a.isub(n, half)));
}

template <class A>
typename A::F clamp(A& a, typename A::F x, double low, double high) {
  const typename A::F up = a.select(a.lt(x, a.c(low)), a.c(low), x);
  return a.select(a.gt(up, a.c(high)), a.c(high), up);
}

template <class A>
typename A::F exp(A& a, typename A::F x) {
  // Beyond these the result is 0 or infinite; NaN passes through the comparisons and the polynomial.
  const typename A::F in = clamp(a, x, A::is_f64 ? -746 : -104, A::is_f64 ? 710 : 89);
  const typename A::F safe = a.select(a.eq(x, x), in, a.c(0));
  const Reduced<A> d = reduce_ln2(a, safe);
  const typename A::F p = a.add(a.mad(a.mul(d.r, d.r), exp_tail(a, d.r), d.r), a.c(1));
  return a.select(a.eq(x, x), scale(a, p, a.to_int(d.n)), x);
}

template <class A>
typename A::F expm1(A& a, typename A::F x) {
  const typename A::F in = clamp(a, x, A::is_f64 ? -38 : -18, A::is_f64 ? 710 : 89);
  const typename A::F safe = a.select(a.eq(x, x), in, a.c(0));
  const Reduced<A> d = reduce_ln2(a, safe);
  const typename A::F p = a.mad(a.mul(d.r, d.r), exp_tail(a, d.r), d.r);  // e^r - 1
  const typename A::I n = a.to_int(d.n), half = a.sar(n, 1);
  // 2^n p + (2^n - 1), with 2^n split so that it stays finite where the result does.
  const typename A::F s1 = power_of_two(a, half), s2 = power_of_two(a, a.isub(n, half));
  const typename A::F inverse = a.div(a.div(a.c(1), s1), s2);
  const typename A::F y = a.mul(a.mul(a.add(p, a.sub(a.c(1), inverse)), s1), s2);
  const typename A::F small = a.select(a.eq(d.n, a.c(0)), p, y);
  const typename A::F signed_zero = a.select(a.eq(x, a.c(0)), x, small);
  return a.select(a.eq(x, x), signed_zero, x);
}

// x = m 2^e with m in [sqrt(1/2), sqrt(2)), for positive x; f = m - 1.
template <class A>
struct Split {
  typename A::F f, e;
};
template <class A>
Split<A> split_log(A& a, typename A::F x) {
  const int mantissa = A::is_f64 ? 52 : 23;
  const double tiny = A::is_f64 ? std::numeric_limits<double>::min() : std::numeric_limits<float>::min();
  const auto small = a.lt(x, a.c(tiny));
  const typename A::F normal = a.select(small, a.mul(x, a.c(A::is_f64 ? 0x1p54 : 0x1p25)), x);
  const typename A::F shift = a.select(small, a.c(A::is_f64 ? -54 : -25), a.c(0));
  // Bits relative to those of sqrt(1/2): the exponent field of the difference is e, the rest gives m.
  const int64_t root = A::is_f64 ? 0x3FE6A09E667F3BCDLL : 0x3F3504F3LL;
  const typename A::I over = a.isub(a.bits(normal), a.ci(root));
  const typename A::I e = a.sar(over, mantissa);
  const typename A::F m = a.from_bits(a.isub(a.bits(normal), a.shl(e, mantissa)));
  return {a.sub(m, a.c(1)), a.add(a.to_float(e), shift)};
}

// log(1 + f) + e ln 2 + correction, from s = f / (2 + f): 2 atanh(s).
template <class A>
typename A::F log_of_parts(A& a, typename A::F f, typename A::F e, typename A::F correction) {
  const typename A::F s = a.div(f, a.add(a.c(2), f)), z = a.mul(s, s);
  typename A::F r;
  if constexpr (A::is_f64)
    r = polynomial(a, z,
                   {2.0 / 3, 2.0 / 5, 2.0 / 7, 2.0 / 9, 2.0 / 11, 2.0 / 13, 2.0 / 15, 2.0 / 17, 2.0 / 19,
                    2.0 / 21, 2.0 / 23});
  else
    r = polynomial(a, z, {2.0 / 3, 2.0 / 5, 2.0 / 7, 2.0 / 9, 2.0 / 11});
  const typename A::F half = a.mul(a.c(0.5), a.mul(f, f));
  // log(1 + f) = f - (f^2/2 - s (f^2/2 + z r))
  const double high = A::is_f64 ? 0x1.62e42fefa3800p-1 : 0x1.62e000p-1,
               low = A::is_f64 ? 0x1.ef35793c7673p-45 : 0x1.0bfbe8e7bcd5ep-15;
  const typename A::F inner = a.mad(s, a.mad(z, r, half), a.mad(e, a.c(low), correction));
  return a.mad(e, a.c(high), a.sub(f, a.sub(half, inner)));
}

template <class A>
typename A::F log_special(A& a, typename A::F x, typename A::F y) {
  const double inf = std::numeric_limits<double>::infinity();
  y = a.select(a.eq(x, a.c(inf)), x, y);
  y = a.select(a.eq(x, a.c(0)), a.c(-inf), y);
  y = a.select(a.lt(x, a.c(0)), a.c(std::numeric_limits<double>::quiet_NaN()), y);
  return a.select(a.eq(x, x), y, x);
}

template <class A>
typename A::F log(A& a, typename A::F x) {
  const typename A::F safe = a.select(a.gt(x, a.c(0)), x, a.c(1));
  const Split<A> p = split_log(a, safe);
  return log_special(a, x, log_of_parts(a, p.f, p.e, a.c(0)));
}

template <class A>
typename A::F log1p(A& a, typename A::F x) {
  const typename A::F u = a.add(a.c(1), x);
  const double inf = std::numeric_limits<double>::infinity();
  const typename A::F safe = a.select(a.both(a.gt(u, a.c(0)), a.lt(u, a.c(inf))), u, a.c(1));
  const Split<A> p = split_log(a, safe);
  // What rounding 1 + x lost, relative to u.
  const typename A::F lost =
      a.select(a.gt(u, a.c(2)), a.sub(a.c(1), a.sub(u, x)), a.sub(x, a.sub(u, a.c(1))));
  const typename A::F correction = a.select(a.lt(a.abs(u), a.c(inf)), a.div(lost, safe), a.c(0));
  const auto near = a.lt(a.abs(x), a.c(0.25));
  const typename A::F f = a.select(near, x, p.f), e = a.select(near, a.c(0), p.e);
  const typename A::F y = log_of_parts(a, f, e, a.select(near, a.c(0), correction));
  return a.select(a.eq(x, a.c(0)), x, log_special(a, u, y));
}

template <class A>
typename A::F copy_sign(A& a, typename A::F magnitude, typename A::F sign) {
  const typename A::I top =
      a.ci(A::is_f64 ? std::numeric_limits<int64_t>::min() : int64_t{std::numeric_limits<int32_t>::min()});
  return a.from_bits(a.ior(a.bits(a.abs(magnitude)), a.iand(a.bits(sign), top)));
}

template <class A>
typename A::F tanh(A& a, typename A::F x) {
  const typename A::F m = a.abs(x);
  const typename A::F t = expm1(a, a.mul(a.c(2), a.select(a.gt(m, a.c(22)), a.c(22), m)));
  const typename A::F y = copy_sign(a, a.div(t, a.add(t, a.c(2))), x);
  return a.select(a.eq(x, x), y, x);
}

template <class A>
typename A::F sigmoid(A& a, typename A::F x) {
  // Of e^-|x|, which never overflows: 1 / (1 + t) above, t / (1 + t) below zero.
  const typename A::F t = exp(a, a.neg(a.abs(x)));
  const typename A::F top = a.select(a.lt(x, a.c(0)), t, a.c(1));
  return a.select(a.eq(x, x), a.div(top, a.add(a.c(1), t)), x);
}

// e^(x^2) erfc(x) for x in [1, 6.2], a Chebyshev fit in t = 1 / (1 + x/2) made by tools/fit_erf.py.
template <class A>
typename A::F erfcx(A& a, typename A::F x) {
  const typename A::F t = a.div(a.c(1), a.mad(x, a.c(0.5), a.c(1)));
  const typename A::F u = a.sub(t, a.c(0.45528455284552845528));
  if constexpr (A::is_f64)
    return polynomial(a, u, {0.21906860662095726244,   0.77168905998292428258,    0.8827882813438599616,
                             0.61678307093115184531,   0.1077751803552301712,     -0.20419683555722637251,
                             -0.092246824865631758141, 0.11505838530236138751,    0.048670924003558955097,
                             -0.094595745943459873441, -0.0065876683010304079599, 0.083204847000532693382,
                             -0.038057362852935522034, -0.05605955616651562056,   0.076882345641054935382,
                             0.0001169774993963511747, -0.084874850900254451774,  0.07307776915747221721,
                             0.041850179351342171128,  -0.10206267712162306186});
  else
    return polynomial(a, u,
                      {0.21906860662095726244, 0.77168907211965773248, 0.88278828273501465157,
                       0.61677943842727744245, 0.10777476955931812531, -0.2039017931736499999,
                       -0.092214679987112185169, 0.10608755430413989254, 0.047779821563077387069});
}

template <class A>
typename A::F erf(A& a, typename A::F x) {
  const typename A::F m0 = a.abs(x), m = a.select(a.lt(m0, a.c(6.2)), m0, a.c(6.2)), z = a.mul(m, m);
  typename A::F series;  // 2/sqrt(pi) sum (-1)^n x^2n / (n! (2n+1)), for |x| < 1
  const double k = 1.12837916709551257389615890312;
  if constexpr (A::is_f64)
    series = polynomial(
        a, z,
        {k, -k / 3, k / 10, -k / 42, k / 216, -k / 1320, k / 9360, -k / 75600, k / 685440, -k / 6894720,
         k / 76204800, -k / 918086400, k / 11975040000.0, -k / 168129561600.0, k / 2528170444800.0,
         -k / 40537905408000.0, k / 690452066304000.0, -k / 12449059983360000.0, k / 236887827111936000.0});
  else
    series = polynomial(
        a, z,
        {k, -k / 3, k / 10, -k / 42, k / 216, -k / 1320, k / 9360, -k / 75600, k / 685440, -k / 6894720});
  const typename A::F inside = a.mul(m, series);
  const typename A::F large = a.select(a.lt(m, a.c(1)), a.c(1), m);
  const typename A::F outside = a.sub(a.c(1), a.mul(exp(a, a.neg(a.mul(large, large))), erfcx(a, large)));
  const typename A::F y = copy_sign(a, a.select(a.lt(m, a.c(1)), inside, outside), x);
  return a.select(a.eq(x, x), y, x);
}

// x = q pi/2 + r with |r| <= pi/4, for |x| up to 1e5 (f32) and 1e8 (f64) within the stated error; beyond, the
// result is still a value in [-1, 1] and the same everywhere, but no longer accurate. Infinities give NaN.
template <class A>
struct Quadrant {
  typename A::F r;
  typename A::I q;
};
template <class A>
Quadrant<A> reduce_half_pi(A& a, typename A::F x) {
  const double most = A::is_f64 ? 0x1p50 : 0x1p22;
  const typename A::F q =
      clamp(a, a.round_even(a.mul(x, a.c(0.636619772367581343075535053490))), -most, most);
  const typename A::F safe = a.select(a.eq(q, q), q, a.c(0));
  typename A::F r = x;
  // Parts of pi/2 whose products with q are exact, so that nothing is lost while the large parts cancel.
  static constexpr double wide[] = {0x1.921fb544p+0, 0x1.0b4611a6p-34, 0x1.3198a2e037073p-69};
  static constexpr double narrow[] = {0x1.92p+0, 0x1.fb5p-12, 0x1.110b46p-26, 0x1.1a6264p-54};
  const std::span<const double> parts =
      A::is_f64 ? std::span<const double>(wide) : std::span<const double>(narrow);
  for (double p : parts) r = a.mad(safe, a.c(-p), r);
  const double bound = 0.8;  // rounding q lets r pass pi/4 a little
  return {a.select(a.eq(r, r), clamp(a, r, -bound, bound), r), a.to_int(safe)};
}
template <class A>
typename A::F sin_part(A& a, typename A::F r, typename A::F z) {
  typename A::F p;
  if constexpr (A::is_f64)
    p = polynomial(a, z,
                   {-1.0 / 6, 1.0 / 120, -1.0 / 5040, 1.0 / 362880, -1.0 / 39916800, 1.0 / 6227020800.0,
                    -1.0 / 1307674368000.0});
  else
    p = polynomial(a, z, {-1.0 / 6, 1.0 / 120, -1.0 / 5040, 1.0 / 362880});
  return a.mad(a.mul(r, z), p, r);
}
template <class A>
typename A::F cos_part(A& a, typename A::F z) {
  typename A::F p;
  if constexpr (A::is_f64)
    p = polynomial(a, z,
                   {1.0 / 24, -1.0 / 720, 1.0 / 40320, -1.0 / 3628800, 1.0 / 479001600, -1.0 / 87178291200.0,
                    1.0 / 20922789888000.0});
  else
    p = polynomial(a, z, {1.0 / 24, -1.0 / 720, 1.0 / 40320, -1.0 / 3628800});
  return a.add(a.mad(z, a.c(-0.5), a.mul(a.mul(z, z), p)), a.c(1));
}
template <class A>
typename A::F sine_of(A& a, typename A::F x, int64_t ahead) {
  const Quadrant<A> d = reduce_half_pi(a, x);
  const typename A::F z = a.mul(d.r, d.r);
  const typename A::I q = a.iadd(d.q, a.ci(ahead));
  const auto even = a.ieq(a.iand(q, a.ci(1)), a.ci(0)), plus = a.ieq(a.iand(q, a.ci(2)), a.ci(0));
  const typename A::F y = a.select(even, sin_part(a, d.r, z), cos_part(a, z));
  const typename A::F s = a.select(plus, y, a.neg(y));
  const double inf = std::numeric_limits<double>::infinity();
  return a.select(a.eq(a.abs(x), a.c(inf)), a.c(std::numeric_limits<double>::quiet_NaN()), s);
}
template <class A>
typename A::F sin(A& a, typename A::F x) {
  return a.select(a.eq(x, a.c(0)), x, sine_of(a, x, 0));
}
template <class A>
typename A::F cos(A& a, typename A::F x) {
  return sine_of(a, x, 1);
}

// Of m = |x| by t = m, (m - 1) / (m + 1) or -1 / m with |t| <= tan(pi/8), plus 0, pi/4 or pi/2. The
// polynomials are Chebyshev fits of (atan(t) / t - 1) / t^2.
template <class A>
typename A::F atan(A& a, typename A::F x) {
  const typename A::F m = a.abs(x), one = a.c(1);
  const auto middle = a.gt(m, a.c(0.41421356237309504880)), large = a.gt(m, a.c(2.41421356237309504880));
  const typename A::F top = a.select(large, a.c(-1), a.select(middle, a.sub(m, one), m));
  const typename A::F bottom = a.select(large, m, a.select(middle, a.add(m, one), one));
  const typename A::F t = a.div(top, bottom), z = a.mul(t, t);
  typename A::F p;
  if constexpr (A::is_f64)
    p = polynomial(a, z,
                   {-0.333333333333333332168, 0.199999999999998043277, -0.142857142856597777564,
                    0.111111111051505878938, -0.0909090875325911294235, 0.0769229636804229711831,
                    -0.0666642476020052014176, 0.058789275544738067649, -0.0523044364068694770701,
                    0.045515447340221616522, -0.0345693150633260898128, 0.0162843750500433944442});
  else
    p = polynomial(a, z,
                   {-0.333333317604345559428, 0.199995403149579693966, -0.142639497536057240218,
                    0.107436683248300981344, -0.064517188693589580726});
  // pi/2 in two parts, of which half gives pi/4 exactly.
  const double high = A::is_f64 ? 0x1.921fb54442d18p+0 : 0x1.921fb6p+0,
               low = A::is_f64 ? 6.1232339957367658861e-17 : -4.37113900018624283e-8;
  const typename A::F part = a.select(large, one, a.select(middle, a.c(0.5), a.c(0)));
  const typename A::F small = a.mad(a.mul(t, z), p, a.mul(part, a.c(low)));
  const typename A::F y = copy_sign(a, a.add(a.mul(part, a.c(high)), a.add(small, t)), x);
  return a.select(a.eq(x, x), y, x);
}

template <class A>
typename A::F rsqrt(A& a, typename A::F x) {
  return a.div(a.c(1), a.sqrt(x));
}

// C's fmod, a - b * trunc(a / b): exact where the quotient has at most 50 bits; beyond, some value of the
// sign of a below |b|. f32 goes through f64, where more quotients are exact.
template <class A>
typename A::F rem_f64(A& a, typename A::F x, typename A::F y) {
  const typename A::F m = a.abs(x), d = a.abs(y), zero = a.c(0);
  const double inf = std::numeric_limits<double>::infinity();
  typename A::F r = a.mad(a.neg(a.trunc(a.div(m, d))), d, m);
  r = a.select(a.lt(r, zero), a.add(r, d), r);  // the quotient was rounded up to a whole number
  r = a.select(a.either(a.lt(r, zero), a.ge(r, d)), zero, r);
  const auto whole = a.both(a.eq(d, a.c(inf)), a.lt(m, a.c(inf)));
  return a.select(whole, x, copy_sign(a, r, x));
}
template <class A>
typename A::F rem(A& a, typename A::F x, typename A::F y) {
  if constexpr (A::is_f64) {
    return rem_f64(a, x, y);
  } else {
    auto wide = a.wide();
    return a.narrow(rem_f64(wide, a.widen(x), a.widen(y)));
  }
}

// a^b = e^(b log |a|) with the sign of an odd integer power; the cases of C99, annex F, by selects.
template <class A>
typename A::F pow_f64(A& a, typename A::F x, typename A::F y) {
  const double inf = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  const typename A::F m = a.abs(x), one = a.c(1), zero = a.c(0);
  typename A::F r = exp(a, a.mul(y, log(a, m)));
  // Small whole exponents by multiplication, which is exact where the result is.
  const typename A::F square = a.mul(m, m);
  r = a.select(a.eq(y, one), m, r);
  r = a.select(a.eq(y, a.c(2)), square, r);
  r = a.select(a.eq(y, a.c(3)), a.mul(square, m), r);
  r = a.select(a.eq(y, a.c(-1)), a.div(one, m), r);
  const auto whole = a.eq(a.trunc(y), y);
  const typename A::F half = a.mul(y, a.c(0.5));
  const auto odd = a.both(whole, a.ne(a.trunc(half), half));
  const auto negative = a.lt(copy_sign(a, one, x), zero);  // -0 too
  r = a.select(a.both(odd, negative), a.neg(r), r);
  r = a.select(a.both(a.lt(x, zero), a.both(a.gt(x, a.c(-inf)), a.ne(a.trunc(y), y))), a.c(nan), r);
  const auto large = a.eq(a.abs(y), a.c(inf));
  const typename A::F up = a.select(a.gt(m, one), a.c(inf), zero),
                      down = a.select(a.gt(m, one), zero, a.c(inf));
  const typename A::F at_infinity = a.select(a.eq(m, one), one, a.select(a.gt(y, zero), up, down));
  r = a.select(large, at_infinity, r);
  r = a.select(a.either(a.ne(x, x), a.ne(y, y)), a.c(nan), r);
  return a.select(a.either(a.eq(y, zero), a.eq(x, one)), one, r);
}
// f32 goes through f64, since the error of the logarithm is multiplied by b.
template <class A>
typename A::F pow(A& a, typename A::F x, typename A::F y) {
  if constexpr (A::is_f64) {
    return pow_f64(a, x, y);
  } else {
    auto wide = a.wide();
    return a.narrow(pow_f64(wide, a.widen(x), a.widen(y)));
  }
}

// `visit(function, operands)` with the function as a callable over an algebra, function(a, x) or function(a,
// x, y), and the number of its operands as a constant.
template <class F>
void with_elementary(ScalarOp op, F&& visit) {
  switch (op) {
#define GRADC_ROW(Op, name, operands, ...)                                                                  \
  case ScalarOp::Op:                                                                                        \
    visit([](auto& a, auto... x) { return math::name(a, x...); }, std::integral_constant<int, operands>()); \
    return;
    GRADC_ELEMENTARY_FUNCTIONS(GRADC_ROW)
#undef GRADC_ROW
    default:
      GRADC_CHECK(false, "{} is no elementary function", def_of(op).name);
  }
}

}  // namespace gradc::math
