// Our elementary functions, each written once over an algebra (algebra.h). No tables, no branches: selects
// only. f32 and f64 share the text; a degree or a constant differs where precision asks for it. Measured
// errors are in docs/architecture.md; special values follow C99.
#pragma once

#include <array>
#include <initializer_list>
#include <limits>
#include <span>

#include "ir/math/algebra.h"
#include "ir/scalar.h"
#include "support/check.h"

namespace gradc::math {

// coefficients[0] + x * (coefficients[1] + ...), highest first in evaluation.
template <class A>
typename A::F polynomial(A& a, typename A::F x, std::span<const double> c) {
  typename A::F r = a.c(c.back());
  for (size_t i = c.size() - 1; i-- > 0;) r = a.mad(r, x, a.c(c[i]));
  return r;
}
template <class A>
typename A::F polynomial(A& a, typename A::F x, std::initializer_list<double> c) {
  return polynomial(a, x, std::span<const double>(c.begin(), c.size()));
}

// The same by pairs of coefficients, with the square of x: as many operations in half of the latency.
template <class A>
typename A::F polynomial(A& a, typename A::F x, typename A::F square, std::span<const double> c) {
  const auto pair = [&](size_t i) {
    return i + 1 < c.size() ? a.mad(x, a.c(c[i + 1]), a.c(c[i])) : a.c(c[i]);
  };
  size_t i = (c.size() - 1) / 2 * 2;
  typename A::F r = pair(i);
  while (i > 0) r = a.mad(r, square, pair(i -= 2));
  return r;
}

template <class A>
struct Floating {
  static constexpr int mantissa = A::is_f64 ? 52 : 23, bias = A::is_f64 ? 1023 : 127;
};

// A whole number near x, kept in the low bits of `shifted` with the bias of exponents added, once or twice.
// NaN gives some number, the same everywhere.
template <class A>
struct Whole {
  typename A::F n;
  typename A::I shifted;
};
template <class A>
Whole<A> nearest(A& a, typename A::F x, double factor, int biases = 2) {
  // Adding 1.5 2^mantissa leaves no bits behind the point.
  const double shift = (A::is_f64 ? 0x1.8p52 : 0x1.8p23) + biases * Floating<A>::bias;
  const typename A::F sum = a.mad(x, a.c(factor), a.c(shift));
  return {a.sub(sum, a.c(shift)), a.bits(sum)};
}
inline constexpr double kPerLn2 = 1.44269504088896340735992468100;

// ln 2 in two parts. The high one has trailing zeros, so that its product with a small whole number is exact.
template <class A>
struct Ln2 {
  static constexpr double high = A::is_f64 ? 0x1.62e42fefa3800p-1 : 0x1.62e000p-1,
                          low = A::is_f64 ? 0x1.ef35793c7673p-45 : 0x1.0bfbe8e7bcd5ep-15;
};

// (e^r - 1 - r) / r^2 for |r| <= ln 2 / 2; the f32 form is a fit of bench/ulp/fit.py.
template <class A>
constexpr auto exp_tail() {
  if constexpr (A::is_f64)
    return std::array{1.0 / 2,       1.0 / 6,        1.0 / 24,        1.0 / 120,
                      1.0 / 720,     1.0 / 5040,     1.0 / 40320,     1.0 / 362880,
                      1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800.0};
  else
    return std::array{0.500000008325,   0.166666668469,   0.0416662526432,
                      0.00833326706145, 0.00139472838039, 0.000199171070052};
}
// (e^2h - 1 - 2h) / (2 h^2).
template <class A>
constexpr auto exp_tail_of_double() {
  auto c = exp_tail<A>();
  double power = 2;
  for (double& v : c) v *= power, power *= 2;
  return c;
}

// 2^n as a product of two, so that results beyond the normal range are rounded once.
template <class A>
struct Power {
  typename A::F first, second;
};
template <class A>
Power<A> power_of_two(A& a, const Whole<A>& w) {
  const typename A::I half = a.shl(a.sar(w.shifted, 1), Floating<A>::mantissa);
  return {a.from_bits(half), a.from_bits(a.isub(a.shl(w.shifted, Floating<A>::mantissa), half))};
}
// 2^-n where it is a normal number.
template <class A>
typename A::F inverse_power_of_two(A& a, const Whole<A>& w, int64_t more) {
  return a.from_bits(a.shl(a.isub(a.ci(3 * Floating<A>::bias - more), w.shifted), Floating<A>::mantissa));
}

template <class A>
typename A::F clamp(A& a, typename A::F x, double low, double high) {
  const typename A::F up = a.select(a.lt(x, a.c(low)), a.c(low), x);
  return a.select(a.gt(up, a.c(high)), a.c(high), up);
}

// What adding b to a lost, where sum = a + b rounded: exact if a is 0 or of no lower exponent than b.
template <class A>
typename A::F lost_in(A& a, typename A::F sum, typename A::F first, typename A::F second) {
  return a.sub(second, a.sub(sum, first));
}

// NaN needs no select in what follows: it passes the comparisons of clamp and every operation. What is far
// below (a masked score, -inf) is 0 before it is scaled: a product that underflows takes some processors 150
// cycles.
template <class A>
typename A::F exp(A& a, typename A::F x) {
  // Beyond these the result is 0 or infinite.
  const double lowest = A::is_f64 ? -746 : -104;
  const typename A::F in = clamp(a, x, lowest, A::is_f64 ? 710 : 89);
  const Whole<A> w = nearest(a, in, kPerLn2);
  const typename A::F high = a.mad(w.n, a.c(-Ln2<A>::high), in), low = a.mul(w.n, a.c(-Ln2<A>::low));
  const typename A::F r = a.add(high, low), square = a.mul(r, r);
  // Adding r as its parts leaves out its rounding.
  const typename A::F rest = a.mad(square, polynomial(a, r, square, exp_tail<A>()), low);
  const typename A::F p = a.add(a.add(high, rest), a.c(1));
  const Power<A> s = power_of_two(a, w);
  return a.mul(a.select(a.lt(x, a.c(lowest)), a.c(0), a.mul(p, s.first)), s.second);
}

template <class A>
typename A::F expm1(A& a, typename A::F x) {
  const typename A::F in = clamp(a, x, A::is_f64 ? -38 : -18, A::is_f64 ? 710 : 89);
  const Whole<A> w = nearest(a, in, kPerLn2);
  const typename A::F high = a.mad(w.n, a.c(-Ln2<A>::high), in), low = a.mul(w.n, a.c(-Ln2<A>::low));
  const typename A::F r = a.add(high, low);
  const typename A::F square = a.mul(r, r);
  const Power<A> s = power_of_two(a, w);
  const auto inverse = [&](typename A::F v) {
    return a.from_bits(a.isub(a.ci(int64_t{2 * Floating<A>::bias} << Floating<A>::mantissa), a.bits(v)));
  };
  // 2^n ((1 - 2^-n) + (e^r - 1)), the small terms added first.
  const typename A::F back = a.neg(a.mul(inverse(s.first), inverse(s.second)));
  const typename A::F base = a.add(a.c(1), back), sum = a.add(base, high);
  const typename A::F lost = a.add(lost_in(a, sum, base, high), lost_in(a, base, a.c(1), back));
  const typename A::F small = a.mad(square, polynomial(a, r, square, exp_tail<A>()), low);
  const typename A::F y = a.add(sum, a.add(lost, small));
  return a.select(a.eq(x, a.c(0)), x, a.mul(a.mul(y, s.first), s.second));
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
  const typename A::F inner = a.mad(s, a.mad(z, r, half), a.mad(e, a.c(Ln2<A>::low), correction));
  return a.mad(e, a.c(Ln2<A>::high), a.sub(f, a.sub(half, inner)));
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

// With 2|x| = n ln 2 + 2h, j = 2^-n / 2 and S = (e^2h - 1) / 2: ((1/2 - j) + S) / ((1/2 + j) + S). Numerator
// and denominator are kept in two parts, and what the quotient leaves over is divided too.
template <class A>
typename A::F tanh_f64(A& a, typename A::F x) {
  const typename A::F magnitude = a.abs(x), most = a.c(22);
  const typename A::F m = a.select(a.gt(magnitude, most), most, magnitude);
  const Whole<A> w = nearest(a, m, 2 * kPerLn2);
  const typename A::F high = a.mad(w.n, a.c(-Ln2<A>::high / 2), m), low = a.mul(w.n, a.c(-Ln2<A>::low / 2));
  const typename A::F h = a.add(high, low), square = a.mul(h, h);
  const typename A::F rest = a.mad(square, polynomial(a, h, square, exp_tail_of_double<A>()), low);
  const typename A::F sum = a.add(high, rest), sum_low = lost_in(a, sum, high, rest);
  // The denominator's 1/2 + j is the numerator's 1/2 - j and 2j: what the latter lost is then in both.
  const typename A::F j = inverse_power_of_two(a, w, 1), twice = inverse_power_of_two(a, w, 0);
  const typename A::F minus = a.sub(a.c(0.5), j), plus = a.add(minus, twice);
  const typename A::F top = a.add(minus, sum), top_low = a.add(lost_in(a, top, minus, sum), sum_low);
  const typename A::F bottom = a.add(plus, sum), plus_low = a.add(lost_in(a, plus, minus, twice), sum_low);
  const typename A::F bottom_low = a.add(lost_in(a, bottom, plus, sum), plus_low);
  const typename A::F inverse = a.div(a.c(1), bottom), y = a.mul(top, inverse), back = a.neg(y);
  const typename A::F over = a.add(a.mad(back, bottom, top), a.mad(back, bottom_low, top_low));
  return copy_sign(a, a.mad(over, inverse, y), x);
}
// Up to 0.82 a fraction, m - m^3 P(m^2) / Q(m^2); beyond, with 2m = n ln 2 + 2h, 1 - 1 / (2^n (e^2h / 2) +
// 1/2). Both are one division, whose error counts a third or less in the sum. The coefficients are fits of
// bench/ulp/fit.py, which bench/ulp/refine.cpp moved by a few units until no result is off by one.
template <class A>
typename A::F tanh_f32(A& a, typename A::F x) {
  const typename A::F magnitude = a.abs(x), most = a.c(9.1);  // tanh of which is 1
  const typename A::F m = a.select(a.gt(magnitude, most), most, magnitude);
  const typename A::F z = a.mul(m, m);
  const typename A::F near_top = a.mul(m, a.mul(z, polynomial(a, z, {-1.912997365, -0.0845248475671})));
  const typename A::F near_bottom = polynomial(a, z, {5.73899173737, 2.54917144775, 0.0905001536012});
  const Whole<A> w = nearest(a, m, 2 * kPerLn2, 1);
  // ln 2 in one part: the larger n, the less an error of h counts.
  const typename A::F h = a.mad(w.n, a.c(-0.5 / kPerLn2), m);
  const typename A::F square = a.mul(h, h);
  const typename A::F tail =
      polynomial(a, h, square,
                 std::array{1.00000035763, 0.666660785675, 0.333332896233, 0.133910149336, 0.0442393124104});
  const typename A::F half = a.mad(square, tail, a.add(h, a.c(0.5)));
  const typename A::F power = a.from_bits(a.shl(w.shifted, Floating<A>::mantissa));
  const auto near = a.lt(m, a.c(0.82));
  const typename A::F top = a.select(near, near_top, a.c(-1));
  const typename A::F bottom = a.select(near, near_bottom, a.mad(power, half, a.c(0.5)));
  return copy_sign(a, a.add(a.select(near, m, a.c(1)), a.div(top, bottom)), x);
}
template <class A>
typename A::F tanh(A& a, typename A::F x) {
  if constexpr (A::is_f64)
    return tanh_f64(a, x);
  else
    return tanh_f32(a, x);
}

// With x = n ln 2 - r: 2^n / (2^n + e^r).
template <class A>
typename A::F sigmoid(A& a, typename A::F x) {
  const double lowest = A::is_f64 ? -746 : -104;
  const typename A::F in = clamp(a, x, lowest, A::is_f64 ? 40 : 20);
  const Whole<A> w = nearest(a, in, kPerLn2);
  const typename A::F r = a.mad(w.n, a.c(Ln2<A>::low), a.mad(w.n, a.c(Ln2<A>::high), a.neg(in)));
  const typename A::F square = a.mul(r, r);
  const typename A::F e = a.mad(square, polynomial(a, r, square, exp_tail<A>()), r);  // e^r - 1
  const Power<A> parts = power_of_two(a, w);
  const typename A::F first = a.select(a.lt(x, a.c(lowest)), a.c(0), parts.first);  // as in exp
  const typename A::F s = a.mul(first, parts.second);
  const typename A::F base = a.add(a.c(1), s), bottom = a.add(base, e);
  const typename A::F low = a.add(lost_in(a, bottom, base, e), lost_in(a, base, a.c(1), s));
  const typename A::F q = a.div(a.c(1), bottom), back = a.neg(q);
  const typename A::F over = a.mad(back, low, a.mad(back, bottom, a.c(1)));
  return a.mul(s, a.mad(q, over, q));
}

// e^(x^2) erfc(x) for x in [1, 6.2], a Chebyshev fit in t = 1 / (1 + x/2).
template <class A>
typename A::F erfcx(A& a, typename A::F x) {
  const typename A::F t = a.div(a.c(1), a.mad(x, a.c(0.5), a.c(1)));
  const typename A::F u = a.sub(t, a.c(0.45528455284552845528));
  return polynomial(a, u, {0.21906860662095726244,   0.77168905998292428258,    0.8827882813438599616,
                           0.61678307093115184531,   0.1077751803552301712,     -0.20419683555722637251,
                           -0.092246824865631758141, 0.11505838530236138751,    0.048670924003558955097,
                           -0.094595745943459873441, -0.0065876683010304079599, 0.083204847000532693382,
                           -0.038057362852935522034, -0.05605955616651562056,   0.076882345641054935382,
                           0.0001169774993963511747, -0.084874850900254451774,  0.07307776915747221721,
                           0.041850179351342171128,  -0.10206267712162306186});
}

template <class A>
typename A::F erf_f64(A& a, typename A::F x) {
  const typename A::F m0 = a.abs(x), m = a.select(a.gt(m0, a.c(6.2)), a.c(6.2), m0), z = a.mul(m, m);
  // 2/sqrt(pi) sum (-1)^n x^2n / (n! (2n+1)), for |x| < 1
  const double k = 1.12837916709551257389615890312;
  const typename A::F series = polynomial(
      a, z,
      {k, -k / 3, k / 10, -k / 42, k / 216, -k / 1320, k / 9360, -k / 75600, k / 685440, -k / 6894720,
       k / 76204800, -k / 918086400, k / 11975040000.0, -k / 168129561600.0, k / 2528170444800.0,
       -k / 40537905408000.0, k / 690452066304000.0, -k / 12449059983360000.0, k / 236887827111936000.0});
  const typename A::F inside = a.mul(m, series);
  const typename A::F large = a.select(a.lt(m, a.c(1)), a.c(1), m);
  const typename A::F outside = a.sub(a.c(1), a.mul(exp(a, a.neg(a.mul(large, large))), erfcx(a, large)));
  const typename A::F y = copy_sign(a, a.select(a.lt(m, a.c(1)), inside, outside), x);
  return a.select(a.eq(x, x), y, x);
}
// With h = 2 (1 - sqrt(erfc(m))) of m = |x|: h - h^2 / 4, in which an error of h counts the less the nearer
// the result is to 1, so that one polynomial of degree 13, h = m + m P(m), is enough: a fit of
// bench/ulp/fit.py. In threes, as with powers of m^2 their error would show at m = 3; what rounding h loses
// is added at last.
template <class A>
typename A::F erf_f32(A& a, typename A::F x) {
  const typename A::F magnitude = a.abs(x), most = a.c(4);  // erf of which is 1
  const typename A::F m = a.select(a.gt(magnitude, most), most, magnitude);
  static constexpr double fit[] = {
      0.128379166126,     0.318309724331,    -0.196535915136,   -0.085575029254,    0.0333285704255,
      0.0148543482646,    -0.00510534085333, -0.0011359321652,  -0.000197733257664, 0.000714864290785,
      -0.000314430013532, 6.4953121182e-5,   -6.82911377226e-6, 2.9660404266e-7};
  const typename A::F cube = a.mul(m, a.mul(m, m));
  const auto part = [&](int from, int n) { return polynomial(a, m, std::span(fit).subspan(from, n)); };
  typename A::F p = part(12, 2);
  for (int i = 9; i >= 0; i -= 3) p = a.mad(cube, p, part(i, 3));
  const typename A::F h = a.mad(m, p, m), low = a.mad(m, p, a.sub(m, h));
  const typename A::F slope = a.mad(h, a.c(-0.5), a.c(1));
  return copy_sign(a, a.add(h, a.mad(a.mul(h, a.c(-0.25)), h, a.mul(low, slope))), x);
}
template <class A>
typename A::F erf(A& a, typename A::F x) {
  if constexpr (A::is_f64)
    return erf_f64(a, x);
  else
    return erf_f32(a, x);
}

// f64: x = q pi/2 + r with |r| <= pi/4, for |x| up to 1e8 within the stated error; beyond, the result is
// still a value in [-1, 1] and the same everywhere, but no longer accurate. Infinities give NaN.
template <class A>
struct Quadrant {
  typename A::F r;
  typename A::I q;
};
template <class A>
Quadrant<A> reduce_half_pi(A& a, typename A::F x) {
  const double most = 0x1p50;
  const typename A::F q =
      clamp(a, a.round_even(a.mul(x, a.c(0.636619772367581343075535053490))), -most, most);
  const typename A::F safe = a.select(a.eq(q, q), q, a.c(0));
  typename A::F r = x;
  // Parts of pi/2 whose products with q are exact, so that nothing is lost while the large parts cancel.
  for (double p : {0x1.921fb544p+0, 0x1.0b4611a6p-34, 0x1.3198a2e037073p-69}) r = a.mad(safe, a.c(-p), r);
  const double bound = 0.8;  // rounding q lets r pass pi/4 a little
  return {a.select(a.eq(r, r), clamp(a, r, -bound, bound), r), a.to_int(safe)};
}
template <class A>
typename A::F sin_part(A& a, typename A::F r, typename A::F z) {
  const typename A::F p = polynomial(a, z,
                                     {-1.0 / 6, 1.0 / 120, -1.0 / 5040, 1.0 / 362880, -1.0 / 39916800,
                                      1.0 / 6227020800.0, -1.0 / 1307674368000.0});
  return a.mad(a.mul(r, z), p, r);
}
template <class A>
typename A::F cos_part(A& a, typename A::F z) {
  const typename A::F p = polynomial(a, z,
                                     {1.0 / 24, -1.0 / 720, 1.0 / 40320, -1.0 / 3628800, 1.0 / 479001600,
                                      -1.0 / 87178291200.0, 1.0 / 20922789888000.0});
  return a.add(a.mad(z, a.c(-0.5), a.mul(a.mul(z, z), p)), a.c(1));
}
template <class A>
typename A::F sine_f64(A& a, typename A::F x, int64_t ahead) {
  const Quadrant<A> d = reduce_half_pi(a, x);
  const typename A::F z = a.mul(d.r, d.r);
  const typename A::I q = a.iadd(d.q, a.ci(ahead));
  const auto even = a.ieq(a.iand(q, a.ci(1)), a.ci(0)), plus = a.ieq(a.iand(q, a.ci(2)), a.ci(0));
  const typename A::F y = a.select(even, sin_part(a, d.r, z), cos_part(a, z));
  const typename A::F s = a.select(plus, y, a.neg(y));
  const double inf = std::numeric_limits<double>::infinity();
  return a.select(a.eq(a.abs(x), a.c(inf)), a.c(std::numeric_limits<double>::quiet_NaN()), s);
}
// 2/pi times 2^0, 2^26, 2^52 and 2^78, less multiples of 4, in two parts of 28 bits and one of 53: f32 times
// each of the first two is exact.
struct TwoOverPi {
  double scale, parts[3];
};
inline constexpr TwoOverPi kTwoOverPi[] = {
    {0x1p-0, {0x1.45f3068000000p-1, 0x1.727220a000000p-27, 0x1.29fc2757d1f53p-56}},
    {0x1p-26, {0x1.b939104000000p+0, 0x1.4a7f09c000000p-28, 0x1.5f47d4d377037p-56}},
    {0x1p-52, {0x1.529fc24000000p+0, 0x1.abe8fa8000000p-27, 0x1.a6ee06db14acdp-55}},
    {0x1p-78, {0x1.d5f47d4000000p+0, 0x1.a6ee068000000p-29, 0x1.6c52b32788721p-55}}};
// f32 goes through f64, where the reduction is accurate for every x: x = X 2^26k with X below 2^50, a whole
// number for k > 0, so that multiples of 4 may be dropped from X (2/pi 2^26k) part by part.
template <class A>
typename A::F sine_f32(A& narrow, typename A::F x, int64_t ahead) {
  auto a = narrow.wide();
  using W = decltype(a);
  using F = typename W::F;
  F scale = a.c(1), c[3];
  for (int i = 0; i < 3; ++i) c[i] = a.c(kTwoOverPi[0].parts[i]);
  for (int k = 1; k < 4; ++k) {
    const auto beyond =
        narrow.ge(narrow.abs(x), narrow.c(std::bit_cast<double>((1023LL + 24 + 26 * k) << 52)));
    scale = a.select(beyond, a.c(kTwoOverPi[k].scale), scale);
    for (int i = 0; i < 3; ++i) c[i] = a.select(beyond, a.c(kTwoOverPi[k].parts[i]), c[i]);
  }
  const F v = a.mul(a.widen(x), scale);
  const auto without_fours = [&](F p) { return a.sub(p, a.mul(a.c(4), a.round_even(a.mul(p, a.c(0.25))))); };
  const F first = without_fours(a.mul(v, c[0])), second = without_fours(a.mul(v, c[1])),
          third = a.mul(v, c[2]);
  // The whole quarters of a turn go before the parts are added, which then cancel exactly.
  const F shift = a.c(0x1.8p52), sum = a.add(a.add(first, a.add(second, third)), shift);
  const F left = a.sub(first, a.sub(sum, shift)), turn = a.add(a.add(left, second), third);
  const F r = a.mul(turn, a.c(1.57079632679489661923)), z = a.mul(r, r);
  const F s =
      a.mad(a.mul(r, z),
            polynomial(a, z, {-0.166666666396, 0.00833332914375, -0.000198392565931, 2.71756413653e-6}), r);
  const F t =
      a.mad(a.mul(z, z),
            polynomial(a, z, {0.0416666666192, -0.00138888834381, 2.47994363392e-5, -2.72032987767e-7}),
            a.mad(z, a.c(-0.5), a.c(1)));
  const typename W::I q = a.iadd(a.bits(sum), a.ci(ahead));
  const auto even = a.ieq(a.iand(q, a.ci(1)), a.ci(0)), plus = a.ieq(a.iand(q, a.ci(2)), a.ci(0));
  const F y = a.select(even, s, t);
  return narrow.narrow(a.select(plus, y, a.neg(y)));  // NaN of an infinite x, from x - x
}
template <class A>
typename A::F sin(A& a, typename A::F x) {
  typename A::F y;
  if constexpr (A::is_f64)
    y = sine_f64(a, x, 0);
  else
    y = sine_f32(a, x, 0);
  return a.select(a.eq(x, a.c(0)), x, y);
}
template <class A>
typename A::F cos(A& a, typename A::F x) {
  if constexpr (A::is_f64)
    return sine_f64(a, x, 1);
  else
    return sine_f32(a, x, 1);
}

// Of m = |x| by t = m, (m - 1) / (m + 1) or -1 / m with |t| <= tan(pi/8), plus 0, pi/4 or pi/2. The
// polynomials are Chebyshev fits of (atan(t) / t - 1) / t^2.
template <class A>
typename A::F atan_f64(A& a, typename A::F x) {
  const typename A::F m = a.abs(x), one = a.c(1);
  const auto middle = a.gt(m, a.c(0.41421356237309504880)), large = a.gt(m, a.c(2.41421356237309504880));
  const typename A::F top = a.select(large, a.c(-1), a.select(middle, a.sub(m, one), m));
  const typename A::F bottom = a.select(large, m, a.select(middle, a.add(m, one), one));
  const typename A::F t = a.div(top, bottom), z = a.mul(t, t);
  const typename A::F p =
      polynomial(a, z,
                 {-0.333333333333333332168, 0.199999999999998043277, -0.142857142856597777564,
                  0.111111111051505878938, -0.0909090875325911294235, 0.0769229636804229711831,
                  -0.0666642476020052014176, 0.058789275544738067649, -0.0523044364068694770701,
                  0.045515447340221616522, -0.0345693150633260898128, 0.0162843750500433944442});
  // pi/2 in two parts, of which half gives pi/4 exactly.
  const double high = 0x1.921fb54442d18p+0, low = 6.1232339957367658861e-17;
  const typename A::F part = a.select(large, one, a.select(middle, a.c(0.5), a.c(0)));
  const typename A::F small = a.mad(a.mul(t, z), p, a.mul(part, a.c(low)));
  const typename A::F y = copy_sign(a, a.add(a.mul(part, a.c(high)), a.add(small, t)), x);
  return a.select(a.eq(x, x), y, x);
}

template <class A>
typename A::F atan(A& a, typename A::F x) {
  if constexpr (A::is_f64) {
    return atan_f64(a, x);
  } else {
    auto wide = a.wide();
    return a.narrow(atan_f64(wide, a.widen(x)));
  }
}

// 1 / sqrt(x), corrected by what both roundings lost.
template <class A>
typename A::F rsqrt(A& a, typename A::F x) {
  // So that the square of the root has a last place within the range.
  const double low = A::is_f64 ? 0x1p-900 : 0x1p-90, up = A::is_f64 ? 0x1p200 : 0x1p60;
  const auto small = a.lt(x, a.c(low));
  const typename A::F v = a.select(small, a.mul(x, a.c(up)), x);
  const typename A::F s = a.sqrt(v), y = a.div(a.c(1), s);
  const typename A::F root = a.mad(s, s, a.neg(v)), over = a.mad(a.neg(y), s, a.c(1));
  const typename A::F fixed = a.mad(y, a.mad(a.mul(a.mul(a.c(0.5), y), root), y, over), y);
  // At 0 and infinity there is nothing to correct, and the correction is NaN.
  const typename A::F both = a.select(a.eq(fixed, fixed), fixed, y);
  return a.mul(both, a.select(small, a.c(A::is_f64 ? 0x1p100 : 0x1p30), a.c(1)));
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
