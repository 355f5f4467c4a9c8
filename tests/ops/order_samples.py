"""Running sums and products, order: values by NumPy, gradients by JAX in f64."""

import functools
import itertools

import jax.numpy as jnp
import numpy as np

from sample_text import *


def prefixes(join, start, x, axis, reverse, exclusive):
    """By JAX, without divisions: element i joins those up to i."""
    rows = list(jnp.moveaxis(jnp.asarray(x), axis, 0))
    rows = rows[::-1] if reverse else rows
    all_ = list(itertools.accumulate(rows, join, initial=jnp.full_like(rows[0], start)))
    all_ = all_[:-1] if exclusive else all_[1:]
    return jnp.moveaxis(jnp.stack(all_[::-1] if reverse else all_), 0, axis)


def along(f, start, x, axis, reverse, exclusive):
    """By NumPy's function f."""
    x = np.flip(x, axis) if reverse else x
    y = f(x, axis=axis, dtype=x.dtype)
    if exclusive:
        first = np.full_like(y.take([0], axis), start)
        y = np.concatenate([first, y.take(range(x.shape[axis] - 1), axis)], axis)
    return np.flip(y, axis) if reverse else y


def running():
    total = functools.partial(prefixes, jnp.add, 0)
    product = functools.partial(prefixes, jnp.multiply, 1)
    flags = lambda r, e: (", reverse=true" if r else "") + (", exclusive=true" if e else "")
    for shape, axis in [((5,), 0), ((3, 5), 1), ((3, 5), 0), ((2, 3, 4), 1), ((1,), 0), ((130,), 0), ((40, 3), 0)]:
        for r, e in itertools.product([False, True], repeat=2):
            attrs = f"axis={axis}" + flags(r, e)
            for t in FLOATS + INTEGERS:
                bound = 4 if shape[axis] < 10 or t.kind != "f" else 1
                x = some(t, shape, -bound, bound)
                near = "exact" if t.kind != "f" else "near 1e-11 1e-11" if t.itemsize == 8 else "near 1e-4 1e-4"
                one("cumsum", [x], along(np.cumsum, 0, x, axis, r, e), attrs, near)
                one("cumprod", [x], along(np.cumprod, 1, x, axis, r, e), attrs, near)
            if np.prod(shape) < 50:
                x = random.uniform(-2, 2, shape)
                gradient("cumsum", lambda a: total(a, axis, r, e), [x], attrs)
                gradient("cumprod", lambda a: product(a, axis, r, e), [x], attrs)
    one("cumsum", [np.array([False, True, False])], np.array([False, True, True]), "axis=0")
    one("cumsum", [np.zeros((2, 0))], np.zeros((2, 0)), "axis=1")
    one("cumprod", [np.zeros((0, 2))], np.zeros((0, 2)), "axis=0")
    one("cumsum", [np.float32([1, np.nan, 2])], np.float32([1, np.nan, np.nan]), "axis=0")
    one("cumsum", [np.float32([1, 2**-24, 2**-24])], np.float32([1, 1, 1 + 2**-23]), "axis=0, accumulator=f64")
    for x in ([0.0, 2, 3, 4, 5], [1.0, 2, 0, 4, 0], [-0.0, 0, 0, 1, 1], [1e-200, 1e-150, 1e200, 1e100, 3]):
        for attrs, r, e in [("axis=0", False, False), ("axis=0" + flags(True, True), True, True)]:
            f = lambda a: product(a, 0, r, e)
            gradient("cumprod", f, [np.array(x)], attrs)
            hessian_vector("cumprod", f, np.array(x), attrs)


def order():
    for shape, axis in [((5,), 0), ((3, 7), 1), ((7, 3), 0), ((2, 5, 4), 1), ((1,), 0), ((3, 0), 1), ((130,), 0), ((33, 9), 0)]:
        for t in FLOATS + INTEGERS:
            x = some(t, shape, -4, 4) if t.kind != "f" else some(np.dtype("i4"), shape, -9, 9).astype(t)  # with equals
            one("argsort", [x], np.argsort(x, axis=axis, kind="stable").astype(np.int32), f"axis={axis}")
            # Stable too where it descends: the order of the reversed row, seen from behind.
            back = np.flip(np.argsort(np.flip(x, axis), axis=axis, kind="stable"), axis)
            back = (shape[axis] - 1 - back).astype(np.int32)
            one("argsort", [x], back, f"axis={axis}, descending=true")
    for t in FLOATS:
        x = np.array([np.nan, 2, -0.0, np.inf, 0, -np.inf, np.nan, -0.0, 1], t)
        one("argsort", [x], np.argsort(x, kind="stable").astype(np.int32), "axis=0")
        one("argsort", [x], np.int32([0, 6, 3, 1, 8, 2, 4, 7, 5]), "axis=0, descending=true")
    large = np.int64([2**62, 2**62 + 1, -(2**63), 2**63 - 1, 2**62])
    one("argsort", [large], np.argsort(large, kind="stable").astype(np.int32), "axis=0")
