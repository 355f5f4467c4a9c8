"""Elementwise ops, casts and leaves: values from NumPy and from mpmath at 200 bits, rounded once."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np

from sample_text import *


# --- elementwise ------------------------------------------------------------------------------------------------------
def rounded(f, x):
    """f by mpmath at 200 bits, rounded once; where mpmath refuses, what NumPy says."""

    def each(v):
        if not np.isfinite(v):
            return None
        try:
            y = f(mpmath.mpf(float(v)))
        except (ValueError, ZeroDivisionError):
            return None
        return None if isinstance(y, mpmath.mpc) else y

    def narrow(y):  # through f64 only where f64 is asked for: twice rounded is not rounded
        return x.dtype.type(mpmath.nstr(y, 40)) if y != 0 else None

    return [None if (y := each(v)) is None else narrow(y) for v in x.ravel()]


def elementary(op, exact, fallback, low, high, ulp):
    for t in FLOATS:
        x = np.concatenate([special(t), some(t, 40, low, high), (random.uniform(-0.01, 0.01, 8)).astype(t)])
        if op in ("sin", "cos"):
            x = x[~(np.abs(x) > 1e4) | ~np.isfinite(x)]  # beyond, no accuracy is claimed
        with np.errstate(all="ignore"):
            y = fallback(x).astype(t)
        for i, v in enumerate(rounded(exact, x)):
            if v is not None:
                y[i] = v
        one(op, [x], y, compare=f"ulp {ulp}")


def jax_of(name):
    return {
        "sigmoid": jax.nn.sigmoid,
        "softplus": jax.nn.softplus,
        "erf": jax.scipy.special.erf,
        "rsqrt": jax.lax.rsqrt,
        "neg": jnp.negative,
        "round_even": jnp.rint,
        "atan": jnp.arctan,
    }.get(name) or getattr(jnp, name)


def elementary_ops():
    table = [
        ("exp", mpmath.exp, np.exp, -80, 80, 1),
        ("expm1", mpmath.expm1, np.expm1, -20, 80, 2),
        ("log", mpmath.log, np.log, 0, 1e6, 1),
        ("log1p", mpmath.log1p, np.log1p, -0.99, 100, 2),
        ("sin", mpmath.sin, np.sin, -1000, 1000, 2),
        ("cos", mpmath.cos, np.cos, -1000, 1000, 2),
        ("tanh", mpmath.tanh, np.tanh, -5, 5, 3),
        ("erf", mpmath.erf, lambda x: np.where(x == 0, x, np.sign(x)), -4, 4, 3),
        ("sigmoid", lambda x: 1 / (1 + mpmath.exp(-x)), lambda x: 1 / (1 + np.exp(-x)), -40, 40, 3),
        ("softplus", lambda x: mpmath.log1p(mpmath.exp(x)), lambda x: np.where(x > 0, x, 0 * np.exp(x)), -40, 40, 3),
        ("atan", mpmath.atan, np.arctan, -20, 20, 2),
    ]
    for row in table:
        elementary(*row)
        low, high = (0.1, 3) if row[0] in ("log",) else (-0.9, 3)
        gradient(row[0], jax_of(row[0]), [random.uniform(low, high, 9)])


def unary_ops():
    for t in FLOATS:
        x = np.concatenate([special(t), some(t, 30, -9, 9), np.array([0.5, 1.5, 2.5, -0.5, -1.5, 3e9], t)])
        with np.errstate(all="ignore"):
            for op, f in [
                ("neg", np.negative),
                ("abs", np.abs),
                ("sqrt", np.sqrt),
                ("floor", np.floor),
                ("ceil", np.ceil),
                ("round_even", np.rint),
                ("is_finite", np.isfinite),
                ("sign", lambda x: np.where(x == 0, x, np.sign(x))),
                ("rsqrt", lambda x: (1 / np.sqrt(x.astype(np.longdouble))).astype(x.dtype)),
                ("stop_gradient", lambda x: x),
            ]:
                one(op, [x], f(x))
    for t in INTEGERS:
        x = np.concatenate([extremes(t), some(t, 30, -100, 100)])
        for op, f in [("neg", np.negative), ("abs", np.abs), ("sign", np.sign), ("not", np.invert)]:
            with np.errstate(all="ignore"):
                one(op, [x], f(x).astype(t))
    one("not", [np.array([True, False, True])], [False, True, False])
    for op in ["neg", "abs", "sqrt", "rsqrt"]:
        gradient(
            op,
            jax_of(op),
            [random.uniform(0.2, 4, 9) * (random.choice([-1, 1], 9) if op in ("neg", "abs") else 1)],
        )
    gradient(
        "abs", lambda x: jnp.where(x == 0, 0.0, jnp.abs(x)), [[0.0, -0.0, 1, -2]]
    )  # 0 at the kink, as specified


def maximum(a, b, sign=1):
    """IEEE maximum (sign 1) or minimum (-1): NaN wins, zeros are ordered."""
    y = np.maximum(a, b) if sign > 0 else np.minimum(a, b)
    zeros = (a == 0) & (b == 0)
    low = np.signbit(a) & np.signbit(b) if sign > 0 else np.signbit(a) | np.signbit(b)
    return np.where(zeros, np.where(low, a.dtype.type(-0.0), a.dtype.type(0.0)), y).astype(a.dtype)


def remainder(a, b):
    """C's fmod; where the quotient passes 2^50 no accuracy is claimed, and the pair is left out by the caller."""
    return np.fmod(a, b)


def truncated(a, b):
    """C's division, x / 0 = 0, wrapping."""
    x, y = a.astype(object), b.astype(object)
    q = [0 if v == 0 else abs(u) // abs(v) * (1 if (u < 0) == (v < 0) else -1) for u, v in zip(x, y)]
    r = [0 if v == 0 else u - v * k for u, v, k in zip(x, y, q)]
    wrap = (
        lambda s: np.array([int(k) & (2 ** (8 * a.itemsize) - 1) for k in s], np.uint64)
        .astype(f"u{a.itemsize}")
        .view(a.dtype)
    )
    return wrap(q), wrap(r)


def shifted(a, b, left):
    bits = 8 * a.itemsize
    mask = 2**bits - 1
    u = [int(v) & mask for v in a]
    n = [int(v) & mask for v in b]
    y = [0 if s >= bits else (v << s) & mask if left else v >> s for v, s in zip(u, n)]
    return np.array(y, np.uint64).astype(f"u{a.itemsize}").view(a.dtype)


COMPARES = [
    ("eq", np.equal),
    ("ne", np.not_equal),
    ("lt", np.less),
    ("le", np.less_equal),
    ("gt", np.greater),
    ("ge", np.greater_equal),
]


def binary_ops():
    for t in FLOATS:
        a, b = pairs(t)
        with np.errstate(all="ignore"):
            for op, f in [
                ("add", np.add),
                ("sub", np.subtract),
                ("mul", np.multiply),
                ("div", np.divide),
                ("max", maximum),
                ("min", lambda a, b: maximum(a, b, -1)),
            ] + COMPARES:
                one(op, [a, b], f(a, b))
            keep = ~(np.abs(a / b) > 2**50) | ~np.isfinite(a) | (b == 0)
            one("rem", [a[keep], b[keep]], remainder(a[keep], b[keep]))
    for t in INTEGERS:
        a, b = pairs(t)
        with np.errstate(all="ignore"):
            for op, f in [
                ("add", np.add),
                ("sub", np.subtract),
                ("mul", np.multiply),
                ("max", np.maximum),
                ("min", np.minimum),
                ("and", np.bitwise_and),
                ("or", np.bitwise_or),
                ("xor", np.bitwise_xor),
            ] + COMPARES:
                one(op, [a, b], f(a, b))
        q, r = truncated(a, b)
        one("div", [a, b], q)
        one("rem", [a, b], r)
        a = np.concatenate([extremes(t)] * 9)
        b = np.repeat(
            np.array([0, 1, 5, 7, 8, 31, 32, 63, 64 if t.itemsize > 1 else 200], t), len(extremes(t))
        )
        one("shift_left", [a, b], shifted(a, b, True))
        one("shift_right", [a, b], shifted(a, b, False))
    p, q = np.array([0, 0, 1, 1], bool), np.array([0, 1, 0, 1], bool)
    for op, f in [("and", np.logical_and), ("or", np.logical_or), ("xor", np.logical_xor)] + COMPARES:
        one(op, [p, q], f(p, q))
    x, y = random.uniform(0.5, 3, 9), random.uniform(0.5, 3, 9)
    for op, f in [
        ("add", jnp.add),
        ("sub", jnp.subtract),
        ("mul", jnp.multiply),
        ("div", jnp.divide),
        ("pow", jnp.power),
        ("max", jnp.maximum),
        ("min", jnp.minimum),
    ]:
        gradient(op, f, [x, y])
    gradient("rem", jnp.fmod, [x * 5 * np.resize([1, -1], 9), y])
    gradient("max", jnp.maximum, [[1.0, 2, 3], [1.0, 3, 2]])
    gradient("min", jnp.minimum, [[1.0, 2, 3], [1.0, 3, 2]])
    gradient("mul", jnp.multiply, [[0.0, 2, 0], [0.0, 0, 3]])
    gradient("pow", jnp.power, [[0.0, 0.0, 0.0, 2, -2, -1.5], [1.0, 2, 3, 0, 3, 2]], wrt=[0])


def pow_ops():
    for t in FLOATS:
        s = special(t)[:10]
        a, b = np.meshgrid(s, np.concatenate([s, np.array([3, -2, 0.25, -5, 101], t)]))
        x = np.concatenate([a.ravel(), random.uniform(0, 8, 40).astype(t), some(t, 6, -4, 4)])
        y = np.concatenate(
            [b.ravel(), random.uniform(-12, 12, 40).astype(t), np.array([-3, -2, 2, 3, 4, 5], t)]
        )
        with np.errstate(all="ignore"):
            want = np.power(x, y).astype(t)
        for i in range(len(x)):
            if np.isfinite(x[i]) and np.isfinite(y[i]) and np.isfinite(want[i]) and want[i] != 0:
                exact = mpmath.power(mpmath.mpf(float(x[i])), mpmath.mpf(float(y[i])))
                want[i] = t.type(mpmath.nstr(mpmath.re(exact), 40))
        one("pow", [x, y], want, compare="ulp 1" if t.itemsize == 4 else "near 1e-13 1e-320")


def other_elementwise():
    for t in FLOATS:
        a, b = pairs(t, 40)
        c = np.resize(np.concatenate([special(t), some(t, 27)]), a.shape)
        exact = []
        with np.errstate(all="ignore"):
            for x, y, z in zip(a, b, c):
                plain = t.type(x) * t.type(y) + t.type(z)
                if np.isfinite([x, y, z]).all() and np.isfinite(plain) and plain != 0:
                    m = mpmath.mpf(float(x)) * mpmath.mpf(float(y)) + mpmath.mpf(float(z))
                    plain = t.type(mpmath.nstr(m, 60)) if m != 0 else plain
                exact.append(plain)
        finite = np.array(
            [(float(p) == 0 or abs(float(p)) > 1e-30) if np.isfinite(p) else True for p in exact]
        )
        one("fma", [a[finite], b[finite], c[finite]], np.array(exact, t)[finite])
    for t in FLOATS + INTEGERS + [BOOL]:
        a, b = some(t, 33), some(t, 33)
        p = some(BOOL, 33)
        one("select", [p, a, b], np.where(p, a, b))
    one("select", [np.array([True, False]), np.array([1.0, np.nan]), np.array([np.nan, 2.0])], [1.0, 2.0])
    gradient("fma", lambda a, b, c: a * b + c, [some(FLOATS[1], 7), some(FLOATS[1], 7), some(FLOATS[1], 7)])
    x, y, p = some(FLOATS[1], 6), some(FLOATS[1], 6), np.array([1, 0, 1, 1, 0, 0], bool)
    w = random.uniform(0.5, 2, 6)
    value, grads = jax.value_and_grad(lambda a, b: jnp.sum(jnp.where(p, a, b) * w), argnums=(0, 1))(x, y)
    before = "func @l(%p: bool[6], %x: f64[6], %y: f64[6], %w: f64[6]) -> (f64[]) { %z = select(%p, %x, %y) %t = mul(%z, %w) %s = reduce_sum(%t) {axes=[0]} return %s } "
    results = [np.asarray(value)] + [np.asarray(g) for g in grads]
    sample(
        "gradient",
        "select",
        call_text("value_and_grad", [p, x, y, w], results, "function=@l, wrt=[1,2]", before),
        [p, x, y, w],
        results,
        "near 1e-12 1e-14",
    )


def convert_value(x, t):
    s = x.dtype
    with np.errstate(all="ignore"):
        if t.kind == "b" or s.kind != "f" or t.kind == "f":
            return x != 0 if t.kind == "b" else x.astype(t)
    i = np.iinfo(t)
    return np.array(
        [
            (
                0
                if np.isnan(v)
                else i.max if v == np.inf else i.min if v == -np.inf else min(max(int(v), i.min), i.max)
            )
            for v in x
        ],
        t,
    )


def casts():
    kinds = FLOATS + INTEGERS + [BOOL]
    for s in kinds:
        x = (
            np.concatenate(
                [
                    special(s),
                    np.array(
                        [
                            2.5,
                            -2.5,
                            255,
                            255.9,
                            256,
                            2147483647,
                            2147483648,
                            1e10,
                            -1e10,
                            9.3e18,
                            -9.3e18,
                            16777217,
                        ],
                        s,
                    ),
                    some(s, 9, -300, 300),
                ]
            )
            if s.kind == "f"
            else np.concatenate([extremes(s), some(s, 9, -100, 100)])
        )
        if s == DTYPES["i64"]:
            x = np.concatenate([x, np.array([2**53 + 1, 2**24 + 1, 2**62 + 2**38 + 1, -(2**53) - 3], s)])
        for t in kinds:
            one("convert", [x], convert_value(x, t), f"dtype={NAMES[str(t)]}")
    for s, t in [
        ("f32", "i32"),
        ("f64", "i64"),
        ("i32", "f32"),
        ("i64", "f64"),
        ("u8", "u8"),
        ("f32", "f32"),
    ]:
        x = np.concatenate([some(DTYPES[s], 9, -1000, 1000), np.array([0, 1], DTYPES[s])])
        one("bitcast", [x], x.view(DTYPES[t]), f"dtype={t}")
    gradient("convert", lambda x: x.astype(jnp.float32), [np.array([1.0, -2, 0.5])], "dtype=f32")


# --- random bits: splitmix64, in Python's integers --------------------------------------------------------------------
def mix(key, counter):
    m = 2**64 - 1
    z = (key + (counter + 1) * 0x9E3779B97F4A7C15) & m
    z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & m
    z = ((z ^ z >> 27) * 0x94D049BB133111EB) & m
    return z ^ z >> 31


def leaves():
    keys = np.array([0, 1, -1, 2**63 - 1, -(2**63), 12345], np.int64)
    counters = np.array([0, 1, 2, -1, 7, 2**40], np.int64)
    bits = np.array(
        [mix(int(k) % 2**64, int(c) % 2**64) for k, c in zip(keys, counters)], np.uint64
    ).view(np.int64)
    one("rng_fold", [keys, counters], bits)
    stream = np.array([mix(42, n) for n in range(15)], np.uint64)
    one("rng_bits", [np.int64(42)], stream.view(np.int64).reshape(3, 5), "shape=[3,5]")
    one(
        "uniform",
        [stream.view(np.int64)],
        ((stream >> 40).astype(np.float64) * 2.0**-24).astype(np.float32),
        "dtype=f32",
    )
    one("uniform", [stream.view(np.int64)], (stream >> 11).astype(np.float64) * 2.0**-53, "dtype=f64")
    one("constant", [], np.full((2, 3), 0.1, np.float32), "value=0.1, dtype=f32, shape=[2,3]")
    one("constant", [], np.int64(-(2**62) - 1), f"value={-(2**62) - 1}, dtype=i64, shape=[]")
    one("constant", [], np.array([-np.inf]), "value=-inf, dtype=f64, shape=[1]")
    for t in FLOATS + INTEGERS:
        one(
            "iota",
            [],
            np.broadcast_to(np.arange(4).astype(t)[:, None], (4, 3)),
            f"axis=0, dtype={NAMES[str(t)]}, shape=[4,3]",
        )
    for n in (1, 5, 8):
        x = np.arange(n, dtype=np.float32)
        sample(
            "sample",
            "dim",
            "func @predict[B <= 8](%x: f32[B]) -> (i64[], f32[]) { %n = dim() {value=[B], dtype=i64} %m = dim() {value=[B*B + 1], dtype=f32} return %n, %m }",
            [x],
            [np.int64(n), np.float32(n * n + 1)],
        )
        sample("sample", "parameter", "func @predict[B <= 8](%x: f32[B]) -> (f32[B]) { return %x }", [x], [x])


def second_derivatives():
    x = random.uniform(0.3, 2, 6)
    for op in [
        "exp",
        "expm1",
        "log",
        "log1p",
        "sqrt",
        "rsqrt",
        "sin",
        "cos",
        "tanh",
        "sigmoid",
        "erf",
        "abs",
    ]:
        hessian_vector(op, jax_of(op), x)
    hessian_vector("softplus", jax_of("softplus"), np.array([0.0, -0.0, 0.5, -3, 20]))
    for op in ["expm1", "log1p", "tanh", "sigmoid", "erf", "exp"]:
        hessian_vector(
            op,
            jax_of(op),
            np.array([-0.5, 1e-9, 0.0, -12, 14, 3]) if op != "log1p" else np.array([-0.5, 1e-9, 0, 12]),
        )
    hessian_vector("atan", jnp.arctan, x)
