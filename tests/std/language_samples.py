"""Small programs of the language and what NumPy makes of them."""

import numpy as np
import scipy.special

from model_text import TRAIN, columns, sample, some, value


def program(name, body, inputs, results, **more):
    value(name, body, inputs, results, kind="program", **more)


def programs():
    index_notation(some(3, 4), some(3, 5, 4), some(3, 2, 3, 4))
    masks(some(3, 4), some(3, 4, 4))
    broadcasting(some(3, 4), some(3, 2, 4))
    slices_and_shapes(some(3, 6), some(3, 2, 6))
    reductions(some(3, 4), some(3, 2, 4))
    names_and_control(some(3, 4))
    states(some(3, 4))
    integers()
    elementwise(some(3, 5))
    sums_of_indices(some(3, 7), some(3, 4), some(3, 6, 5, 2))
    orders(some(3, 6), some(3, 4, 2))


def sums_of_indices(x, y, z):
    """Subscripts that are sums of indices: windows, parts, reversed order; by NumPy's loops."""
    w, k = some(3), some(3, 2, 2, 4)
    windows = np.lib.stride_tricks.sliding_window_view
    body = "param w: [3] = 0\nr[b, i] = sum[u] "
    weights = {"state": {"w": w}}
    program("windows", body + "x[b, i + u] * w[u]", {"x": x}, windows(x, 3, 1) @ w, **weights)
    program("stride", body + "x[b, 2*i + u] * w[u]", {"x": x}, windows(x, 3, 1)[:, ::2] @ w, **weights)
    program("dilation", body + "x[b, i + 2*u + 1] * w[u]", {"x": x},
            np.stack([x[:, i + 1] * w[0] + x[:, i + 3] * w[1] + x[:, i + 5] * w[2] for i in range(2)], 1), **weights)
    program("mirrored", body + "x[b, i + 2 - u] * w[u]", {"x": x}, windows(x, 3, 1) @ w[::-1], **weights)
    program("padded", "param w: [3] = 0\np = pad(x, 1, over=1)\nr[b, i] = sum[u] p[b, i + u] * w[u]", {"x": x},
            windows(np.pad(x, [(0, 0), (1, 1)]), 3, 1) @ w, **weights)
    program("every_other", "r[b, i] = x[b, 2*i + 1]", {"x": x}, x[:, 1::2])
    program("differences", "d[b, i] = x[b, i + 1]\nr = d - x[:, :-1]", {"x": x}, np.diff(x))
    program("both_sides", "r[b, i, u] = x[b, i + u] * y[b, u]", {"x": x, "y": y}, windows(x, 4, 1) * y[:, None, :])
    program("convolution", "param k: [3, 2, 2, 4] = 0\nr[b, i, j, o] = sum[u, v, c] z[b, i + u, 2*j + v, c] * k[u, v, c, o]",
            {"z": z}, np.einsum("bijcuv,uvco->bijo", windows(z, (3, 2), (1, 2))[:, :, ::2], k), state={"k": k})
    program("windows_of_two", "v = windows(x, 3, 2, over=1)\nr = max(v, over=-1)", {"x": x}, windows(x, 3, 1)[:, ::2].max(-1))
    program("pad_value", "r = pad(z, [1, 0], [0, 2], over=[1, 2], value=7)", {"z": z},
            np.pad(z, [(0, 0), (1, 0), (0, 2), (0, 0)], constant_values=7))


def index_notation(x, y, z):
    w = some(4, 5)
    e = np.einsum
    i = np.arange(4.0)
    given = {"x": x, "y": y}
    program("contraction", "r[b, o] = sum[i] x[b, i] * y[b, o, i]", given, e("bi,boi->bo", x, y))
    program("matrix", "param w: [4, 5] = 0\nr[b, o] = sum[i] x[b, i] * w[i, o]", {"x": x}, x @ w, state={"w": w})
    program("matmul", "param w: [4, 5] = 0\nr = x @ w", {"x": x}, x @ w, state={"w": w})
    program("outer", "r[b, i, j] = x[b, i] * x[b, j]", {"x": x}, e("bi,bj->bij", x, x))
    program("gram", "r[a, b] = sum[i] x[a, i] * x[b, i]", {"x": x}, x @ x.T)
    program("trace", "r[b] = sum[i, j] x[b, i] * y[b, j, i]", given, e("bi,bji->b", x, y))
    program("transposed", "r[i, b] = x[b, i]", {"x": x}, x.T)
    program("batched", "r[b, i, j] = sum[h, c] z[b, h, i, c] * z[b, h, j, c]", {"z": z}, e("bhic,bhjc->bij", z, z))
    program("three_factors", "r[b] = sum[i, o] x[b, i] * y[b, o, i] * x[b, i]", given, e("bi,boi,bi->b", x, y, x))
    program("positions", "r[b, i] = x[b, i] * i + b", {"x": x}, x * i + np.arange(3.0)[:, None])
    program("colon", "m = mean[n] x[n, :]\nr = x - m", {"x": x}, x - x.mean(0))
    program("ellipsis", "r[..., o] = sum[i] z[..., i] * z[..., o]", {"z": z}, e("bhti,bhto->bhto", z, z))
    program("last", "r[b] = x[b, -1] - x[b, 0]", {"x": x}, x[:, -1] - x[:, 0])
    program("running", "r[b, i] = cumsum[i] x[b, i] * 2 + 1", {"x": x}, (x * 2).cumsum(1) + 1)
    program("running_product", "r[b, i] = cumprod[i where i != 1] x[b, i]", {"x": x},
            np.where(np.arange(4) == 1, 1, x).cumprod(1))
    program("running_calls", "a = cumsum(x)\nb = cumprod(x, over=1, reverse=true)\nc = cumsum(x > 0, exclusive=true)", {"x": x},
            {"a": x.cumsum(1), "b": x[:, ::-1].cumprod(1)[:, ::-1], "c": (x > 0).cumsum(1) - (x > 0)})
    program("sum_of_term", "r[b] = sum[i] x[b, i] * x[b, i] + 1", {"x": x}, (x * x).sum(1) + 1)
    program("negative_sum", "r[b] = 2 - sum[i] x[b, i] / 2", {"x": x}, 2 - (x / 2).sum(1))
    program("variance", "r[b] = mean[i] ((x[b, i] - (mean[j] x[b, j])) ** 2)", {"x": x}, x.var(1))
    program("functions_in_sums", "r[b] = sum[i] exp(x[b, i]) * tanh(x[b, i])", {"x": x}, (np.exp(x) * np.tanh(x)).sum(1))
    program("shifted", "r[b, i] = x[b, i] - max[j] x[b, j]", {"x": x}, x - x.max(1, keepdims=True))
    for op, f in [("prod", np.prod), ("max", np.max), ("min", np.min), ("mean", np.mean)]:
        program(op, f"r[b, i] = {op}[o] y[b, o, i]", {"y": y}, f(y, 1))
    for op in ("argmax", "argmin"):
        program(op, f"r[b] = {op}[i] x[b, i]", {"x": x}, getattr(np, op)(x, 1).astype(np.int32), compare="exact")
    program("any_all", "r[b] = any[i] (x[b, i] > 1)\nq[b] = all[i] (x[b, i] > -1.5)", {"x": x},
            {"r": (x > 1).any(1), "q": (x > -1.5).all(1)}, compare="exact")
    program("softmax", "r[b, i] = softmax[i] x[b, i]", {"x": x}, scipy.special.softmax(x, 1))
    program("logsumexp", "r[b, o] = logsumexp[i] y[b, o, i]", {"y": y}, scipy.special.logsumexp(y, -1))
    labels = np.array([2, 0, 3], np.int32)
    program("row_of_a_table", "param w: [4, 5] = 0\nr[b, o] = take(w, y)[b, o] * 2", {"y": labels}, w[labels] * 2, state={"w": w})


def masks(x, s):
    i, j = np.arange(4)[:, None], np.arange(4)
    program("prefix_sums", "r[b, i] = sum[j where j <= i] x[b, j] + 0 * x[b, i]", {"x": x}, x.cumsum(1))
    below = np.where(j <= i, s, -np.inf)
    program("causal", "r[b, i, j] = softmax[j where j <= i] s[b, i, j]", {"s": s}, scipy.special.softmax(below, -1))
    strict = np.where((j < i)[None], np.exp(s), 0)
    total = strict.sum(-1, keepdims=True)
    program("empty_rows", "r[b, i, j] = softmax[j where j < i] s[b, i, j]", {"s": s}, strict / np.where(total == 0, 1, total))
    n = np.array([2, 4, 0], np.int32)
    kept = j < n[:, None]
    means = np.where(kept, x, 0).sum(1) / np.maximum(n, 1)
    program("lengths", "r[b] = mean[i where i < n[b]] x[b, i]", {"x": x, "n": n}, means)
    program("products", "r[b] = prod[i where x[b, i] > 0] x[b, i]", {"x": x}, np.prod(np.where(x > 0, x, 1), 1))
    program("largest", "r[b] = max[i where i != 1] x[b, i]", {"x": x}, x[:, [0, 2, 3]].max(1))
    most = np.where(j % 2 == 0, x, -np.inf).argmax(1).astype(np.int32)
    program("argmax_where", "r[b] = argmax[i where i - i // 2 * 2 == 0] x[b, i]", {"x": x}, most, compare="exact")
    lse = scipy.special.logsumexp(np.where(kept, x, -np.inf), axis=1)
    program("logsumexp_where", "r[b] = logsumexp[i where i < n[b]] x[b, i]", {"x": x, "n": n}, lse)
    band = np.where(np.abs(i - j) <= 1, s, 0).sum(-1)
    program("band", "r[b, i] = sum[j where j <= i + 1 and j >= i - 1] s[b, i, j]", {"s": s}, band)
    program("choice_by_position", "r[b, i] = x[b, i] if i > 1 else -x[b, i]", {"x": x}, np.where(j > 1, x, -x))


def broadcasting(x, y):
    w = some(4)
    program("rows", "param w: [4] = 0\nr = x * w - w / (x + 3)", {"x": x}, x * w - w / (x + 3), state={"w": w})
    program("columns", "r = x - mean(x, over=1, keep=true)", {"x": x}, x - x.mean(1, keepdims=True))
    program("small_first", "r = maximum(mean(x, over=-1, keep=true), x)", {"x": x}, np.maximum(x.mean(-1, keepdims=True), x))
    program("chosen", "r = x if x > 0 else min(x, over=1, keep=true)", {"x": x}, np.where(x > 0, x, x.min(1, keepdims=True)))
    program("scalar", "r = sum(y) - y", {"y": y}, y.sum() - y)
    program("middle", "r = y + mean(y, over=1, keep=true)", {"y": y}, y + y.mean(1, keepdims=True))


def slices_and_shapes(x, y):
    program("slice", "r = x[:, 1:4]", {"x": x}, x[:, 1:4])
    program("from_the_end", "r = x[:, -3:] + x[:, :3]", {"x": x}, x[:, -3:] + x[:, :3])
    program("index", "r = y[:, 1, 2]", {"y": y}, y[:, 1, 2])
    program("ellipsis_index", "r = y[..., -1]", {"y": y}, y[..., -1])
    program("kept_axis", "r = y[:, :, 2:3] * y", {"y": y}, y[:, :, 2:3] * y)
    program("reshape", "r = reshape(y, [B, 3, -1])", {"y": y}, y.reshape(3, 3, 4))
    program("transpose", "r = transpose(y, [0, 2, 1])", {"y": y}, y.transpose(0, 2, 1))
    program("all_reversed", "r = transpose(y)", {"y": y}, y.transpose())
    program("split", "a, b, c = split(x, 3)\nr = a * b - c", {"x": x}, x[:, :2] * x[:, 2:4] - x[:, 4:])
    program("split_over", "a, b = split(y, 2, over=1)\nr = concat(b, a, over=1)", {"y": y}, y[:, ::-1])
    program("unstack", "a, b = unstack(y, over=1)\nr = a - 2 * b", {"y": y}, y[:, 0] - 2 * y[:, 1])
    program("concat", "r = concat(x, x[:, 0:2], -x)", {"x": x}, np.concatenate([x, x[:, :2], -x], 1))
    program("squeeze", "r = squeeze(y[:, 0:1], over=1)", {"y": y}, y[:, 0])
    labels = np.array([1, 0, 5], np.int32)
    program("pick", "r = pick(x, y)", {"x": x, "y": labels}, x[np.arange(3), labels])
    program("one_hot", "r = one_hot(y, 6) * x", {"x": x, "y": labels}, np.eye(6)[labels] * x)
    program("arange", "r = x + arange(6)", {"x": x}, x + np.arange(6))
    program("filled", "r = x * zeros([6]) + 3 * ones([B, 6])", {"x": x}, np.full((3, 6), 3.0))


def reductions(x, y):
    for op in ("sum", "mean", "max", "min", "prod"):
        f = getattr(np, op)
        program(op, f"r = {op}(y, over=1)\nq = {op}(y, over=[1, 2])\ns = {op}(y)\nt = {op}(y, over=-1, keep=true)", {"y": y},
                {"r": f(y, 1), "q": f(y, (1, 2)), "s": f(y), "t": f(y, -1, keepdims=True)})
        program(op, f"r = {op}(y, over=0)", {"y": y}, f(y, 0))
    program("over_the_batch_and_more", "r = sum(y, over=[0, 2])", {"y": y}, y.sum((0, 2)))
    program("argmax", "r = argmax(y)\nq = argmin(y, over=1)", {"y": y},
            {"r": y.argmax(-1).astype(np.int32), "q": y.argmin(1).astype(np.int32)}, compare="exact")
    ties = np.array([[1.0, 3, 3, 2], [0, 0, 0, 0], [5, 1, 5, 5]])
    program("first_of_equals", "r = argmax(x)", {"x": ties}, ties.argmax(1).astype(np.int32), compare="exact")
    program("count", "r = sum(x) / count(x)", {"x": x}, x.mean())
    program("share", "r = mean(x > 0, over=1)\nq = sum(x > 0, over=1)", {"x": x},
            {"r": (x > 0).mean(1), "q": (x > 0).sum(1).astype(np.int64)}, compare="near 1e-15 0")
    program("any", "r = any(x > 1.5, over=1)\nq = all(x > -2)", {"x": x}, {"r": (x > 1.5).any(1), "q": (x > -2).all()}, compare="exact")


def names_and_control(x):
    y = x
    for i in range(3):
        y = np.tanh(y * (i + 1)) + x
    program("repeat", "y = x\nrepeat i in 3 { y = tanh(y * (i + 1)) + x }\nr = y", {"x": x}, y)
    program("repeat_updates", "a = x\nn = 1\nrepeat 4 { n *= 2; a += n }\nr = a * n", {"x": x}, (x + 30) * 16)
    program("if_by_constant", "const deep = 3\nif deep > 2 { h = x * 2 } else { h = x @ x }\nr = h", {"x": x}, x * 2)
    program("else_if", "h = x\nif false { h = x * 2 } else if 2 > 1 { h = x * 3 } else { h = x * 4 }\nr = h", {"x": x}, x * 3)
    program("chosen_by_element", "r = 1 if x > 1 else x if x > 0 else -1", {"x": x}, np.where(x > 1, 1, np.where(x > 0, x, -1)))
    program("logic", "r = x if x > -1 and x < 1 or not x < 1.5 else 0", {"x": x}, np.where((x > -1) & (x < 1) | ~(x < 1.5), x, 0))
    program("function", "r = f(x, k=3) + f(x)", {"x": x}, x * x + 3 + x * x + 1, before="fn f(x, k=1) = x * x + k\n")
    program("function_body", "r = f(x)", {"x": x}, np.exp(-x) + x, before="fn f(x) {\n y = exp(-x)\n return y + x\n}\n")
    program("function_as_value", "r = twice(x, tanh)", {"x": x}, np.tanh(np.tanh(x)), before="fn twice(x, f) = f(f(x))\n")
    program("tuples", "a, b = f(x)\na, b = b, a\nr = a - 2 * b", {"x": x}, x * 2 - 2 * (x + 1), before="fn f(x) = (x + 1, x * 2)\n")
    program("pipe", "r = x + 1 |> f(2) |> tanh", {"x": x}, np.tanh((x + 1) * 2), before="fn f(x, k) = x * k\n")
    program("ascription", "h: [B, 4] = x * 2\nr = h", {"x": x}, x * 2)
    program("layer_with_dims", "r = Twice{}(x)", {"x": x}, np.concatenate([x, x * 4], -1),
            before="layer Twice{}(x: [..., d]) -> y: [..., 2 * d] { y = concat(x, x * d) }\n")
    program("power", "r = x ** 2 - x ** 3 + 2 ** x + (x * x) ** 0.5", {"x": x}, x**2 - x**3 + 2**x + np.abs(x), compare="near 1e-13 1e-13")
    program("precedence", "r = -x ** 2 * 3 - 4 / 2 / x + 2 * -x", {"x": x}, -(x**2) * 3 - 4 / 2 / x + 2 * -x)
    program("constants", "const a = 7 // 2, b = 2 ** 3, c = 1 / 4, d = -7 // 2, e = 3 - 5\nr = x * c + a * 1000 + b * 100 + d * 10 + e", {"x": x},
            x * 0.25 + 3000 + 800 - 40 - 2)
    program("dimensions", "r = x * B + shape(x)[1] - rank(x)", {"x": x}, x * 3 + 4 - 2)
    y = np.zeros((3,))
    steps = []
    for t in range(4):
        y = np.tanh(y + x[:, t])
        steps.append(y)
    program("scan", "h = zeros([B])\nscan t in 4 { h = tanh(h + x[:, t]); y[:, t] = h }\nr = y", {"x": x}, np.stack(steps, 1))
    program("scan_rebinds", "h = x[:, 0]\nc = x[:, 0]\nscan t in 4 { h = x[:, t]; c = c + h * h }\nr = c + h", {"x": x}, x[:, 0] + (x**2).sum(1) + x[:, 3])
    program("scan_number", "c = x[:, 0]\nscan t in 4 { c = c + t * x[:, t] }\nr = c", {"x": x}, x[:, 0] + (x * np.arange(4)).sum(1))
    program("stop_gradient", "r = stop_gradient(x) * 2", {"x": x}, x * 2)


def states(x):
    """What is stored is the last binding; a number or a scalar fills the state."""
    for last, want in [("3", np.full(4, 3.0)), ("sum(x)", np.full(4, x.sum())), ("v * 2 + x[0]", x[0] + 1.0)]:
        text = (f"model t(x: f64[B, 4]) -> (r: [...]) {{\n  state v: [4] = 0\n  param w: [] = 0\n  r = (x + v) * w\n  v = {last}\n}}\n"
                + TRAIN.format(fields=f"x = {columns('x', x)}", loss="mean(r)", more="", optimizer="gradient{}", lr=1))
        sample("train", "state", text, {"x": x, "v": np.full(4, 0.5)}, {"v": want, "w": (x + 0.5).mean()}, "near 1e-14 1e-15")


def integers():
    a, b = np.array([-7, -1, 0, 5, 2**31 - 1, -(2**31)], np.int32), np.array([3, -4, 2, -3, 10, 7], np.int32)
    both = {"a": a, "b": b}
    wide = a.astype(np.int64), b.astype(np.int64)
    for name, text, want in [
        ("add", "a // 2 + b", a // 2 + b),
        ("multiply", "b * b - b", b * b - b),
        ("floor_divide", "a // b", a // b),
        ("divide", "a / b", a / b),
        ("to_float", "a * 0.5", a * 0.5),
        ("to_i64", "i64(a) * b", wide[0] * wide[1]),
        ("compare", "a < b", a < b),
        ("compare_mixed", "i64(a) > b", a > b),
        ("maximum", "maximum(a, b)", np.maximum(a, b)),
        ("choice", "a if a > b else b + 1", np.where(a > b, a, b + 1)),
        ("absolute", "abs(b)", np.abs(b)),
        ("beyond_i32", "a + 3000000000", wide[0] + 3000000000),
        ("whole_sum", "sum(a)", np.int64(a.astype(np.int64).sum())),
        ("mean_of_integers", "mean(b)", b.mean()),
    ]:
        program(name, text, both, want, compare="exact")
    u = np.array([0, 1, 128, 255], np.uint8)
    f = np.array([-1.5, -0.5, 0.5, 1.5, 2.5, -3.7, 1e10, -1e10, np.nan])
    program("u8", "r = f64(u) / 255\nq = u + 300\np = u > 127", {"u": u}, {"r": u / 255, "q": u.astype(np.int32) + 300, "p": u > 127}, compare="exact")
    clipped = np.nan_to_num(np.clip(np.trunc(f), -(2**31), 2**31 - 1)).astype(np.int32)
    program("casts", "r = i32(f)\nq = bool(f)", {"f": f}, {"r": clipped, "q": f != 0}, compare="exact")
    program("rounding", "r = floor(f)\nq = ceil(f)\np = round(f)\ns = sign(f)", {"f": f},
            {"r": np.floor(f), "q": np.ceil(f), "p": np.rint(f), "s": np.sign(f)}, compare="near 0 0")


def elementwise(x):
    up = np.abs(x) + 0.1
    table = {"exp": np.exp, "expm1": np.expm1, "sin": np.sin, "cos": np.cos, "tanh": np.tanh, "sigmoid": scipy.special.expit,
             "erf": scipy.special.erf, "abs": np.abs, "atan": np.arctan}
    for name, f in table.items():
        program(name, f"r = {name}(x)", {"x": x}, f(x), compare="near 1e-14 1e-15")
    for name, f in {"log": np.log, "ln": np.log, "log1p": np.log1p, "sqrt": np.sqrt, "rsqrt": lambda a: 1 / np.sqrt(a)}.items():
        program(name, f"r = {name}(x)", {"x": up}, f(up), compare="near 1e-14 1e-15")
    program("constant_folding", "r = x * sqrt(2) + exp(1) - log(3) + sin(1) * tanh(0.5)", {"x": x},
            x * np.sqrt(2) + np.exp(1) - np.log(3) + np.sin(1) * np.tanh(0.5))


def orders(x, y):
    x[:, 4] = x[:, 1]  # equals
    program("sort", "r = sort(x)", {"x": x}, np.sort(x, 1), compare="exact")
    program("sort_along", "r = sort(y, over=1)\nn = argsort(y, over=1)", {"y": y},
            {"r": np.sort(y, 1), "n": np.argsort(y, 1, kind="stable").astype(np.int32)}, compare="exact")
    program("sort_batch", "r = sort(y, over=0, descending=true)", {"y": y}, -np.sort(-y, 0), compare="exact")
    falling = np.argsort(-x, 1, kind="stable").astype(np.int32)
    program("argsort_descending", "r = argsort(x, descending=true)", {"x": x}, falling, compare="exact")
    program("top_k", "v, n = top_k(x, 3)", {"x": x}, {"v": -np.sort(-x, 1)[:, :3], "n": falling[:, :3]}, compare="exact")
    program("sort_of_truth", "r = argsort(x > 0)", {"x": x}, np.argsort(x > 0, 1, kind="stable").astype(np.int32), compare="exact")
