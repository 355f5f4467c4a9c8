"""Ops that move, index, reduce and contract arrays, and control flow."""

import jax
import jax.numpy as jnp
import numpy as np

from sample_text import *


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
    for low, high, interior in [
        ((1, 0), (0, 2), (0, 0)),
        ((0, 1), (1, 0), (2, 1)),
        ((-1, 2), (1, -3), (0, 0)),
        ((1, -1), (2, 0), (1, 0)),
        ((-2, 0), (0, -1), (1, 2)),
    ]:
        attrs = "low=[{},{}], high=[{},{}], interior=[{},{}], value=1.0".format(*low, *high, *interior)
        both(
            "pad",
            lambda a: lax.pad(jnp.asarray(a), jnp.asarray(1, a.dtype), list(zip(low, high, interior))),
            [x],
            attrs,
        )
    both("concat", lambda a, b, c: jnp.concatenate([a, b, c], 1), [x, x[:, :1] * 2, x[:, :3] - 1], "axis=1")
    both("concat", lambda a, b: jnp.concatenate([a, b], 0), [x, x[:1] * 3], "axis=0")


def indexing():
    x, u = random.uniform(-2, 2, (5, 4)), random.uniform(-2, 2, (2, 3))
    for i, j in [(0, 0), (1, 1), (3, 1), (-2, 9), (100, -100)]:
        starts = [np.int32(i), np.int32(j)]
        clip = np.clip(i, 0, 3), np.clip(j, 0, 1)
        cut = lambda a, *_: jnp.asarray(a)[clip[0] : clip[0] + 2, clip[1] : clip[1] + 3]
        put = lambda a, b, *_: jnp.asarray(a).at[clip[0] : clip[0] + 2, clip[1] : clip[1] + 3].set(b)
        one("dynamic_slice", [x, *starts], cut(x), "sizes=[2,3]")
        one("dynamic_update_slice", [x, u, *starts], put(x, u))
        gradient("dynamic_slice", cut, [x], "sizes=[2,3]", constants=starts)
        gradient("dynamic_update_slice", put, [x, u], constants=starts)
    one(
        "dynamic_slice",
        [np.arange(200, dtype=np.uint8), np.uint8(190)],
        np.arange(190, 195, dtype=np.uint8),
        "sizes=[5]",
    )
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
        value, grads = jax.value_and_grad(
            lambda a, c: jnp.sum(jnp.asarray(a).at[rows].add(c) * w), argnums=(0, 1)
        )(x, v)
        before = f"func @l(%x: {type_of(x)}, %n: {type_of(n)}, %v: {type_of(v)}, %w: {type_of(w)}) -> (f64[]) {{ %y = scatter_add(%x, %n, %v) %t = mul(%y, %w) %s = reduce_sum(%t) {{axes=[0,1]}} return %s }} "
        results = [np.asarray(value)] + [np.asarray(g) for g in grads]
        sample(
            "gradient",
            "scatter_add",
            call_text("value_and_grad", [x, n, v, w], results, "function=@l, wrt=[0,2]", before),
            [x, n, v, w],
            results,
            "near 1e-12 1e-14",
        )
    one(
        "gather",
        [np.arange(6, dtype=np.int32).reshape(3, 2), np.array([[0, 2], [1, 1]], np.int64)],
        np.arange(6, dtype=np.int32).reshape(3, 2)[np.array([[0, 2], [1, 1]])],
    )
    one("gather", [np.arange(6, dtype=np.float32), np.int32(4)], np.float32(4))


# --- reductions, contractions -----------------------------------------------------------------------------------------
def reductions():
    lax = jax.lax
    for shape, axes in [
        ((3, 5), (1,)),
        ((3, 5), (0,)),
        ((2, 3, 4), (0, 2)),
        ((70,), (0,)),
        ((3, 130), (1,)),
        ((4, 0), (1,)),
        ((2, 3), (0, 1)),
    ]:
        attrs = f"axes=[{','.join(map(str, axes))}]"
        for t in FLOATS + INTEGERS:
            x = some(t, shape, -4, 4)
            with np.errstate(all="ignore"):
                size = np.max(np.abs(x).astype(float).sum(axis=axes), initial=1)
                one(
                    "reduce_sum",
                    [x],
                    (
                        x.sum(axis=axes, dtype=t)
                        if t.kind != "f"
                        else x.astype(np.float64).sum(axis=axes).astype(t)
                    ),
                    attrs,
                    "exact" if t.kind != "f" else f"near 0 {size * (1e-12 if t.itemsize == 8 else 1e-5):.3g}",
                )
                one(
                    "reduce_prod",
                    [x],
                    x.prod(axis=axes, dtype=t),
                    attrs,
                    "exact" if t.kind != "f" else "near 1e-12 0" if t.itemsize == 8 else "near 1e-5 1e-37",
                )
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
            for op, f in [
                ("reduce_sum", jnp.sum),
                ("reduce_prod", jnp.prod),
                ("reduce_max", jnp.max),
                ("reduce_min", jnp.min),
            ]:
                gradient(op, lambda a: f(a, axis=axes), [x], attrs)
    for op, f, g in [("reduce_max", np.max, np.argmax), ("reduce_min", np.min, np.argmin)]:
        for t in FLOATS:
            x = np.array([[1, np.nan, 3], [np.inf, 2, np.inf], [-np.inf] * 3, [2, 2, 1], [np.nan] * 3], t)
            one(op, [x], f(x, axis=1), "axes=[1]")
            one("arg" + op[-3:], [x], g(x, axis=1), "axes=[1]")
    product = lambda a: a[0] * a[1] * a[2] * a[3] * a[4]
    for x in (
        [0.0, 2, 3, 4, 5],
        [0.0, 2, 0, 4, 5],
        [1e-200, 1e-150, 1e200, 1e100, 3],
        [-0.0, 0, 0, 1, 1],
        [np.inf, 1, 2, 3, 4],
    ):
        gradient("reduce_prod", product, [np.array(x)], "axes=[0]")
        hessian_vector("reduce_prod", product, np.array(x), "axes=[0]")
    gradient("reduce_max", lambda a: jnp.max(a, axis=1), [[[1.0, 1, 0], [2, 2, 2]]], "axes=[1]")
    gradient("reduce_min", lambda a: jnp.min(a, axis=1), [[[1.0, 1, 3], [2, 2, 2]]], "axes=[1]")


def contractions():
    for spec, a, b in [
        ("ik,kj->ij", (3, 4), (4, 5)),
        ("bik,bkj->bij", (2, 3, 4), (2, 4, 2)),
        ("ik,jk->ij", (3, 4), (5, 4)),
        ("ki,kj->ji", (4, 3), (4, 5)),
        ("i,i->", (7,), (7,)),
        ("ik,k->i", (3, 4), (4,)),
        ("k,kj->j", (4,), (4, 3)),
        ("i,j->ij", (3,), (4,)),
        ("ij,ij->ij", (2, 3), (2, 3)),
        ("ik,jl->ij", (2, 3), (4, 5)),
        ("bhqd,bhkd->bhqk", (2, 2, 3, 4), (2, 2, 5, 4)),
        ("ik,kj->ij", (2, 0), (0, 3)),
        ("ik,kj->ij", (17, 33), (33, 19)),
    ]:
        for t in FLOATS + [DTYPES["i32"], DTYPES["u8"]]:
            x, y = some(t, a, -4, 4), some(t, b, -4, 4)
            want = np.einsum(
                spec,
                x.astype(np.float64) if t.kind == "f" else x,
                y.astype(np.float64) if t.kind == "f" else y,
            ).astype(t)
            size = max(
                1, np.max(np.einsum(spec, np.abs(x).astype(float), np.abs(y).astype(float)), initial=1)
            )
            one(
                "einsum",
                [x, y],
                want,
                f'spec="{spec}"',
                "exact" if t.kind != "f" else f"near 0 {size * (1e-14 if t.itemsize == 8 else 1e-6):.3g}",
            )
        if 0 not in a and a[0] < 9:
            gradient(
                "einsum",
                lambda x, y: jnp.einsum(spec, x, y),
                [random.uniform(-2, 2, a), random.uniform(-2, 2, b)],
                f'spec="{spec}"',
            )
    x, y, z = random.uniform(-2, 2, (3, 4)), random.uniform(-2, 2, (4, 5)), random.uniform(-2, 2, (3, 5))
    one("einsum", [x, y, z], x @ y + z, 'spec="ik,kj->ij"', "near 1e-14 1e-14")
    gradient("einsum", lambda x, y, z: x @ y + z, [x, y, z], 'spec="ik,kj->ij"')


def conditional_contractions():
    """Only terms for which every condition is >= 0: the others are no terms, whatever they are."""
    draw = np.random.default_rng(5)
    for spec, a, b, where, joined in [
        ("ik,kj->ij", (7, 7), (7, 3), "%i - %k", lambda i, k, j: i >= k),
        ("ik,kj->ij", (32, 32), (32, 3), "16*floordiv(%i, 16) - %k + 15", lambda i, k, j: k <= i // 16 * 16 + 15),
        ("ik,kj->ij", (5, 9), (9, 20), "2*%k - %i - 1, 7 - %k", lambda i, k, j: 2 * k - i - 1 >= 0 and k <= 7),
        ("iku,kuj->ij", (4, 5, 3), (5, 3, 2), "%i + %u - %k, %k - %i", lambda i, k, u, j: 0 <= k - i <= u),
    ]:
        x, y = draw.uniform(-2, 2, a), draw.uniform(-2, 2, b)
        labels = dict.fromkeys(spec.replace(",", "").split("->")[0])
        sizes = {**dict(zip(spec.split(",")[0], a)), **dict(zip(spec.split(",")[1].split("->")[0], b))}
        mask = np.fromfunction(np.vectorize(joined), [sizes[c] for c in labels], dtype=int).astype(float)
        one("einsum", [x, y], np.einsum(f"{spec.split('->')[0]},{''.join(labels)}->{spec.split('->')[1]}", x, y, mask),
            f'spec="{spec}", where="{where}"', "near 1e-14 1e-14")
    x, y = np.ones((3, 3)), np.ones((3, 2))
    x[0, 1], y[2, 0] = np.inf, np.nan
    one("einsum", [x, y], [[1, 1], [2, 2], [np.nan, 3]], 'spec="ik,kj->ij", where="%i - %k"', "exact")


# --- control ----------------------------------------------------------------------------------------------------------
def control():
    x = np.array([1.5, -2, 0.25])
    square = "func @g(%a: f64[3]) -> (f64[3], f64[]) { %b = mul(%a, %a) %s = reduce_sum(%b) {axes=[0]} return %b, %s } "
    results = [x * x, np.sum(x * x)]
    sample(
        "sample", "call", call_text("call", [x], results, "function=@g", square), [x], results, "near 1e-15 0"
    )
    sample(
        "sample", "get", call_text("call", [x], results, "function=@g", square), [x], results, "near 1e-15 0"
    )
    sums = "func @g(%a: f64[3]) -> (f64[]) { %b = mul(%a, %a) %s = reduce_sum(%b) {axes=[0]} return %s } "
    results = [np.sum(x * x), 2 * x]
    sample(
        "sample",
        "value_and_grad",
        call_text("value_and_grad", [x], results, "function=@g, wrt=[0]", sums),
        [x],
        results,
        "near 1e-15 0",
    )
    branches = "func @a(%x: f64[3]) -> (f64[3]) { %y = add(%x, %x) return %y } func @b(%x: f64[3]) -> (f64[3]) { %y = neg(%x) return %y } "
    for p in (True, False):
        args = [np.bool_(p), x]
        sample(
            "sample",
            "cond",
            call_text("cond", args, [x], "then=@a, otherwise=@b", branches),
            args,
            [2 * x if p else -x],
        )
    # c' = k c + x; y = old c
    step = "func @s(%k: f64[], %c: f64[], %x: f64[]) -> (f64[], f64[]) { %t = mul(%k, %c) %n = add(%t, %x) return %n, %c } "
    for n in (1, 6, 0):
        k, c, xs = np.float64(0.5), np.float64(2), random.integers(-8, 8, n).astype(np.float64)
        ys, now = [], c
        for v in xs:
            ys.append(now)
            now = k * now + v
        results = [np.asarray(now), np.array(ys, np.float64)]
        sample(
            "sample",
            "scan",
            call_text("scan", [k, c, xs], results, f"function=@s, consts=1, carries=1, length=[{n}]", step),
            [k, c, xs],
            results,
        )
    # two carries that change places, no ys, and a body that only makes ys
    swap = "func @s(%a: i64[2], %b: i64[2]) -> (i64[2], i64[2]) { %c = add(%a, %b) return %b, %c } "
    a, b = np.array([0, 1]), np.array([1, 3])
    p, q = a, b
    for _ in range(10):
        p, q = q, p + q
    sample(
        "sample",
        "scan",
        call_text("scan", [a, b], [p, q], "function=@s, consts=0, carries=2, length=[10]", swap),
        [a, b],
        [p, q],
    )
    rows = random.uniform(-1, 1, (4, 3))
    only = "func @s(%x: f64[3]) -> (f64[3]) { %y = neg(%x) return %y } "
    sample(
        "sample",
        "scan",
        call_text("scan", [rows], [rows], "function=@s, consts=0, carries=0, length=[4]", only),
        [rows],
        [-rows],
    )
    # Collatz steps until 1
    loop = (
        "func @c(%n: i64[], %k: i64[]) -> (bool[]) { %o = constant() {value=1, dtype=i64, shape=[]} %p = ne(%n, %o) return %p } "
        "func @s(%n: i64[], %k: i64[]) -> (i64[], i64[]) { %o = constant() {value=1, dtype=i64, shape=[]} %t = constant() {value=2, dtype=i64, shape=[]} "
        "%h = constant() {value=3, dtype=i64, shape=[]} %r = rem(%n, %t) %e = ne(%r, %o) %d = div(%n, %t) %u = mul(%n, %h) %v = add(%u, %o) %m = select(%e, %d, %v) %l = add(%k, %o) return %m, %l } "
    )
    for start, bound in [(27, 1000), (1, 10), (27, 5), (6, 0)]:
        n, k = start, 0
        while n != 1 and k < bound:
            n, k = (n // 2 if n % 2 == 0 else 3 * n + 1), k + 1
        args, results = [np.int64(start), np.int64(0)], [np.int64(n), np.int64(k)]
        sample(
            "sample",
            "while",
            call_text("while", args, results, f"condition=@c, body=@s, bound={bound}", loop),
            args,
            results,
        )
