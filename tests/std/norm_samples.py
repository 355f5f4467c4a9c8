"""Normalisations beside LayerNorm and the rarer activations: values and gradients by JAX."""

import jax
import jax.numpy as jnp
import numpy as np

from model_text import both, some, trained, value


def rms(a, w, eps=1e-6):
    return a / jnp.sqrt(jnp.mean(a * a, -1, keepdims=True) + eps) * w


def grouped(a, groups, eps=1e-5):
    g = a.reshape(a.shape[0], -1, groups, a.shape[-1] // groups)
    return ((g - g.mean((1, 3), keepdims=True)) / jnp.sqrt(g.var((1, 3), keepdims=True) + eps)).reshape(a.shape)


def norm_layers():
    w, b = some(4), some(4)
    for layer, name, text, shape, f, biased in [
        ("RMSNorm", "rms_norm", "RMSNorm{}", (2, 3, 4), lambda a, w, b: rms(a, w), False),
        ("RMSNorm", "rms_norm", "RMSNorm{eps=0.1}", (3, 4), lambda a, w, b: rms(a, w, 0.1), False),
        ("GroupNorm", "group_norm", "GroupNorm{2}", (2, 3, 2, 4), lambda a, w, b: grouped(a, 2) * w + b, True),
        ("GroupNorm", "group_norm", "GroupNorm{1, eps=0.1}", (2, 5, 4), lambda a, w, b: grouped(a, 1, 0.1) * w + b, True),
        ("InstanceNorm", "instance_norm", "InstanceNorm{affine=true}", (2, 3, 2, 4), lambda a, w, b: grouped(a, 4) * w + b, True),
        ("InstanceNorm", "instance_norm", "InstanceNorm{eps=0.1}", (2, 5, 4), lambda a, w, b: grouped(a, 4, 0.1), None),
    ]:
        x = some(*shape)
        owned = {} if biased is None else {"w": w, "b": b} if biased else {"w": w}
        paths = {"w": f"{name}.weight", "b": f"{name}.bias"}
        value(layer, f"x |> {text}", {"x": x}, f(x, w, b), {paths[n]: a for n, a in owned.items()}, "near 1e-12 1e-13")
        trained(layer, f"r = sum((a |> {text}) * k) + 0 * z[0]", {"z": np.zeros(2)}, {"a": x, "k": some(*shape), **owned},
                "r + 0 * mean(z)", lambda p, _: jnp.sum(f(p["a"], p.get("w", w), p.get("b", b)) * p["k"]),
                paths={n: paths[n] for n in owned}, compare="near 1e-11 1e-12")


def rarer_activations():
    x = np.concatenate([some(2, 4, low=-4, high=4), [[-30.0, 30.0, 0.25, -0.75]], [[-800.0, 800.0, -3.5, 3.5]]])
    for name, text, f in [
        ("elu", "elu({})", jax.nn.elu),
        ("elu", "elu({}, 0.3)", lambda a: jax.nn.elu(a, 0.3)),
        ("mish", "mish({})", jax.nn.mish),
        ("hard_sigmoid", "hard_sigmoid({})", jax.nn.hard_sigmoid),
        ("hard_swish", "hard_swish({})", jax.nn.hard_swish),
        ("glu", "glu({})", jax.nn.glu),
    ]:
        value(name, text.format("x"), {"x": x}, f(x))
        both(name, text.format("a"), f, x)


def norms():
    norm_layers()
    rarer_activations()
