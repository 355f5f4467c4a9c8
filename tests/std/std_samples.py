"""Every function and layer of the standard library: values and gradients."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
import scipy.stats

from model_text import TRAIN, both, columns, sample, some, trained, value

INF = np.inf


def activations():
    x = np.concatenate([some(2, 4, low=-4, high=4), [[-30.0, 30.0, 0.25, -0.75]]])
    wild = np.array([[-INF, INF, np.nan, 0.0, -800.0, 800.0]])
    table = [
        ("relu", "relu({})", jax.nn.relu),
        ("leaky_relu", "leaky_relu({})", jax.nn.leaky_relu),
        ("leaky_relu", "leaky_relu({}, 0.2)", lambda a: jax.nn.leaky_relu(a, 0.2)),
        ("clamp", "clamp({}, -1, 1.5)", lambda a: jnp.clip(a, -1, 1.5)),
        ("gelu", "gelu({})", lambda a: jax.nn.gelu(a, approximate=False)),
        ("gelu_tanh", "gelu_tanh({})", lambda a: jax.nn.gelu(a, approximate=True)),
        ("silu", "silu({})", jax.nn.silu),
        ("softplus", "softplus({})", jax.nn.softplus),
        ("flatten", "flatten(reshape({}, [2, 3, 2]))", lambda a: a.reshape(2, 6)),
    ]
    for name, text, f in table:
        if name != "flatten":
            value(name, text.format("x"), {"x": x}, f(x))
        both(name, text.format("a"), f, x)
    for name in ("relu", "leaky_relu", "softplus"):
        f = getattr(jax.nn, name)
        value(name, f"{name}(x)", {"x": wild}, f(wild))
    value("clamp", "clamp(x, -1, 1)", {"x": wild}, np.clip(wild, -1, 1))
    value("gelu", "gelu(x)", {"x": x}, x * scipy.stats.norm.cdf(x), compare="near 1e-12 1e-16")
    both("clamp", "clamp(a, -1, 1)", lambda a: jnp.where((a < -1) | (a > 1), jnp.sign(a), a), np.array([-1.0, 1, 2, -3]))
    y = some(3, 2, 2, 2)
    value("flatten", "flatten(x)", {"x": y}, y.reshape(3, 8))


def along_axes():
    x = np.concatenate([some(2, 4, low=-9, high=9), [[700.0, 710.0, -700.0, 0.0]]])
    edge = np.array([[-INF, -INF, -INF], [1.0, -INF, 2.0], [-1e300, 1e300, 0.0]])
    for axis in (-1, 0):
        over = "" if axis == -1 else ", over=0"
        table = [
            ("softmax", lambda a: jax.nn.softmax(a, axis)),
            ("log_softmax", lambda a: jax.nn.log_softmax(a, axis)),
            ("logsumexp", lambda a: jax.nn.logsumexp(a, axis)),
        ]
        for name, f in table:
            both(name, f"{name}(a{over})", f, x)
            value(name, f"{name}(x{over})", {"x": x}, f(x))
        top = x.max(axis, keepdims=True)
        both("finite_max", f"a * finite_max(a{over})", lambda a: a * jax.lax.stop_gradient(a.max(axis, keepdims=True)), x)
        value("finite_max", f"finite_max(x{over})", {"x": x}, top)
    value("softmax", "softmax(x)", {"x": x}, scipy.special.softmax(x, -1))
    value("logsumexp", "logsumexp(x)", {"x": edge}, np.array([-INF, np.logaddexp(1, 2), 1e300]))
    value("softmax", "softmax(x)", {"x": edge}, np.stack([[0.0] * 3, scipy.special.softmax(edge[1]), [0.0, 1, 0]]))
    value("log_softmax", "log_softmax(x)", {"x": edge[1:]}, scipy.special.log_softmax(edge[1:], -1))
    value("finite_max", "finite_max(x)", {"x": np.array([[-INF, -INF], [INF, 1.0], [3.0, 2.0]])}, np.array([[0.0], [0], [3]]))


def layers():
    x, w, b, k = some(3, 4), some(4, 5), some(5), some(3, 5)
    paths = {"w": "dense.weight", "b": "dense.bias"}
    state = {"dense.weight": w, "dense.bias": b}
    value("Dense", "x |> Dense{5}", {"x": x}, x @ w + b, state)
    value("Dense", "x |> Dense{5, bias=false}", {"x": x}, x @ w, {"dense.weight": w})
    cube = some(2, 3, 4)
    value("Dense", "x |> Dense{5}", {"x": cube}, cube @ w + b, state)
    trained("Dense", "r = x |> Dense{5}", {"x": x}, {"w": w, "b": b}, "sum(r * k)",
            lambda p, d: jnp.sum((d["x"] @ p["w"] + p["b"]) * d["k"]), {"k": k}, paths=paths)
    trained("Dense", "r = sum((a |> Dense{5}) * k) + 0 * x[0, 0]", {"x": x}, {"a": cube, "k": some(2, 3, 5), "w": w, "b": b},
            "r + 0 * mean(x)", lambda p, d: jnp.sum((p["a"] @ p["w"] + p["b"]) * p["k"]), paths=paths)
    norm_layers(x)
    table, rows = some(6, 3), np.array([[0, 5], [2, 2], [5, 1]], np.int32)
    value("Embed", "x |> Embed{6, 3}", {"x": rows}, table[rows], {"embed.weight": table})
    trained("Embed", "r = x |> Embed{6, 3} |> flatten", {"x": rows}, {"w": table}, "sum(r * r * k)",
            lambda p, d: jnp.sum(p["w"][d["x"]].reshape(3, 6) ** 2 * d["k"]), {"k": some(3, 6)}, paths={"w": "embed.weight"})
    trained("Embed", "r = x |> Embed{6, 3} |> Dense{4, bias=false} |> tanh |> flatten", {"x": rows}, {"w": table, "u": some(3, 4)},
            "sum(r * k)", lambda p, d: jnp.sum(jnp.tanh(p["w"][d["x"]] @ p["u"]).reshape(3, 8) * d["k"]), {"k": some(3, 8)},
            paths={"w": "embed.weight", "u": "dense.weight"})


def norm_layers(x):
    def norm(a, w, b, eps=1e-5):
        return (a - a.mean(-1, keepdims=True)) / jnp.sqrt(a.var(-1, keepdims=True) + eps) * w + b

    w, b = some(4), some(4)
    paths = {"w": "layer_norm.weight", "b": "layer_norm.bias"}
    state = {"layer_norm.weight": w, "layer_norm.bias": b}
    value("LayerNorm", "x |> LayerNorm{}", {"x": x + 100}, norm(x + 100, w, b), state, "near 1e-11 1e-13")
    value("LayerNorm", "x |> LayerNorm{eps=0.1}", {"x": x}, norm(x, w, b, 0.1), state)
    trained("LayerNorm", "r = sum(LayerNorm{}(a) * k) + 0 * z[0]", {"z": np.zeros(2)},
            {"a": some(2, 3, 4), "k": some(2, 3, 4), "w": w, "b": b}, "r + 0 * mean(z)",
            lambda p, _: jnp.sum(norm(p["a"], p["w"], p["b"]) * p["k"]), paths=paths)
    rows = some(7, 3, low=-1) * np.array([1, 100, 1e-3]) + np.array([0, 1e3, 5])
    mu, sd = rows.mean(0), rows.std(0)
    text = ("model t(x: f64[B, 3]) -> (r: [...]) {\nr = x |> Standardize{}\n}\n"
            + TRAIN.format(fields='x = columns("a")', loss="sum(r)", more="", optimizer="gradient{}", lr=1))
    sample("fit", "Standardize", text, {"x": rows},
           {"standardize.mu": mu, "standardize.sd": sd, "r": (rows - mu) / (sd + 1e-8)}, "near 1e-12 1e-13")
    still = np.stack([rows[:, 0], np.full(7, 0.1), np.zeros(7), np.full(7, -1e6 / 3)], -1)  # as StandardScaler does it
    sample("fit", "Standardize", text.replace("[B, 3]", "[B, 4]"), {"x": still},
           {"standardize.mu": still.mean(0), "r": np.stack([(rows[:, 0] - mu[0]) / (sd[0] + 1e-8), *np.zeros((3, 7))], -1)}, "near 1e-12 1e-9")
    value("Standardize", "x |> Standardize{}", {"x": still + 2}, np.stack([(rows[:, 0] + 2 - mu[0]) / (sd[0] + 1e-8), *np.full((3, 7), 2.0)], -1),
          {"standardize.mu": still.mean(0), "standardize.sd": np.array([sd[0], 1e-12, 0, 3e-5])}, "near 1e-9 0")
    state = {"standardize.mu": mu, "standardize.sd": sd}
    value("Standardize", "x |> Standardize{eps=0.5}", {"x": rows}, (rows - mu) / (sd + 0.5), state)
    trained("Standardize", "r = (x |> Standardize{}) * a", {"x": rows}, {"a": some(3)}, "mean(r)",
            lambda p, d: jnp.mean((d["x"] - mu) / (sd + 1e-8) * p["a"]), held=state)


def huber(e, delta):
    return jnp.where(jnp.abs(e) <= delta, 0.5 * e * e, delta * (jnp.abs(e) - 0.5 * delta))


def cross_entropy(z, y):
    return jnp.mean(jax.nn.logsumexp(z, -1) - jnp.take_along_axis(z, y[..., None], -1)[..., 0])


def binary(z, y):
    return jnp.mean(-y * jax.nn.log_sigmoid(z) - (1 - y) * jax.nn.log_sigmoid(-z))


def r2(p, y):
    return 1 - jnp.sum((y - p) ** 2) / jnp.sum((y - y.mean()) ** 2)


def losses():
    x, y, a = some(5, 3), some(5, 3), some(3, low=0.5)
    classes, bits = np.array([0, 2, 1, 1, 2], np.int32), np.array([[0, 1, 1]] * 5, np.float64)
    table = [
        ("mse", "mse({}, y)", lambda p, y: jnp.mean((p - y) ** 2), y),
        ("l1", "l1({}, y)", lambda p, y: jnp.mean(jnp.abs(p - y)), y),
        ("huber", "huber({}, y)", lambda p, y: jnp.mean(huber(p - y, 1)), y),
        ("huber", "huber({}, y, delta=0.3)", lambda p, y: jnp.mean(huber(p - y, 0.3)), y),
        ("cross_entropy", "cross_entropy({}, y)", cross_entropy, classes),
        ("bce_with_logits", "bce_with_logits({}, y)", binary, bits),
        ("r2", "r2({}, y)", r2, y),
    ]
    for name, text, f, labels in table:
        if name != "r2":  # which is for metrics
            value(name, text.format("x"), {"x": x, "y": labels}, np.asarray(f(x, labels)))
        trained(name, "r = x * a", {"x": x}, {"a": a}, text.format("r"), lambda p, d: f(d["x"] * p["a"], d["y"]), {"y": labels})
    pixels = np.array([[0, 1], [2, 2], [1, 0]], np.int32)
    cube = some(3, 2, 3, low=-20, high=20)
    value("cross_entropy", "cross_entropy(x, y)", {"x": cube, "y": pixels}, np.asarray(cross_entropy(cube, pixels)))
    far = np.array([[1000.0, -1000.0, 0.0]] * 5)
    value("cross_entropy", "cross_entropy(x, y)", {"x": far, "y": classes}, np.asarray(cross_entropy(far, classes)))
    value("bce_with_logits", "bce_with_logits(x, y)", {"x": far, "y": bits}, np.asarray(binary(far, bits)))
    value("accuracy", "accuracy(x, y)", {"x": x, "y": classes}, np.mean(x.argmax(-1) == classes))
    value("accuracy", "accuracy(x, y)", {"x": classes[::-1].copy(), "y": classes}, np.mean(classes[::-1] == classes))
    metrics()


def metrics():
    """Over a whole split, in batches that do not divide it."""
    x, y, c = some(11, 3), some(11, 3), np.arange(11, dtype=np.int32) % 3
    bits = (y > 0).astype(np.float64)
    fields = f'x = {columns("a", x)}, y = {columns("b", y)}, c = column("c", i32)'
    table = [
        ("mse", "mse(r, y)", np.mean((x - y) ** 2)),
        ("l1", "l1(r, y)", np.mean(np.abs(x - y))),
        ("huber", "huber(r, y)", huber(x - y, 1).mean()),
        ("accuracy", "accuracy(r, c)", np.mean(x.argmax(-1) == c)),
        ("r2", "r2(r, y)", r2(x, y)),
        ("r2", "r2(r + 1000000, y + 1000000)", r2(x, y)),
        ("bce_with_logits", "bce_with_logits(r, f32(y > 0))", binary(x, bits)),
        ("cross_entropy", "cross_entropy(r, c)", cross_entropy(x, c)),
    ]
    for name, metric, want in table:
        text = ("model t(x: f64[B, 3]) -> (r: [B, 3]) {\nr = x\n}\n" + TRAIN.format(
            fields=fields, loss="mse(r, y) + 0 * mean(c)", more=f"metric m = {metric}\n ", optimizer="gradient{}", lr=1))
        sample("metrics", name, text, {"x": x, "y": y, "c": c},
               {"loss": np.mean((x - y) ** 2), "m": np.asarray(want, np.float64)}, "near 1e-9 1e-14" if "1000000" in metric else "near 1e-12 1e-14")


def schedules():
    steps = np.array([0.0, 1, 2, 4, 5, 6, 9, 10, 11, 37, 98, 99, 100, 140])

    def cosine(peak, low, s, total, warmup=0, n=0):
        n = n or total
        t = np.clip((s - warmup) / max(1, n - warmup), 0, 1)
        down = low + (peak - low) * (1 + np.cos(np.pi * t)) / 2
        return np.where(s < warmup, peak * (s + 1) / max(warmup, 1), down)

    table = [
        ("cosine", "cosine(0.3, 0.01, {})", cosine(0.3, 0.01, steps, 100)),
        ("cosine", "cosine(0.3, 0, {}, warmup=5)", cosine(0.3, 0, steps, 100, 5)),
        ("cosine", "cosine(0.3, 0.01, {}, warmup=10, steps=90)", cosine(0.3, 0.01, steps, 100, 10, 90)),
        ("step_decay", "step_decay(0.4, 0.5, 10, {})", 0.4 * 0.5 ** np.floor(steps / 10)),
        ("exponential", "exponential(0.4, 0.95, {})", 0.4 * 0.95**steps),
        ("linear", "linear(0.4, 10, {})", 0.4 * (1 / 3 + 2 / 3 * np.minimum(10, steps) / 10)),
        ("linear", "linear(0.4, 9, {}, start=1, end=0.1)", 0.4 * (1 - 0.9 * np.minimum(9, steps) / 9)),
        ("linear", "linear(cosine(0.3, 0, s, 100), 10, {})", cosine(0.3, 0, steps, 100) * (1 + np.minimum(10, steps) / 5) / 3),
        ("polynomial", "polynomial(0.4, {})", 0.4 * (1 - np.minimum(steps, 100) / 100)),
        ("polynomial", "polynomial(0.4, {}, power=1.7, low=0.05, steps=11)", 0.05 + 0.35 * (1 - np.minimum(steps, 11) / 11) ** 1.7),
    ]
    for name, text, want in table:
        value(name, text.format("s, 100"), {"s": steps}, want)
    cycles()
    for s in (0, 3, 4, 5, 60, 100):
        for name, text, want in [("cosine", "cosine(0.3, 0.01, warmup=5)", cosine(0.3, 0.01, float(s), 100, 5)),
                                 ("step_decay", "step_decay(0.4, 0.5, 7)", 0.4 * 0.5 ** (s // 7))]:
            rate_of_step(name, text, s, want)
    for s in (0, 29, 30, 99):
        rate_of_step("one_cycle", "one_cycle(0.3)", s, one_cycle(0.3, s, 100), "near 1e-12 0")
        rate_of_step("warm_restarts", "warm_restarts(0.3, 0.01, 10, times=2)", s, warm_restarts(0.3, 0.01, 10, 2, 100)[s],
                     "near 1e-12 0")


def rate_of_step(name, text, s, want, compare="near 1e-14 0"):
    """A schedule where it belongs, in a train block, which says step and total."""
    body = ("model t(x: f64[B]) -> (r: [B]) {\nparam w: [] = 0\nr = x * w\n}\n"
            + TRAIN.format(fields='x = column("x")', loss="mean(r)", more="", optimizer="rate{}", lr=text)
            + "\nlayer rate{}(p: [...], g: [...], lr, step) -> p { p = lr + 0 * p }")
    given = {"x": np.ones(2), "step": np.int64(s), "total": np.int64(100)}
    sample("train", name, body, given, {"w": np.float64(want)}, compare)


def warm_restarts(peak, low, first, times, last):
    """CosineAnnealingWarmRestarts as PyTorch steps it: a counter that begins again, and a length that grows."""
    rates, at, length = [], 0, first
    for _ in range(last + 1):
        rates.append(low + (peak - low) * (1 + math.cos(math.pi * at / length)) / 2)
        at += 1
        if at >= length:
            at, length = at - length, length * times
    return rates


def one_cycle(peak, s, n, up=0.3, start=25, end=1e4):
    """OneCycleLR with cos and two phases."""
    def between(a, b, t):
        return b + (a - b) / 2 * (1 + math.cos(math.pi * t))

    low, top = peak / start, up * n - 1
    return between(low, peak, s / top) if s <= top else between(peak, low / end, (s - top) / (n - 1 - top))


def cycles():
    for first, times in [(10, 1), (3, 1), (10, 2), (4, 3), (2, 5)]:  # log(125) / log(5) is above 3, log(243) / log(3) below 5
        rates = warm_restarts(0.3, 0.01, first, times, 500)
        near = {s + d for s in range(501) if rates[s] == 0.3 for d in (-1, 0, 1, first // 2)}
        s = np.array(sorted(near & set(range(501)))[:26] + [499, 500])
        value("warm_restarts", f"warm_restarts(0.3, 0.01, {first}, s, 100, times={times})", {"s": s.astype(float)},
              np.array(rates)[s], compare="near 1e-12 1e-15")
    few = np.array([0.0, 1, 7, 13, 14, 15, 16, 30, 45, 58, 59])
    table = [
        ("s, 60", few, 60, {}),
        ("s, 60, up=0.25, start=10, end=100", few, 60, {"up": 0.25, "start": 10, "end": 100}),
        ("s, 7, steps=50", np.array([0.0, 14, 15, 49, 50, 70]), 50, {}),
        ("s, 3", np.arange(0.0, 3), 3, {}),
    ]
    for text, s, n, more in table:
        want = np.array([one_cycle(0.4, min(i, n - 1), n, **more) for i in s])  # PyTorch's ends with the last step, ours stays there
        value("one_cycle", f"one_cycle(0.4, {text})", {"s": s}, want, compare="near 1e-12 1e-15")


def factored():
    """What adafactor keeps of a matrix, from the outer product of its means (Shazeer and Stern, 2018, algorithm 4)."""
    a, row, col = some(4, 3, low=0.1), some(4, low=0.1), some(3, low=0.1)
    r, c = 0.75 * row + 0.25 * a.mean(1), 0.75 * col + 0.25 * a.mean(0)
    value("factored", "param a: [4, 3] = 0\nr = factored{1e-3}(a, 0.75) + 0 * mean(x)", {"x": np.ones(2)}, np.outer(r, c) / r.mean(),
          {"a": a, "factored.row": row, "factored.col": col})


def initialisers():
    w = some(2, 3)
    model = "model t(x: f64[B]) -> (r: [...]) {{\nparam w: [{0}] = {1}\nparam v: [{0}] = {1}\nr = sum(w + v) + x\n}}"
    shape = "8, 12"
    sample("init", "constant", model.format(shape, "constant(0.3)"), {}, {"w": np.full((8, 12), 0.3)}, "exact")
    g, n = math.sqrt(6 / 20), scipy.stats.norm
    table = [
        ("uniform", "uniform(-0.5, 2)", scipy.stats.uniform(-0.5, 2.5)),
        ("normal", "normal(0.5)", n(0, 0.5)),
        ("normal", "normal(2, mean=3)", n(3, 2)),
        ("glorot", "glorot(fan_in=8, fan_out=12)", scipy.stats.uniform(-g, 2 * g)),
        ("he", "he(fan_in=8)", n(0, 0.5)),
        ("lecun_uniform", "lecun_uniform(fan_in=16)", scipy.stats.uniform(-0.25, 0.5)),
    ]
    for name, text, d in table:
        want = {"mean": d.mean(), "deviation": d.std(), "low": d.support()[0], "high": d.support()[1],
                "quantiles": d.ppf(np.arange(1, 64) / 64)}
        sample("draws", name, model.format(shape, text), {}, {k: np.float64(v) for k, v in want.items()}, "exact")
    for shape, gain in [("6, 4", 1), ("4, 6", 2), ("5, 5", 1), ("1, 3", 1), ("40, 30", 1)]:
        sample("orthogonal", "orthogonal", model.format(shape, f"orthogonal(gain={gain})"), {},
               {"gain": np.float64(gain)}, "near 1e-9 1e-9")


# By singular values: each step takes one, s, to 3.4445 s - 4.775 s^3 + 2.0315 s^5.
def orthogonalised():
    for shape, steps in [((4, 6), 5), ((6, 4), 5), ((3, 3), 2), ((5, 1), 5)]:
        g = some(*shape)
        u, s, v = np.linalg.svd(g, full_matrices=False)
        s = s / np.linalg.norm(s)
        for _ in range(steps):
            s = 3.4445 * s - 4.775 * s**3 + 2.0315 * s**5
        value("made_orthogonal", f"param a: [{shape[0]}, {shape[1]}] = 0\nr = made_orthogonal(a, {steps}) + 0 * mean(x)",
              {"x": np.ones(2)}, u * s @ v, {"a": g}, compare="near 1e-11 1e-12")
