"""Losses beside the plain ones: the formulas of PyTorch's reference pages in JAX, values and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
import scipy.stats

from model_text import TRAIN, columns, sample, some, trained, value


def cross_entropy(z, y, weight=None, smoothing=0.0, ignore=None):
    """A sum over the labels that count, one by one."""
    n, loss, of = z.shape[-1], 0.0, 0.0
    w = np.ones(n) if weight is None else np.asarray(weight)
    z, y = z.reshape(-1, n), np.asarray(y).reshape(-1)
    for row, label in zip(z, y):
        if label == ignore:
            continue
        log_p = jax.nn.log_softmax(row)
        target = smoothing / n * np.ones(n) + (1 - smoothing) * np.eye(n)[label]
        loss, of = loss - jnp.sum(w * target * log_p), of + w[label]
    return loss / of if np.any(y != ignore) else jnp.sum(z) * 0


def labels():
    x, a = some(6, 3, low=-4, high=4), some(3, low=0.5)
    y, three = np.array([0, 2, 1, 1, 2, 0], np.int32), np.array([0, -100, 1, 1, -100, 2], np.int32)
    weights = "blocks(1, 2.5, 0.25, shape=[3])"
    for text, label, options in [
        ("smoothing=0.1", y, {"smoothing": 0.1}),
        ("ignore=-100", three, {"ignore": -100}),
        ("ignore=1", y, {"ignore": 1}),
        (f"weight={weights}", y, {"weight": [1, 2.5, 0.25]}),
        (f"weight={weights}, smoothing=0.3, ignore=-100", three, {"weight": [1, 2.5, 0.25], "smoothing": 0.3, "ignore": -100}),
        ("smoothing=0.2, ignore=7", np.full(6, 7, np.int32), {"smoothing": 0.2, "ignore": 7}),
    ]:
        f = lambda z, c: cross_entropy(z, c, **options)
        value("cross_entropy", f"cross_entropy(x, y, {text})", {"x": x, "y": label}, np.asarray(f(x, label)))
        trained("cross_entropy", "r = x * a", {"x": x}, {"a": a}, f"cross_entropy(r, y, {text})",
                lambda p, d: f(d["x"] * p["a"], label), {"y": label})
    cube, places = some(3, 2, 4), np.array([[0, 3], [9, 2], [1, 9]], np.int32)
    value("cross_entropy", "cross_entropy(x, y, 0.1, ignore=9)", {"x": cube, "y": places},
          np.asarray(cross_entropy(cube, places, smoothing=0.1, ignore=9)))


def perplexities():
    x, a, y = some(5, 3, low=-2, high=2), some(3, low=0.5), np.array([0, 2, 1, 1, -1], np.int32)
    f = lambda z: jnp.exp(cross_entropy(z, y, ignore=-1))
    value("perplexity", "perplexity(x, y, ignore=-1)", {"x": x, "y": y}, np.asarray(f(x)))
    trained("perplexity", "r = x * a", {"x": x}, {"a": a}, "perplexity(r, y, ignore=-1)", lambda p, d: f(d["x"] * p["a"]), {"y": y})


def kl_div(q, p):
    return jnp.mean(jnp.sum(jnp.where(p > 0, p * (jnp.log(jnp.where(p > 0, p, 1)) - q), 0), -1))


def cosine(x, y):
    return jnp.sum(x * y, -1) / (jnp.linalg.norm(x, axis=-1) * jnp.linalg.norm(y, axis=-1))


def paired(x1, x2, y, margin=0.0):
    return jnp.mean(jnp.where(y == 1, 1 - cosine(x1, x2), jnp.maximum(0, cosine(x1, x2) - margin)))


def triplet(a, p, n, margin=1.0):
    near, far = [jnp.sqrt(jnp.sum((a - b + 1e-6) ** 2, -1)) for b in (p, n)]
    return jnp.mean(jnp.maximum(near - far + margin, 0))


def focal(z, y, alpha=0.25, gamma=2.0):
    p = jax.nn.sigmoid(z)
    right = p * y + (1 - p) * (1 - y)
    return jnp.mean((alpha * y + (1 - alpha) * (1 - y)) * (1 - right) ** gamma * -jnp.log(right))


def gaussian(x, y, v, eps=1e-6):
    v = jnp.maximum(v, eps)
    return 0.5 * jnp.mean(jnp.log(v) + (x - y) ** 2 / v)


def pinball(x, y, q=0.5):
    return jnp.mean(jnp.maximum(q * (y - x), (q - 1) * (y - x)))


def numbers():
    x, y, a = some(5, 3), some(5, 3), some(3, low=0.5)
    bits, counts = np.array([[0, 1, 1], [1, 0, 1]] * 2 + [[0, 0, 1]], np.float64), np.round(np.abs(3 * some(5, 3)))
    shares = scipy.special.softmax(some(5, 3), -1)
    shares[1] = [0, 0.25, 0.75]
    side, third, v = np.array([1.0, -1, 1, -1, -1]), some(5, 3), np.abs(some(5, 3)) + 0.1
    table = [
        ("kl_div", "kl_div({}, y)", kl_div, {"y": shares}),
        ("kl_normal", "kl_normal({}, y)", lambda m, s: jnp.mean(0.5 * jnp.sum(m**2 + jnp.exp(s) - s - 1, -1)), {"y": y}),
        ("cosine_embedding", "cosine_embedding({}, y, s)", paired, {"y": y, "s": side}),
        ("cosine_embedding", "cosine_embedding({}, y, s, 0.2)", lambda *p: paired(*p, 0.2), {"y": y, "s": side}),
        ("triplet_margin", "triplet_margin({}, y, n)", triplet, {"y": y, "n": third}),
        ("triplet_margin", "triplet_margin({}, y, n, margin=0.2)", lambda *p: triplet(*p, 0.2), {"y": y, "n": third}),
        ("focal", "focal({}, y)", focal, {"y": bits}),
        ("focal", "focal({}, y, alpha=0.6, gamma=1.5)", lambda *p: focal(*p, 0.6, 1.5), {"y": bits}),
        ("poisson_nll", "poisson_nll({}, y)", lambda z, c: jnp.mean(jnp.exp(z) - c * z), {"y": counts}),
        ("gaussian_nll", "gaussian_nll({}, y, v)", gaussian, {"y": y, "v": v}),
        ("pinball", "pinball({}, y)", pinball, {"y": y}),
        ("pinball", "pinball({}, y, q=0.9)", lambda *p: pinball(*p, 0.9), {"y": y}),
    ]
    for name, text, f, data in table:
        value(name, text.format("x"), {"x": x, **data}, np.asarray(f(x, *data.values())))
        trained(name, "r = x * a", {"x": x}, {"a": a}, text.format("r"), lambda p, d: f(d["x"] * p["a"], *data.values()), data)
    rates = np.abs(x) + 0.1
    trained("poisson_nll", "r = x * a", {"x": rates}, {"a": a}, "poisson_nll(r, y, log_input=false)",
            lambda p, d: jnp.mean(d["x"] * p["a"] - d["y"] * jnp.log(d["x"] * p["a"] + 1e-8)), {"y": counts})
    trained("gaussian_nll", "r = x * a", {"x": v}, {"a": a}, "gaussian_nll(y, 0.5, r)",
            lambda p, d: gaussian(d["y"], 0.5, d["x"] * p["a"]), {"y": y})
    outside_of_jax(x, y, shares, v)
    directions(x, y, a)
    over_a_split()


def outside_of_jax(x, y, shares, v):
    """Constants that losses leave out are put back, then SciPy says the same."""
    q = scipy.special.softmax(x, -1)
    value("kl_div", "kl_div(log_softmax(x), y)", {"x": x, "y": shares}, scipy.special.rel_entr(shares, q).sum(-1).mean())
    want = -scipy.stats.norm(x, np.sqrt(v)).logpdf(y).mean() - 0.5 * np.log(2 * np.pi)
    value("gaussian_nll", "gaussian_nll(x, y, v)", {"x": x, "y": y, "v": v}, want)
    counts = np.round(np.abs(3 * y))
    want = (-scipy.stats.poisson(np.exp(x)).logpmf(counts) - scipy.special.gammaln(counts + 1)).mean()
    value("poisson_nll", "poisson_nll(x, y)", {"x": x, "y": counts}, want)
    value("pinball", "pinball(x, y, 0.3)", {"x": x, "y": y}, np.where(y >= x, 0.3 * (y - x), 0.7 * (x - y)).mean())
    far = np.array([[1000.0, -1000.0, 0.0]])
    value("focal", "focal(x, y)", {"x": far, "y": np.array([[1.0, 1, 0]])}, np.array([0, 250, 0.75 * 0.25 * np.log(2)]).mean())


def directions(x, y, a):
    value("cosine_similarity", "cosine_similarity(x, y)", {"x": x, "y": y}, cosine(x, y))
    value("cosine_similarity", "cosine_similarity(x, y, over=0)", {"x": x, "y": y}, cosine(x.T, y.T))
    trained("cosine_similarity", "r = x * a", {"x": x}, {"a": a}, "sum(cosine_similarity(r, y))",
            lambda p, d: jnp.sum(cosine(d["x"] * p["a"], d["y"])), {"y": y})
    none = np.zeros((2, 3))  # a vector without direction: 0, and a gradient that is finite
    trained("cosine_similarity", "r = x * a", {"x": none}, {"a": a}, "sum(cosine_similarity(r, y))",
            lambda p, d: 0 * jnp.sum(p["a"]), {"y": y[:2]})


def over_a_split():
    """As metrics, exact over a split in batches: means by weight are no means of means."""
    x, c = some(11, 3), np.arange(11, dtype=np.int32) % 4 - 1
    fields = f'x = {columns("a", x)}, c = column("c", i32)'
    metric = "cross_entropy(r, c, 0.1, ignore=-1, weight=blocks(1, 2.5, 0.25, shape=[3]))"
    text = ("model t(x: f64[B, 3]) -> (r: [B, 3]) {\nr = x\n}\n" + TRAIN.format(
        fields=fields, loss="mean(r) + 0 * mean(c)", more=f"metric m = {metric}\n ", optimizer="gradient{}", lr=1))
    want = cross_entropy(x, c, [1, 2.5, 0.25], 0.1, -1)
    sample("metrics", "cross_entropy", text, {"x": x, "c": c}, {"loss": x.mean(), "m": np.asarray(want)}, "near 1e-12 1e-14")


def further_losses():
    labels()
    numbers()
