"""Windows along axes, their adjoint, and convolutions made of them: values by NumPy's loops and JAX's convolutions."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from sample_text import *


def numbers(axes, window, stride, dilation, extents=None):
    lists = {"axes": axes, "extents": extents, "window": window, "stride": stride, "dilation": dilation}
    return ", ".join(f"{k}=[{','.join(map(str, v))}]" for k, v in lists.items() if v is not None)


def positions(x_shape, axes, window, stride, dilation):
    """The linear position in x that each element of windows(x) is of."""
    shape, where = [], []  # where: by axis of x, its extents in the result and what each step is worth
    for a, n in enumerate(x_shape):
        i = axes.index(a) if a in axes else None
        size, s, d = (window[i], stride[i], dilation[i]) if i is not None else (1, 1, 1)
        where.append([(len(shape), s)])
        shape.append((n - (size - 1) * d - 1) // s + 1)
        if i is not None:
            where[-1].append((len(shape), d))
            shape.append(size)
    places = np.zeros(shape, np.int64)
    for at in itertools.product(*map(range, shape)):
        places[at] = np.ravel_multi_index([sum(at[k] * by for k, by in w) for w in where], x_shape)
    return places


def windows():
    for shape, axes, window, stride, dilation in [
        ((7,), (0,), (3,), (1,), (1,)),
        ((9,), (0,), (3,), (2,), (2,)),
        ((2, 8), (1,), (2,), (2,), (1,)),
        ((5, 6, 2), (0, 1), (3, 2), (1, 2), (1, 3)),
        ((2, 7, 7), (1, 2), (3, 3), (2, 2), (1, 1)),
        ((4, 3), (0,), (4,), (5,), (1,)),
        ((6,), (0,), (1,), (4,), (1,)),
    ]:
        places = positions(shape, axes, window, stride, dilation)
        attrs = numbers(axes, window, stride, dilation)
        for t in ["f32", "i32", "u8", "bool", "f64"]:
            x = some(DTYPES[t], shape)
            one("windows", [x], x.ravel()[places], attrs)
        cut = lambda a: jnp.asarray(a).ravel()[places]
        gradient("windows", cut, [random.uniform(-2, 2, shape)], attrs)
        attrs = numbers(axes, window, stride, dilation, [shape[a] for a in axes])
        for t in ["f32", "i32", "f64"]:  # whole numbers: no sum is rounded
            g = random.integers(-9, 9, places.shape).astype(DTYPES[t])
            sums = np.zeros(int(np.prod(shape)), DTYPES[t])
            np.add.at(sums, places.ravel(), g.ravel())
            one("overlap_add", [g], sums.reshape(shape), attrs)
        put = lambda a: jnp.zeros(int(np.prod(shape))).at[places.ravel()].add(jnp.ravel(a)).reshape(shape)
        gradient("overlap_add", put, [random.uniform(-2, 2, places.shape)], attrs)


def pad_text(low, high):
    """Of the spatial axes of an image batch; none of what goes around."""
    spatial = lambda v: ",".join(["0", *map(str, v), "0"])
    zeros = ",".join("0" * (len(low) + 2))
    return f"low=[{spatial(low)}], high=[{spatial(high)}], interior=[{zeros}], value=0"


def convolutions():
    """Value and both gradients of a convolution of any rank by JAX, channels last: a contraction over windows."""
    for rank, extents, window, stride, dilation, low, high, groups in [
        (1, (9,), (3,), (1,), (1,), (1,), (1,), 1),
        (1, (10,), (4,), (3,), (1,), (0,), (2,), 1),
        (2, (6, 5), (3, 3), (1, 1), (1, 1), (1, 1), (1, 1), 1),
        (2, (8, 9), (3, 2), (2, 2), (1, 1), (1, 0), (1, 1), 1),
        (2, (9, 9), (3, 3), (2, 3), (2, 1), (2, 1), (2, 1), 1),
        (2, (5, 5), (1, 1), (2, 2), (1, 1), (0, 0), (0, 0), 1),
        (2, (7, 7), (2, 2), (3, 3), (1, 1), (0, 0), (0, 0), 1),
        (2, (6, 6), (3, 3), (1, 1), (1, 1), (1, 1), (1, 1), 2),
        (2, (6, 6), (3, 3), (2, 2), (1, 1), (1, 1), (1, 1), 4),
        (3, (4, 5, 4), (2, 3, 2), (1, 2, 1), (1, 1, 2), (0, 1, 1), (1, 1, 1), 1),
    ]:
        channels, maps = 4, 6 if groups < 4 else 4
        x = random.uniform(-2, 2, (2, *extents, channels))
        w = random.uniform(-2, 2, (*window, channels // groups, maps))
        letters = "hwd"[:rank]
        f = lambda a, b: jax.lax.conv_general_dilated(
            a, b, stride, list(zip(low, high)), rhs_dilation=dilation, feature_group_count=groups,
            dimension_numbers=(f"N{letters.upper()}C", f"{letters.upper()}IO", f"N{letters.upper()}C"),
        )
        y = np.asarray(f(x, w))
        g = np.asarray(random.uniform(0.5, 2, y.shape))
        value, grads = jax.value_and_grad(lambda a, b, c: jnp.sum(f(a, b) * c), argnums=(0, 1))(x, w, g)
        axes = ",".join(str(i + 1) for i in range(rank))
        attrs = f"axes=[{axes}], " + numbers(None, window, stride, dilation)
        taps, out = "uvt"[:rank], "ijk"[:rank]
        both = "".join(i + u for i, u in zip(out, taps))
        padded = f"%p = pad(%x) {{{pad_text(low, high)}}} "
        windows = f"%v = windows(%q) {{{attrs}}} "
        if groups == 1:
            body = padded.replace("%p", "%q") + windows + f'%y = einsum(%v, %w) {{spec="b{both}c,{taps}co->b{out}o"}} '
        else:  # the channels of a group and its maps get axes of their own
            whole = (2, *(n + a + b for n, a, b in zip(extents, low, high)), groups, channels // groups)
            weights = ",".join(map(str, (*window, channels // groups, groups, maps // groups)))
            body = (
                padded
                + f"%q = reshape(%p) {{shape=[{','.join(map(str, whole))}]}} {windows}"
                + f"%z = reshape(%w) {{shape=[{weights}]}} "
                + f'%e = einsum(%v, %z) {{spec="b{both}gc,{taps}cgo->b{out}go"}} '
                + f"%y = reshape(%e) {{shape=[{','.join(map(str, y.shape))}]}} "
            )
        every = ",".join(map(str, range(y.ndim)))
        params = f"%x: {type_of(x)}, %w: {type_of(w)}, %g: {type_of(g)}"
        before = f"func @l({params}) -> (f64[]) {{ {body}%t = mul(%y, %g) %s = reduce_sum(%t) {{axes=[{every}]}} return %s }} "
        results = [np.asarray(value)] + [np.asarray(r) for r in grads]
        text = call_text("value_and_grad", [x, w, g], results, "function=@l, wrt=[0,1]", before)
        sample("gradient", "windows", text, [x, w, g], results, "near 1e-12 1e-12")
