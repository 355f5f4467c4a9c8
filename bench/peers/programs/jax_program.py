"""What the programs written in JAX share: layers as functions of dictionaries of arrays, optimisers, one jitted step."""
import dataclasses, math

import jax, jax.numpy as jnp, numpy as np
from jax import lax

tree_map = jax.tree_util.tree_map


@dataclasses.dataclass
class Program:
    """`loss(params, batch, key, aux)` gives a number and the next `aux` (running means, carried states); `load(data, rows,
    key)` a batch, within the jitted step, from data that stays on the device. `update` is Adam's or SGD's."""

    params: dict
    data: tuple
    load: object
    loss: object
    update: object
    aux: object = ()
    clip: float = 0
    share: object = None  # of the rate, for each parameter; 0 trains nothing
    scanned: bool = False  # a whole epoch in one call, which small steps gain by
    step: object = None  # instead of one update
    order: object = None

    def parameters(self):
        return sum(p.size for p in jax.tree_util.tree_leaves(self.params))


rng = np.random.default_rng(1)
he = lambda *shape: jnp.asarray(rng.normal(size=shape) * math.sqrt(2 / math.prod(shape[:-1])), jnp.float32)


def glorot(*shape):
    window = math.prod(shape[:-2])
    limit = math.sqrt(6 / (window * (shape[-2] + shape[-1])))
    return jnp.asarray(rng.uniform(-limit, limit, shape), jnp.float32)


zeros = lambda *shape: jnp.zeros(shape, jnp.float32)
layer = lambda first, *shape: {"w": first(*shape), "b": zeros(shape[-1])}
dense = lambda p, x: x @ p["w"] + p["b"]


def conv(p, x, stride=1, padding="VALID"):
    y = lax.conv_general_dilated(x, p["w"], (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return y + p["b"] if "b" in p else y


def pool(x):
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def batch_norm(p, x, running):
    axes = tuple(range(x.ndim - 1))
    mu = x.mean(axes)
    var = jnp.mean((x - mu) ** 2, axes)
    n = x.size // x.shape[-1]
    kept = {"mu": 0.9 * running["mu"] + 0.1 * mu, "var": 0.9 * running["var"] + 0.1 * var * n / (n - 1)}
    return (x - mu) * (p["w"] * lax.rsqrt(var + 1e-5)) + p["b"], kept


norm = lambda n: {"w": zeros(n) + 1, "b": zeros(n)}
running = lambda n: {"mu": zeros(n), "var": zeros(n) + 1}


def dropout(x, key, p):
    return jnp.where(jax.random.bernoulli(key, 1 - p, x.shape), x / (1 - p), 0)


def cross_entropy(logits, y, smoothing=0):
    log_p = jax.nn.log_softmax(logits)
    picked = jnp.take_along_axis(log_p, y[..., None], -1).mean()
    return -(1 - smoothing) * picked - (smoothing * log_p.mean() if smoothing else 0)


def sgd(decay):
    def update(p, s, g, rate, step):
        m = tree_map(lambda m, g, p: 0.9 * m + g + decay * p, s, g, p)
        return tree_map(lambda p, m, r: p - r * m, p, m, rate), m

    return lambda p: tree_map(jnp.zeros_like, p), update


def adam(b1=0.9, b2=0.999, decay=0):
    def update(p, s, g, rate, step):
        m = tree_map(lambda m, g: b1 * m + (1 - b1) * g, s[0], g)
        v = tree_map(lambda v, g: b2 * v + (1 - b2) * g * g, s[1], g)
        c1, c2 = 1 - b1 ** (step + 1), jnp.sqrt(1 - b2 ** (step + 1))

        def next(p, m, v, r):
            return p * (1 - r * (decay if p.ndim >= 2 else 0)) - r / c1 * m / (jnp.sqrt(v) / c2 + 1e-8)

        return tree_map(next, p, m, v, rate), (m, v)

    return lambda p: (tree_map(jnp.zeros_like, p), tree_map(jnp.zeros_like, p)), update


def clipped(g, most):
    norm = jnp.sqrt(sum(jnp.sum(x * x) for x in jax.tree_util.tree_leaves(g)))
    return tree_map(lambda x: x * jnp.minimum(1, most / (norm + 1e-6)), g)


def one_update(program):
    """(params, optimiser's state, aux), step, rate, data, rows, key -> the state after it and the loss."""

    def step(state, step, rate, data, rows, key):
        p, s, aux = state
        load_key, loss_key = jax.random.split(key)
        batch = program.load(data, rows, load_key)
        (loss, aux), g = jax.value_and_grad(program.loss, has_aux=True)(p, batch, loss_key, aux)
        if program.clip:
            g = clipped(g, program.clip)
        share = program.share or tree_map(lambda _: 1, p)
        p, s = program.update[1](p, s, g, tree_map(lambda x: rate * x, share), step)
        return (p, s, aux), loss

    return step
