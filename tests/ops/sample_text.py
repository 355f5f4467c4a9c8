"""How samples.txt is written: types, numbers, functions, gradients. The inputs that all families draw from."""

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
    gets = (
        ""
        if len(results) == 1
        else " ".join(f"%y{i} = get(%y) {{index={i}}}" for i in range(len(results))) + " "
    )
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
    value, grads = jax.value_and_grad(
        lambda *a: jnp.sum(f(*a[:-1]).astype(jnp.float64) * a[-1]), argnums=tuple(wrt)
    )(*whole, w)
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
    return np.array(
        [0.0, -0.0, 1, -1, 0.5, 2, -3, np.inf, -np.inf, np.nan, f.tiny, f.tiny / 8, -f.tiny / 8, f.max], t
    )


def extremes(t):
    if t == np.bool_:
        return np.array([False, True])
    i = np.iinfo(t)
    return np.array(
        [0, 1, 2, 3, 7, i.max, i.max - 1, i.min, i.min + 1, i.max // 2 + 1]
        + ([-1, -2, -7] if i.min else [8, 31]),
        t,
    )


def some(t, n, low=-3, high=3):
    if t.kind == "f":
        return np.round(random.uniform(low, high, n), 3).astype(t)
    if t.kind == "b":
        return random.integers(0, 2, n).astype(t)
    return random.integers(max(low, 0) if t.kind == "u" else low, high, n).astype(t)


def pairs(t, n=24):
    s = special(t)[[0, 1, 2, 6, 7, 8, 9, 11, 13]] if t.kind == "f" else extremes(t)[[0, 1, 3, 4, 5, 7, 8, -1]]
    a, b = np.meshgrid(s, s)
    return np.concatenate([a.ravel(), some(t, n, -9, 9)]), np.concatenate([b.ravel(), some(t, n, -9, 9)])


FLOATS, INTEGERS = [DTYPES["f32"], DTYPES["f64"]], [DTYPES["i32"], DTYPES["i64"], DTYPES["u8"]]
BOOL = DTYPES["bool"]


def hessian_vector(op, f, x, attrs=""):
    """The second derivative along a direction."""
    v = random.uniform(0.5, 2, x.shape)
    with np.errstate(all="ignore"):
        hv = np.asarray(jax.grad(lambda a: jnp.sum(jax.grad(lambda b: jnp.sum(f(b)))(a) * v))(x))
    if not np.isfinite(hv).all():
        return
    total = "" if np.ndim(f(x)) == 0 else " %z = reduce_sum(%y) {axes=[0]}"
    t = type_of(x)
    before = (
        f"func @l(%x: {t}) -> (f64[]) {{ %y = {op}(%x){attrs and ' {' + attrs + '}'}{total} return {'%z' if total else '%y'} }} "
        f"func @d(%x: {t}, %v: {t}) -> (f64[]) {{ %r = value_and_grad(%x) {{function=@l, wrt=[0]}} %g = get(%r) {{index=1}} %m = mul(%g, %v) %s = reduce_sum(%m) {{axes=[0]}} return %s }} "
    )
    text = (
        before
        + f"func @predict(%x: {t}, %v: {t}) -> ({t}) {{ %r = value_and_grad(%x, %v) {{function=@d, wrt=[0]}} %h = get(%r) {{index=1}} return %h }}"
    )
    sample("second", op, text, [x, v], [hv], "near 1e-11 1e-13")
