#!/usr/bin/env python3
"""samples.py [--check]: writes samples.txt, values from NumPy, mpmath and JAX for every op, which samples_test.cpp
compares with the interpreter and with compiled code; --check compares the file with what would be written.
Needs numpy, mpmath and jax. A sample is a module whose @predict holds the op, arguments, results and how near:
`exact` (bits, all NaNs equal), `ulp N` (units of the last place) or `near R A` (|error| <= R |want| + A)."""
import pathlib, sys

import jax
import jax.numpy as jnp
import mpmath
import numpy as np

jax.config.update("jax_enable_x64", True)
mpmath.mp.prec = 200
NAMES = {"float32": "f32", "float64": "f64", "int32": "i32", "int64": "i64", "uint8": "u8", "bool": "bool"}
DTYPES = {v: np.dtype(k) for k, v in NAMES.items()}
random = np.random.default_rng(2026)
out = []


def type_of(x):
    return f"{NAMES[str(x.dtype)]}[{','.join(map(str, x.shape))}]"


def number(v):
    if v.dtype.kind != "f":
        return str(int(v))
    return "nan" if np.isnan(v) else np.format_float_scientific(v, trim="-") if np.isfinite(v) else str(v)


def line(word, x):
    return " ".join([word, type_of(x)] + [number(v) for v in x.ravel()])


def sample(kind, op, text, args, results, compare="exact"):
    out.append(f"{kind} {op}\ntext {text}")
    out.extend(line("in", np.asarray(a)) for a in args)
    out.extend(line("out", np.asarray(r)) for r in results)
    out.append(f"compare {compare}\n")


def call_text(op, args, results, attrs="", before="", dims=""):
    """One statement as a whole function; several results are read by get."""
    letters = [chr(97 + i) for i in range(len(args))]
    params = ", ".join(f"%{n}: {type_of(a)}" for n, a in zip(letters, args))
    types = ", ".join(type_of(r) for r in results)
    call = f"%y = {op}({', '.join('%' + n for n in letters)}){attrs and ' {' + attrs + '}'}"
    gets = "" if len(results) == 1 else " ".join(f"%y{i} = get(%y) {{index={i}}}" for i in range(len(results))) + " "
    names = "%y" if len(results) == 1 else ", ".join(f"%y{i}" for i in range(len(results)))
    return f"{before}func @predict{dims}({params}) -> ({types}) {{ {call} {gets}return {names} }}"


def one(op, args, result, attrs="", compare="exact", kind="sample"):
    args = [np.asarray(a) for a in args]
    result = np.asarray(result)
    sample(kind, op, call_text(op, args, [result], attrs), args, [result], compare)


def gradient(op, f, args, attrs="", wrt=None, constants=()):
    """sum(f(args) * w) and its gradients, by JAX in f64. `constants`: further arguments without gradient."""
    args = [np.asarray(a, np.float64) for a in args]
    wrt = list(range(len(args))) if wrt is None else wrt
    whole = args + [np.asarray(c) for c in constants]
    y = np.asarray(f(*whole))
    w = np.asarray(random.uniform(0.5, 2, y.shape))
    value, grads = jax.value_and_grad(lambda *a: jnp.sum(f(*a[:-1]) * a[-1]), argnums=tuple(wrt))(*whole, w)
    everything = whole + [w]
    letters = [chr(97 + i) for i in range(len(everything))]
    params = ", ".join(f"%{n}: {type_of(a)}" for n, a in zip(letters, everything))
    operands = ", ".join("%" + n for n in letters[:-1])
    axes = ",".join(map(str, range(y.ndim)))
    cast = "" if y.dtype == np.float64 else "%c = convert(%y) {dtype=f64} "
    total = "%t = mul(%{}, %{})".format("c" if cast else "y", letters[-1])
    last = f"{total} %s = reduce_sum(%t) {{axes=[{axes}]}} return %s" if y.ndim else f"{total} return %t"
    before = f"func @l({params}) -> (f64[]) {{ %y = {op}({operands}){attrs and ' {' + attrs + '}'} {cast}{last} }} "
    results = [np.asarray(value)] + [np.asarray(g) for g in grads]
    list_ = ",".join(map(str, wrt))
    text = call_text("value_and_grad", everything, results, f"function=@l, wrt=[{list_}]", before)
    sample("gradient", op, text, everything, results, "near 1e-12 1e-14")


# --- inputs -----------------------------------------------------------------------------------------------------------
def special(t):
    f = np.finfo(t)
    return np.array([0.0, -0.0, 1, -1, 0.5, 2, -3, np.inf, -np.inf, np.nan, f.tiny, f.tiny / 8, -f.tiny / 8, f.max], t)


def extremes(t):
    if t == np.bool_:
        return np.array([False, True])
    i = np.iinfo(t)
    return np.array([0, 1, 2, 3, 7, i.max, i.max - 1, i.min, i.min + 1, i.max // 2 + 1] + ([-1, -2, -7] if i.min else [8, 31]), t)


def some(t, n, low=-3, high=3):
    if t.kind == "f":
        return random.uniform(low, high, n).astype(t)
    if t.kind == "b":
        return random.integers(0, 2, n).astype(t)
    return random.integers(max(low, 0) if t.kind == "u" else low, high, n).astype(t)


def pairs(t, n=24):
    s = special(t) if t.kind == "f" else extremes(t)
    a, b = np.meshgrid(s, s)
    return np.concatenate([a.ravel(), some(t, n, -9, 9)]), np.concatenate([b.ravel(), some(t, n, -9, 9)])


FLOATS, INTEGERS = [DTYPES["f32"], DTYPES["f64"]], [DTYPES["i32"], DTYPES["i64"], DTYPES["u8"]]
BOOL = DTYPES["bool"]


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
        x = np.concatenate([special(t), some(t, 40, low, high), some(t, 8, -0.01, 0.01)])
        if op in ("sin", "cos"):
            x = x[~(np.abs(x) > 1e4) | ~np.isfinite(x)]  # beyond, no accuracy is claimed
        with np.errstate(all="ignore"):
            y = fallback(x).astype(t)
        for i, v in enumerate(rounded(exact, x)):
            if v is not None:
                y[i] = v
        one(op, [x], y, compare=f"ulp {ulp}")


def jax_of(name):
    return {"sigmoid": jax.nn.sigmoid, "erf": jax.scipy.special.erf, "rsqrt": jax.lax.rsqrt, "neg": jnp.negative,
            "round_even": jnp.rint}.get(name) or getattr(jnp, name)


def elementary_ops():
    table = [
        ("exp", mpmath.exp, np.exp, -80, 80, 1), ("expm1", mpmath.expm1, np.expm1, -20, 80, 2),
        ("log", mpmath.log, np.log, 0, 1e6, 1), ("log1p", mpmath.log1p, np.log1p, -0.99, 100, 2),
        ("sin", mpmath.sin, np.sin, -1000, 1000, 2), ("cos", mpmath.cos, np.cos, -1000, 1000, 2),
        ("tanh", mpmath.tanh, np.tanh, -5, 5, 3), ("erf", mpmath.erf, lambda x: np.where(np.isnan(x), x, np.sign(x)), -4, 4, 3),
        ("sigmoid", lambda x: 1 / (1 + mpmath.exp(-x)), lambda x: 1 / (1 + np.exp(-x)), -40, 40, 3),
    ]
    for row in table:
        elementary(*row)
        low, high = (0.1, 3) if row[0] in ("log",) else (-0.9, 3)
        gradient(row[0], jax_of(row[0]), [random.uniform(low, high, 9)])


def unary_ops():
    for t in FLOATS:
        x = np.concatenate([special(t), some(t, 30, -9, 9), np.array([0.5, 1.5, 2.5, -0.5, -1.5, 3e9], t)])
        with np.errstate(all="ignore"):
            for op, f in [("neg", np.negative), ("abs", np.abs), ("sqrt", np.sqrt), ("floor", np.floor), ("ceil", np.ceil),
                          ("round_even", np.rint), ("is_finite", np.isfinite), ("sign", lambda x: np.where(x == 0, x, np.sign(x))),
                          ("rsqrt", lambda x: t.type(1) / np.sqrt(x)), ("stop_gradient", lambda x: x)]:
                one(op, [x], f(x))
    for t in INTEGERS:
        x = np.concatenate([extremes(t), some(t, 30, -100, 100)])
        for op, f in [("neg", np.negative), ("abs", np.abs), ("sign", np.sign), ("not", np.invert)]:
            with np.errstate(all="ignore"):
                one(op, [x], f(x).astype(t))
    one("not", [np.array([True, False, True])], [False, True, False])
    for op in ["neg", "abs", "sqrt", "rsqrt"]:
        gradient(op, jax_of(op), [random.uniform(0.2, 4, 9) * (random.choice([-1, 1], 9) if op in ("neg", "abs") else 1)])
    gradient("abs", jnp.abs, [[0.0, -0.0, 1, -2]])


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
    wrap = lambda s: np.array([int(k) & (2 ** (8 * a.itemsize) - 1) for k in s], np.uint64).astype(f"u{a.itemsize}").view(a.dtype)
    return wrap(q), wrap(r)


def shifted(a, b, left):
    bits = 8 * a.itemsize
    mask = 2**bits - 1
    u = [int(v) & mask for v in a]
    n = [int(v) & mask for v in b]
    y = [0 if s >= bits else (v << s) & mask if left else v >> s for v, s in zip(u, n)]
    return np.array(y, np.uint64).astype(f"u{a.itemsize}").view(a.dtype)


COMPARES = [("eq", np.equal), ("ne", np.not_equal), ("lt", np.less), ("le", np.less_equal), ("gt", np.greater), ("ge", np.greater_equal)]


def binary_ops():
    for t in FLOATS:
        a, b = pairs(t)
        with np.errstate(all="ignore"):
            for op, f in [("add", np.add), ("sub", np.subtract), ("mul", np.multiply), ("div", np.divide),
                          ("max", maximum), ("min", lambda a, b: maximum(a, b, -1))] + COMPARES:
                one(op, [a, b], f(a, b))
            keep = ~(np.abs(a / b) > 2**50) | ~np.isfinite(a) | (b == 0)
            one("rem", [a[keep], b[keep]], remainder(a[keep], b[keep]))
    for t in INTEGERS:
        a, b = pairs(t)
        with np.errstate(all="ignore"):
            for op, f in [("add", np.add), ("sub", np.subtract), ("mul", np.multiply), ("max", np.maximum), ("min", np.minimum),
                          ("and", np.bitwise_and), ("or", np.bitwise_or), ("xor", np.bitwise_xor)] + COMPARES:
                one(op, [a, b], f(a, b))
        q, r = truncated(a, b)
        one("div", [a, b], q)
        one("rem", [a, b], r)
        a = np.concatenate([extremes(t)] * 9)
        b = np.repeat(np.array([0, 1, 5, 7, 8, 31, 32, 63, 64 if t.itemsize > 1 else 200], t), len(extremes(t)))
        one("shift_left", [a, b], shifted(a, b, True))
        one("shift_right", [a, b], shifted(a, b, False))
    p, q = np.array([0, 0, 1, 1], bool), np.array([0, 1, 0, 1], bool)
    for op, f in [("and", np.logical_and), ("or", np.logical_or), ("xor", np.logical_xor)] + COMPARES:
        one(op, [p, q], f(p, q))
    x, y = random.uniform(0.5, 3, 9), random.uniform(0.5, 3, 9)
    for op, f in [("add", jnp.add), ("sub", jnp.subtract), ("mul", jnp.multiply), ("div", jnp.divide), ("pow", jnp.power),
                  ("max", jnp.maximum), ("min", jnp.minimum)]:
        gradient(op, f, [x, y])
    gradient("rem", jnp.fmod, [x * 5 * np.resize([1, -1], 9), y])
    gradient("max", jnp.maximum, [[1.0, 2, 3], [1.0, 3, 2]])
    gradient("min", jnp.minimum, [[1.0, 2, 3], [1.0, 3, 2]])
    gradient("mul", jnp.multiply, [[0.0, 2, 0], [0.0, 0, 3]])
    gradient("pow", jnp.power, [[0.0, 0.0, 0.0, 2, -2, -1.5], [1.0, 2, 3, 0, 3, 2]], wrt=[0])


def pow_ops():
    for t in FLOATS:
        s = special(t)
        a, b = np.meshgrid(s, np.concatenate([s, np.array([3, -2, 0.25, -5, 101], t)]))
        x = np.concatenate([a.ravel(), random.uniform(0, 8, 40).astype(t), some(t, 6, -4, 4)])
        y = np.concatenate([b.ravel(), random.uniform(-12, 12, 40).astype(t), np.array([-3, -2, 2, 3, 4, 5], t)])
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
        finite = np.array([(float(p) == 0 or abs(float(p)) > 1e-30) if np.isfinite(p) else True for p in exact])
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
    sample("gradient", "select", call_text("value_and_grad", [p, x, y, w], results, "function=@l, wrt=[1,2]", before), [p, x, y, w], results, "near 1e-12 1e-14")


def convert_value(x, t):
    s = x.dtype
    with np.errstate(all="ignore"):
        if t.kind == "b" or s.kind != "f" or t.kind == "f":
            return x != 0 if t.kind == "b" else x.astype(t)
    i = np.iinfo(t)
    return np.array([0 if np.isnan(v) else i.max if v == np.inf else i.min if v == -np.inf else min(max(int(v), i.min), i.max) for v in x], t)


def casts():
    kinds = FLOATS + INTEGERS + [BOOL]
    for s in kinds:
        x = np.concatenate([special(s), np.array([2.5, -2.5, 255, 255.9, 256, 2147483647, 2147483648, 1e10, -1e10, 9.3e18, -9.3e18, 16777217], s), some(s, 9, -300, 300)]) if s.kind == "f" else np.concatenate([extremes(s), some(s, 9, -100, 100)])
        if s == DTYPES["i64"]:
            x = np.concatenate([x, np.array([2**53 + 1, 2**24 + 1, 2**62 + 2**38 + 1, -(2**53) - 3], s)])
        for t in kinds:
            one("convert", [x], convert_value(x, t), f"dtype={NAMES[str(t)]}")
    for s, t in [("f32", "i32"), ("f64", "i64"), ("i32", "f32"), ("i64", "f64"), ("u8", "u8"), ("f32", "f32")]:
        x = np.concatenate([some(DTYPES[s], 9, -1000, 1000), np.array([0, 1], DTYPES[s])])
        one("bitcast", [x], x.view(DTYPES[t]), f"dtype={t}")
    gradient("convert", lambda x: x.astype(jnp.float32).astype(jnp.float64), [np.array([1.0, -2, 0.5])], "dtype=f32")


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
    bits = np.array([mix(int(k) % 2**64, int(c) % 2**64) for k, c in zip(keys, counters)], np.uint64).view(np.int64)
    one("rng_fold", [keys, counters], bits)
    stream = np.array([mix(42, n) for n in range(15)], np.uint64)
    one("rng_bits", [np.int64(42)], stream.view(np.int64).reshape(3, 5), "shape=[3,5]")
    one("uniform", [stream.view(np.int64)], ((stream >> 40).astype(np.float64) * 2.0**-24).astype(np.float32), "dtype=f32")
    one("uniform", [stream.view(np.int64)], (stream >> 11).astype(np.float64) * 2.0**-53, "dtype=f64")
    one("constant", [], np.full((2, 3), 0.1, np.float32), "value=0.1, dtype=f32, shape=[2,3]")
    one("constant", [], np.int64(-(2**62) - 1), f"value={-(2**62) - 1}, dtype=i64, shape=[]")
    one("constant", [], np.array([-np.inf]), "value=-inf, dtype=f64, shape=[1]")
    for t in FLOATS + INTEGERS:
        one("iota", [], np.broadcast_to(np.arange(4).astype(t)[:, None], (4, 3)), f"axis=0, dtype={NAMES[str(t)]}, shape=[4,3]")
    for n in (1, 5, 8):
        x = np.arange(n, dtype=np.float32)
        sample("sample", "dim", "func @predict[B <= 8](%x: f32[B]) -> (i64[], f32[]) { %n = dim() {value=[B], dtype=i64} %m = dim() {value=[B*B + 1], dtype=f32} return %n, %m }", [x], [np.int64(n), np.float32(n * n + 1)])
        sample("sample", "parameter", "func @predict[B <= 8](%x: f32[B]) -> (f32[B]) { return %x }", [x], [x])


# --- structure --------------------------------------------------------------------------------------------------------
def padded(x, low, high, interior, value):
    return np.asarray(jax.lax.pad(x, jnp.asarray(value, x.dtype), list(zip(low, high, interior))))


def both(op, f, args, attrs, compare="exact"):
    """The op on f32, i32, bool where it only moves, and its gradient."""
    for t in (["f32", "i32", "u8", "bool", "f64"] if compare == "exact" else ["f32"]):
        typed = [np.asarray(a).astype(DTYPES[t]) for a in args]
        one(op, typed, np.asarray(f(*typed)), attrs, compare)
    gradient(op, f, args, attrs)


def structure():
    x = random.uniform(-2, 2, (3, 4))
    lax = jax.lax
    both("broadcast", lambda a: lax.broadcast_in_dim(a, (2, 3, 4), (1, 2)), [x], "dims=[1,2], shape=[2,3,4]")
    both("broadcast", lambda a: lax.broadcast_in_dim(a, (3, 4), (0, 1)), [x[:1]], "dims=[0,1], shape=[3,4]")
    both("broadcast", lambda a: lax.broadcast_in_dim(a, (5,), ()), [np.array(1.5)], "dims=[], shape=[5]")
    both("reshape", lambda a: a.reshape(2, 6), [x], "shape=[2,6]")
    both("reshape", lambda a: a.reshape(4, 1, 3), [x], "shape=[4,1,3]")
    both("transpose", lambda a: a.transpose(1, 0), [x], "perm=[1,0]")
    both("transpose", lambda a: a.transpose(2, 0, 1), [random.uniform(-2, 2, (2, 3, 4))], "perm=[2,0,1]")
    both("reverse", lambda a: a[::-1, ::-1], [x], "axes=[0,1]")
    both("reverse", lambda a: a[:, ::-1], [x], "axes=[1]")
    both("slice", lambda a: a[1:3, 0:4:2], [x], "start=[1,0], limit=[3,4], stride=[1,2]")
    both("slice", lambda a: a[0:3:2, 1:4:3], [x], "start=[0,1], limit=[3,4], stride=[2,3]")
    both("slice", lambda a: a[1:1, :], [x], "start=[1,0], limit=[1,4], stride=[1,1]")
    for low, high, interior in [((1, 0), (0, 2), (0, 0)), ((0, 1), (1, 0), (2, 1)), ((-1, 2), (1, -3), (0, 0)), ((1, -1), (2, 0), (1, 0)), ((-2, 0), (0, -1), (1, 2))]:
        attrs = "low=[{},{}], high=[{},{}], interior=[{},{}], value=1.0".format(*low, *high, *interior)
        both("pad", lambda a: lax.pad(jnp.asarray(a), jnp.asarray(1, a.dtype), list(zip(low, high, interior))), [x], attrs)
    both("concat", lambda a, b, c: jnp.concatenate([a, b, c], 1), [x, x[:, :1] * 2, x[:, :3] - 1], "axis=1")
    both("concat", lambda a, b: jnp.concatenate([a, b], 0), [x, x[:1] * 3], "axis=0")


def indexing():
    x, u = random.uniform(-2, 2, (5, 4)), random.uniform(-2, 2, (2, 3))
    for i, j in [(0, 0), (1, 1), (3, 1), (-2, 9), (100, -100)]:
        starts = [np.int32(i), np.int32(j)]
        clip = np.clip(i, 0, 3), np.clip(j, 0, 1)
        cut = lambda a, *_: jnp.asarray(a)[clip[0]:clip[0] + 2, clip[1]:clip[1] + 3]
        put = lambda a, b, *_: jnp.asarray(a).at[clip[0]:clip[0] + 2, clip[1]:clip[1] + 3].set(b)
        one("dynamic_slice", [x, *starts], cut(x), "sizes=[2,3]")
        one("dynamic_update_slice", [x, u, *starts], put(x, u))
        gradient("dynamic_slice", cut, [x], "sizes=[2,3]", constants=starts)
        gradient("dynamic_update_slice", put, [x, u], constants=starts)
    one("dynamic_slice", [np.arange(200, dtype=np.uint8), np.uint8(190)], np.arange(190, 195, dtype=np.uint8), "sizes=[5]")
    one("dynamic_slice", [np.float32(2)], np.float32(2), "sizes=[]")
    one("dynamic_update_slice", [np.float32(2), np.float32(3)], np.float32(3))
    for t in ("i32", "i64", "u8"):
        n = np.array([0, 4, 2, 2, 200 if t == "u8" else 9] + ([] if t == "u8" else [-1]), DTYPES[t])
        rows = np.clip(n.astype(int), 0, 4)
        one("gather", [x, n], x[rows])
        gradient("gather", lambda a, _: jnp.asarray(a)[rows], [x], constants=[n])
        v = random.uniform(-2, 2, (len(n), 4))
        y = x.copy()
        for k, r in enumerate(rows):
            y[r] += v[k]
        sample("sample", "scatter_add", call_text("scatter_add", [x, n, v], [y]), [x, n, v], [y])
        scattered = lambda a, b, c: jnp.asarray(a).at[rows].add(c)
        w = random.uniform(0.5, 2, y.shape)
        value, grads = jax.value_and_grad(lambda a, c: jnp.sum(jnp.asarray(a).at[rows].add(c) * w), argnums=(0, 1))(x, v)
        before = f"func @l(%x: {type_of(x)}, %n: {type_of(n)}, %v: {type_of(v)}, %w: {type_of(w)}) -> (f64[]) {{ %y = scatter_add(%x, %n, %v) %t = mul(%y, %w) %s = reduce_sum(%t) {{axes=[0,1]}} return %s }} "
        results = [np.asarray(value)] + [np.asarray(g) for g in grads]
        sample("gradient", "scatter_add", call_text("value_and_grad", [x, n, v, w], results, "function=@l, wrt=[0,2]", before), [x, n, v, w], results, "near 1e-12 1e-14")
    one("gather", [np.arange(6, dtype=np.int32).reshape(3, 2), np.array([[0, 2], [1, 1]], np.int64)], np.arange(6, dtype=np.int32).reshape(3, 2)[np.array([[0, 2], [1, 1]])])
    one("gather", [np.arange(6, dtype=np.float32), np.int32(4)], np.float32(4))


# --- reductions, contractions -----------------------------------------------------------------------------------------
def reductions():
    lax = jax.lax
    for shape, axes in [((3, 5), (1,)), ((3, 5), (0,)), ((2, 3, 4), (0, 2)), ((70,), (0,)), ((3, 130), (1,)), ((4, 0), (1,)), ((2, 3), (0, 1))]:
        attrs = f"axes=[{','.join(map(str, axes))}]"
        for t in FLOATS + INTEGERS:
            x = some(t, shape, -4, 4)
            with np.errstate(all="ignore"):
                size = np.max(np.abs(x).astype(float).sum(axis=axes), initial=1)
                one("reduce_sum", [x], x.sum(axis=axes, dtype=t) if t.kind != "f" else x.astype(np.float64).sum(axis=axes).astype(t), attrs, "exact" if t.kind != "f" else f"near 0 {size * (1e-12 if t.itemsize == 8 else 1e-5):.3g}")
                one("reduce_prod", [x], x.prod(axis=axes, dtype=t), attrs, "exact" if t.kind != "f" else "near 1e-12 0" if t.itemsize == 8 else "near 1e-5 1e-37")
            low = -np.inf if t.kind == "f" else np.iinfo(t).min
            high = np.inf if t.kind == "f" else np.iinfo(t).max
            one("reduce_max", [x], x.max(axis=axes, initial=low), attrs)
            one("reduce_min", [x], x.min(axis=axes, initial=high), attrs)
            if len(axes) == 1 and 0 not in shape:
                one("argmax", [x], x.argmax(axis=axes[0]), attrs)
                one("argmin", [x], x.argmin(axis=axes[0]).astype(np.int32), attrs + ", dtype=i32")
            if t.kind != "f":
                one("reduce_and", [x], np.bitwise_and.reduce(x, axis=axes), attrs)
                one("reduce_or", [x], np.bitwise_or.reduce(x, axis=axes), attrs)
        p = some(BOOL, shape)
        one("reduce_and", [p], p.all(axis=axes), attrs)
        one("reduce_or", [p], p.any(axis=axes), attrs)
        if 0 not in shape and np.prod(shape) < 50:
            x = random.uniform(-2, 2, shape)
            x.flat[1] = x.flat[0]  # may be a tie
            for op, f in [("reduce_sum", jnp.sum), ("reduce_prod", jnp.prod), ("reduce_max", jnp.max), ("reduce_min", jnp.min)]:
                gradient(op, lambda a: f(a, axis=axes), [x], attrs)
    for op, f, g in [("reduce_max", np.max, np.argmax), ("reduce_min", np.min, np.argmin)]:
        for t in FLOATS:
            x = np.array([[1, np.nan, 3], [np.inf, 2, np.inf], [-np.inf] * 3, [2, 2, 1], [np.nan] * 3], t)
            one(op, [x], f(x, axis=1), "axes=[1]")
            one("arg" + op[-3:], [x], g(x, axis=1), "axes=[1]")
    product = lambda a: a[0] * a[1] * a[2] * a[3] * a[4]
    for x in ([0.0, 2, 3, 4, 5], [0.0, 2, 0, 4, 5], [1e-200, 1e-150, 1e200, 1e100, 3], [-0.0, 0, 0, 1, 1], [np.inf, 1, 2, 3, 4]):
        gradient("reduce_prod", product, [np.array(x)], "axes=[0]")
        hessian_vector("reduce_prod", product, np.array(x), "axes=[0]")
    gradient("reduce_max", lambda a: jnp.max(a, axis=1), [[[1.0, 1, 0], [2, 2, 2]]], "axes=[1]")
    gradient("reduce_min", lambda a: jnp.min(a, axis=1), [[[1.0, 1, 3], [2, 2, 2]]], "axes=[1]")


def hessian_vector(op, f, x, attrs=""):
    """The second derivative along a direction."""
    v = random.uniform(0.5, 2, x.shape)
    with np.errstate(all="ignore"):
        hv = np.asarray(jax.grad(lambda a: jnp.sum(jax.grad(lambda b: jnp.sum(f(b)))(a) * v))(x))
    if not np.isfinite(hv).all():
        return
    total = "" if np.ndim(f(x)) == 0 else " %z = reduce_sum(%y) {axes=[0]}"
    t = type_of(x)
    before = (f"func @l(%x: {t}) -> (f64[]) {{ %y = {op}(%x){attrs and ' {' + attrs + '}'}{total} return {'%z' if total else '%y'} }} "
              f"func @d(%x: {t}, %v: {t}) -> (f64[]) {{ %r = value_and_grad(%x) {{function=@l, wrt=[0]}} %g = get(%r) {{index=1}} %m = mul(%g, %v) %s = reduce_sum(%m) {{axes=[0]}} return %s }} ")
    text = before + f"func @predict(%x: {t}, %v: {t}) -> ({t}) {{ %r = value_and_grad(%x, %v) {{function=@d, wrt=[0]}} %h = get(%r) {{index=1}} return %h }}"
    sample("second", op, text, [x, v], [hv], "near 1e-11 1e-13")


def second_derivatives():
    x = random.uniform(0.3, 2, 6)
    for op in ["exp", "expm1", "log", "log1p", "sqrt", "rsqrt", "sin", "cos", "tanh", "sigmoid", "erf", "abs"]:
        hessian_vector(op, jax_of(op), x)
    for op in ["expm1", "log1p", "tanh", "sigmoid", "erf", "exp"]:
        hessian_vector(op, jax_of(op), np.array([-0.5, 1e-9, 0.0, -12, 14, 3]) if op != "log1p" else np.array([-0.5, 1e-9, 0, 12]))


def contractions():
    for spec, a, b in [("ik,kj->ij", (3, 4), (4, 5)), ("bik,bkj->bij", (2, 3, 4), (2, 4, 2)), ("ik,jk->ij", (3, 4), (5, 4)), ("ki,kj->ji", (4, 3), (4, 5)),
                       ("i,i->", (7,), (7,)), ("ik,k->i", (3, 4), (4,)), ("k,kj->j", (4,), (4, 3)), ("i,j->ij", (3,), (4,)), ("ij,ij->ij", (2, 3), (2, 3)),
                       ("ik,jl->ij", (2, 3), (4, 5)), ("bhqd,bhkd->bhqk", (2, 2, 3, 4), (2, 2, 5, 4)), ("ik,kj->ij", (2, 0), (0, 3)), ("ik,kj->ij", (17, 33), (33, 19))]:
        for t in FLOATS + [DTYPES["i32"], DTYPES["u8"]]:
            x, y = some(t, a, -4, 4), some(t, b, -4, 4)
            want = np.einsum(spec, x.astype(np.float64) if t.kind == "f" else x, y.astype(np.float64) if t.kind == "f" else y).astype(t)
            size = max(1, np.max(np.einsum(spec, np.abs(x).astype(float), np.abs(y).astype(float)), initial=1))
            one("einsum", [x, y], want, f'spec="{spec}"', "exact" if t.kind != "f" else f"near 0 {size * (1e-14 if t.itemsize == 8 else 1e-6):.3g}")
        if 0 not in a and a[0] < 9:
            gradient("einsum", lambda x, y: jnp.einsum(spec, x, y), [random.uniform(-2, 2, a), random.uniform(-2, 2, b)], f'spec="{spec}"')
    x, y, z = random.uniform(-2, 2, (3, 4)), random.uniform(-2, 2, (4, 5)), random.uniform(-2, 2, (3, 5))
    one("einsum", [x, y, z], x @ y + z, 'spec="ik,kj->ij"', "near 1e-14 1e-14")
    gradient("einsum", lambda x, y, z: x @ y + z, [x, y, z], 'spec="ik,kj->ij"')


# --- control ----------------------------------------------------------------------------------------------------------
def control():
    x = np.array([1.5, -2, 0.25])
    square = "func @g(%a: f64[3]) -> (f64[3], f64[]) { %b = mul(%a, %a) %s = reduce_sum(%b) {axes=[0]} return %b, %s } "
    results = [x * x, np.sum(x * x)]
    sample("sample", "call", call_text("call", [x], results, "function=@g", square), [x], results, "near 1e-15 0")
    sample("sample", "get", call_text("call", [x], results, "function=@g", square), [x], results, "near 1e-15 0")
    sums = "func @g(%a: f64[3]) -> (f64[]) { %b = mul(%a, %a) %s = reduce_sum(%b) {axes=[0]} return %s } "
    results = [np.sum(x * x), 2 * x]
    sample("sample", "value_and_grad", call_text("value_and_grad", [x], results, "function=@g, wrt=[0]", sums), [x], results, "near 1e-15 0")
    branches = "func @a(%x: f64[3]) -> (f64[3]) { %y = add(%x, %x) return %y } func @b(%x: f64[3]) -> (f64[3]) { %y = neg(%x) return %y } "
    for p in (True, False):
        args = [np.bool_(p), x]
        sample("sample", "cond", call_text("cond", args, [x], "then=@a, otherwise=@b", branches), args, [2 * x if p else -x])
    # c' = k c + x; y = old c
    step = "func @s(%k: f64[], %c: f64[], %x: f64[]) -> (f64[], f64[]) { %t = mul(%k, %c) %n = add(%t, %x) return %n, %c } "
    for n in (1, 6, 0):
        k, c, xs = np.float64(0.5), np.float64(2), random.integers(-8, 8, n).astype(np.float64)
        ys, now = [], c
        for v in xs:
            ys.append(now)
            now = k * now + v
        results = [np.asarray(now), np.array(ys, np.float64)]
        sample("sample", "scan", call_text("scan", [k, c, xs], results, f"function=@s, consts=1, carries=1, length=[{n}]", step), [k, c, xs], results)
    # two carries that change places, no ys, and a body that only makes ys
    swap = "func @s(%a: i64[2], %b: i64[2]) -> (i64[2], i64[2]) { %c = add(%a, %b) return %b, %c } "
    a, b = np.array([0, 1]), np.array([1, 3])
    p, q = a, b
    for _ in range(10):
        p, q = q, p + q
    sample("sample", "scan", call_text("scan", [a, b], [p, q], "function=@s, consts=0, carries=2, length=[10]", swap), [a, b], [p, q])
    rows = random.uniform(-1, 1, (4, 3))
    only = "func @s(%x: f64[3]) -> (f64[3]) { %y = neg(%x) return %y } "
    sample("sample", "scan", call_text("scan", [rows], [rows], "function=@s, consts=0, carries=0, length=[4]", only), [rows], [-rows])
    # Collatz steps until 1
    loop = ("func @c(%n: i64[], %k: i64[]) -> (bool[]) { %o = constant() {value=1, dtype=i64, shape=[]} %p = ne(%n, %o) return %p } "
            "func @s(%n: i64[], %k: i64[]) -> (i64[], i64[]) { %o = constant() {value=1, dtype=i64, shape=[]} %t = constant() {value=2, dtype=i64, shape=[]} "
            "%h = constant() {value=3, dtype=i64, shape=[]} %r = rem(%n, %t) %e = ne(%r, %o) %d = div(%n, %t) %u = mul(%n, %h) %v = add(%u, %o) %m = select(%e, %d, %v) %l = add(%k, %o) return %m, %l } ")
    for start, bound in [(27, 1000), (1, 10), (27, 5), (6, 0)]:
        n, k = start, 0
        while n != 1 and k < bound:
            n, k = (n // 2 if n % 2 == 0 else 3 * n + 1), k + 1
        args, results = [np.int64(start), np.int64(0)], [np.int64(n), np.int64(k)]
        sample("sample", "while", call_text("while", args, results, f"condition=@c, body=@s, bound={bound}", loop), args, results)


for family in (leaves, unary_ops, elementary_ops, binary_ops, pow_ops, other_elementwise, casts, structure, indexing, reductions,
               contractions, control, second_derivatives):
    random = np.random.default_rng(2026)  # so that a family does not move when another changes
    family()
text = "\n".join(out)
path = pathlib.Path(__file__).with_name("samples.txt")
if sys.argv[1:] == ["--check"]:
    same = path.read_text() == text
    print("samples.txt is what would be written" if same else "samples.txt differs")
    sys.exit(not same)
path.write_text(text)
print(f"{sum(o.startswith(('sample', 'gradient', 'second')) for o in out)} samples, {len(text)} bytes")
