# Fits the polynomials of ir/math/elementary.h that are no Taylor series, and prints them; needs mpmath.
# `minimax` is Lawson's iteration: least squares whose weights grow where the error is large.
import struct

from mpmath import mp, mpf, matrix, lu_solve, exp, expm1, erf, erfc, log, sqrt, tanh, pi, nstr, cos as mcos, sin as msin

mp.dps = 40


def minimax(f, low, high, terms, weight=lambda x: mpf(1), rounds=30, points=160):
    xs = [(low + high) / 2 + (high - low) / 2 * mcos(pi * (2 * i + 1) / (2 * points)) for i in range(points)]
    fs, ws = [f(x) for x in xs], [weight(x) for x in xs]
    lawson = [mpf(1)] * points
    for _ in range(rounds):
        normal, right = matrix(terms, terms), matrix(terms, 1)
        for x, y, w, l in zip(xs, fs, ws, lawson):
            powers = [x**k for k in range(terms)]
            for i in range(terms):
                right[i] += l * w * w * powers[i] * y
                for j in range(terms):
                    normal[i, j] += l * w * w * powers[i] * powers[j]
        c = lu_solve(normal, right)
        errors = [abs(w * (y - sum(c[k] * x**k for k in range(terms)))) for x, y, w in zip(xs, fs, ws)]
        total = sum(l * e for l, e in zip(lawson, errors))
        lawson = [l * e / total for l, e in zip(lawson, errors)]
    return c, max(errors)


def in_single(f, low, high, terms, weight=lambda x: mpf(1)):
    """The same with coefficients that f32 holds: one is rounded and the others are fitted again."""
    fixed, rest = [], f
    while len(fixed) < terms:
        c, error = minimax(rest, low, high, terms - len(fixed), lambda x: weight(x) * x ** len(fixed), 12, 80)
        fixed.append(single(c[0]))
        rest = lambda x, n=len(fixed), done=tuple(fixed): (f(x) - sum(v * x**k for k, v in enumerate(done))) / x**n
    return fixed, error


def single(v):
    return mpf(struct.unpack("f", struct.pack("f", float(v)))[0])


def fraction(f, low, high, leading, weight, rounds=25, points=80):
    """(n0 + n1 x) / (d0 + d1 x + leading x^2), its coefficients rounded one by one as `in_single` does."""
    xs = [(low + high) / 2 + (high - low) / 2 * mcos(pi * (2 * i + 1) / (2 * points)) for i in range(points)]
    fixed = {}
    for name in ("d0", "d1", "n0", "n1"):
        free = [n for n in ("n0", "n1", "d0", "d1") if n not in fixed]
        lawson, bottom = [mpf(1)] * points, [mpf(1)] * points
        for _ in range(rounds):
            normal, right = matrix(len(free), len(free)), matrix(len(free), 1)
            for x, l, d in zip(xs, lawson, bottom):
                w, y = weight(x) / d, f(x)
                column = {"n0": mpf(1), "n1": x, "d0": -y, "d1": -y * x}
                y = y * leading * x * x - sum(column[k] * v for k, v in fixed.items())
                for i, a in enumerate(free):
                    right[i] += l * w * w * column[a] * y
                    for j, b in enumerate(free):
                        normal[i, j] += l * w * w * column[a] * column[b]
            c = dict(fixed, **dict(zip(free, lu_solve(normal, right))))
            bottom = [c["d0"] + c["d1"] * x + leading * x * x for x in xs]
            errors = [abs(weight(x) * (f(x) - (c["n0"] + c["n1"] * x) / d)) for x, d in zip(xs, bottom)]
            total = sum(l * e for l, e in zip(lawson, errors))
            lawson = [l * e / total + mpf("1e-12") for l, e in zip(lawson, errors)]
        fixed[name] = single(c[name])
    return [fixed["n0"], fixed["n1"], fixed["d0"], fixed["d1"], leading], max(errors)


def show(name, result):
    c, error = result
    print(f"{name}: error {nstr(error, 3)} = 2^{nstr(log(error, 2), 4)}")
    print("  {" + ", ".join(nstr(v, 12) for v in c) + "}")


def even(f):  # of sqrt(z), where f is even or odd and has no value at 0
    return lambda z: f(sqrt(z))


half = log(2) / 2 * mpf("1.01")
tail = lambda r: (expm1(r) - r) / r**2 if abs(r) > 1e-9 else mpf(1) / 2
for n in (5, 6):
    show(f"exp_tail, {n}", minimax(tail, -half, half, n, lambda r: r * r))
# Where bench/ulp/refine.cpp begins, for tanh: (tanh(m) / m - 1) / m^2 as a function of m^2 up to 0.82, relative to
# tanh, the leading coefficient such that numerator and denominator are near the ends of their binades; e^2h / 2 for
# |h| <= ln 2 / 4.
third = lambda z: (tanh(sqrt(z)) / sqrt(z) - 1) / z
show("tanh near", fraction(third, mpf("1e-9"), mpf("0.82") ** 2, single(0.0905), lambda z: z * sqrt(z) / tanh(sqrt(z))))
show("tanh far, 7", in_single(lambda h: exp(2 * h) / 2, -half / 2, half / 2, 7, lambda h: 2 / exp(2 * h)))
# 2 (1 - sqrt(erfc(m))) / m - 1; what counts is the error of erf(m) relative to it.
root = lambda m: 2 * (1 - sqrt(erfc(m))) / m - 1
show("erf, 14", in_single(root, mpf("1e-9"), mpf("3.92"), 14, lambda m: sqrt(erfc(m)) * m / erf(m)))
quarter = (pi / 4 * mpf("1.01")) ** 2
show("sin, 4", minimax(even(lambda x: (msin(x) / x - 1) / x**2), mpf("1e-12"), quarter, 4, lambda z: z))
show("cos, 4", minimax(even(lambda x: (mcos(x) - 1 + x**2 / 2) / x**4), mpf("1e-8"), quarter, 4, lambda z: z * z))
