"""grad(loss, x) of the language beside JAX: first and second order, in models, losses and loops."""

import jax
import jax.numpy as jnp
import numpy as np

from language_samples import program
from model_text import some, trained


def gradients():
    x, y, w = some(3, 4), some(3, 4), some(4, 5)
    of_inputs(x, y, w)
    of_parts(x)
    in_loops(x)
    in_losses(x, w)


def of_inputs(x, y, w):
    f = lambda x: jnp.sum(jnp.tanh(x @ w))  # noqa: E731
    program("grad_input", "param w: [4, 5] = 0\nr = grad(sum(tanh(x @ w)), x)", {"x": x}, jax.grad(f)(x), state={"w": w})
    program("grad_second", "g = grad(sum(sin(x) * x * x), x)\nr = grad(sum(g * x), x)", {"x": x},
            jax.grad(lambda x: jnp.sum(jax.grad(lambda x: jnp.sum(jnp.sin(x) * x * x))(x) * x))(x))
    third = lambda f: jax.grad(lambda x: jnp.sum(f(x)))  # noqa: E731
    program("grad_third", "r = grad(sum(grad(sum(grad(sum(x ** 4), x)), x)), x)", {"x": x}, third(third(third(lambda x: x**4)))(x))
    given = {"x": x, "y": y}
    a, b = jax.grad(lambda x, y: jnp.sum(jnp.exp(x) * y), (0, 1))(x, y)
    program("grad_list", "a, b = grad(sum(exp(x) * y), [x, y])\nr = a - 2 * b", given, a - 2 * b)
    program("grad_argmax", "r = grad(sum(max(x, over=1)), x)", {"x": x}, jax.grad(lambda x: jnp.sum(x.max(1)))(x))
    labels = np.array([2, 0, 3], np.int32)
    rows = jax.grad(lambda x: jnp.sum(x[np.arange(3), labels] ** 2))(x)
    program("grad_pick", "r = grad(sum(pick(x, n) ** 2), x)", {"x": x, "n": labels}, rows)
    order = np.argsort(x, 1, kind="stable")
    weights = np.empty_like(x)
    np.put_along_axis(weights, order, np.broadcast_to(np.arange(4.0), x.shape), 1)
    program("grad_sort", "r = grad(sum(sort(x) * arange(4)), x)", {"x": x}, weights)
    best = np.zeros_like(x)
    np.put_along_axis(best, order[:, :-3:-1], 2 * np.take_along_axis(x, order[:, :-3:-1], 1), 1)
    program("grad_top_k", "v, n = top_k(x, 2)\nr = grad(sum(v * v), x)", {"x": x}, best)
    program("grad_cumsum", "r = grad(sum(cumsum(x, over=0) ** 2), x)", {"x": x},
            jax.grad(lambda x: jnp.sum(jnp.cumsum(x, 0) ** 2))(x))
    program("grad_in_function", "r = pull(x, tanh)", {"x": x}, 1 - np.tanh(x) ** 2, before="fn pull(x, f) = grad(sum(f(x)), x)\n")


def of_parts(x):
    """What x is cut off at is a value of its own, whatever it was computed from."""
    h = np.tanh(x)
    program("grad_cut", "h = tanh(x)\nr = grad(sum(h * h * x), h)", {"x": x}, 2 * h * x)
    program("grad_around", "h = tanh(x)\nr = grad(sum(h * h * x), x)", {"x": x},
            jax.grad(lambda x: jnp.sum(jnp.tanh(x) ** 2 * x))(x))
    program("grad_both", "h = x * 2\na, b = grad(sum(h * h * x), [h, x])\nr = a - b", {"x": x}, 4 * x * x - 4 * x * x)
    program("grad_stopped", "r = grad(sum(stop_gradient(x) * x), x)", {"x": x}, x)


def in_loops(x):
    energy = lambda h: jnp.sum(jnp.cos(h) + h * h * x)  # noqa: E731
    h = jnp.asarray(x + 0.5)
    for _ in range(3):
        h = h - 0.1 * jax.grad(energy)(h)
    program("grad_in_scan", "h = x + 0.5\nscan t in 3 { h = h - 0.1 * grad(sum(cos(h) + h * h * x), h) }\nr = h", {"x": x}, h)
    program("grad_in_repeat", "h = x + 0.5\nrepeat 3 { h = h - 0.1 * grad(sum(cos(h) + h * h * x), h) }\nr = h", {"x": x}, h)

    def run(x):
        h = jnp.zeros(3)
        for t in range(4):
            h = jnp.tanh(h + x[:, t])
        return jnp.sum(h * h)

    program("grad_of_scan", "h = zeros([B])\nscan t in 4 { h = tanh(h + x[:, t]) }\nr = grad(sum(h * h), x)", {"x": x}, jax.grad(run)(x))


def in_losses(x, w):
    score = lambda p, x: jnp.tanh(x @ p["w"]) @ p["v"]  # noqa: E731

    def penalised(p, d):
        g = jax.grad(lambda x: jnp.sum(score(p, x)))(d["x"])
        return jnp.mean((jnp.sqrt(jnp.sum(g * g, 1)) - 1) ** 2) + jnp.mean(score(p, d["x"]))

    params = {"w": w, "v": some(5)}
    body = "r[b] = sum[o] tanh(x @ w)[b, o] * v[o]"
    trained("grad", body, {"x": x}, params, "mean((sqrt(sum(grad(sum(r), x) ** 2, over=1)) - 1) ** 2) + mean(r)", penalised)
    body += "\nslope = grad(sum(r), x)\nr = (sqrt(sum(slope ** 2, over=1)) - 1) ** 2 + r"
    trained("grad", body, {"x": x}, params, "mean(r)", penalised)

    def inner_step(p, d):
        loss = lambda q: jnp.mean(score(q, d["x"]) ** 2)  # noqa: E731
        return loss(jax.tree.map(lambda a, g: a - 0.1 * g, p, jax.grad(loss)(p)))

    body = ("a, b = grad(mean(score(x, w, v) ** 2), [w, v])\nr = mean(score(x, w - 0.1 * a, v - 0.1 * b) ** 2)")
    trained("grad", body, {"x": x}, params, "r + mean(x) * 0", inner_step,
            before="fn score(x, w, v) { s[b] = sum[o] tanh(x @ w)[b, o] * v[o]\n return s }\n")
    # The keys of what is differentiated are those of the value: where an element was dropped its derivative is 0.
    trained("grad", "d = Dropout{0.5}(x)\ng = grad(sum(d), x)\nr = g * x - d + k", {"x": x}, {"k": np.array(0.5)}, "mean(r)",
            lambda p, _: p["k"], held={"step": np.array(3)})
