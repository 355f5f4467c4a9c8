"""Convolutions, pooling and batch normalisation of the standard library: values and gradients by JAX, channels last."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from model_text import some, trained, value

LAYOUT = {1: ("NTC", "TIO", "NTC"), 2: ("NHWC", "HWIO", "NHWC"), 3: ("NDHWC", "DHWIO", "NDHWC")}


def conv(x, w, stride=1, padding=0, dilation=1, groups=1):
    rank = x.ndim - 2
    ends = padding if isinstance(padding, str) else [(padding, padding)] * rank
    # Weights [.., d / groups, n] hold the maps of a group side by side, as XLA's do.
    return jax.lax.conv_general_dilated(x, w, (stride,) * rank, ends, rhs_dilation=(dilation,) * rank,
                                        feature_group_count=groups, dimension_numbers=LAYOUT[rank])


def configuration(n, options):
    text = [str(n)] + [f'{k}="{v}"' if isinstance(v, str) else f"{k}={v}" for k, v in options.items()]
    return "{" + ", ".join(text) + "}"


def convolved(cases):
    for layer, shape, n, options in cases:
        rank, k, groups = len(shape) - 2, options.get("k", 3), options.get("groups", 1)
        x, w, b = some(*shape), some(*[k] * rank, shape[-1] // groups, n), some(n)
        padding = options.get("padding", 0)
        rest = {"stride": options.get("stride", 1), "dilation": options.get("dilation", 1), "groups": groups}
        f = lambda a, u: conv(a, u, padding=padding.upper() if isinstance(padding, str) else padding, **rest)
        name = layer.lower()
        text = f"{layer}{configuration(n, options)}"
        value(layer, f"x |> {text}", {"x": x}, f(x, w) + b, {f"{name}.weight": w, f"{name}.bias": b}, "near 1e-12 1e-13")
        bare = text.replace("}", ", bias=false}")
        weight = some(*f(x, w).shape)
        trained(layer, f"r = sum((a |> {bare}) * k) + 0 * z[0]", {"z": np.zeros(2)}, {"a": x, "k": weight, "w": w},
                "r + 0 * mean(z)", lambda p, _: jnp.sum(f(p["a"], p["w"]) * p["k"]), paths={"w": f"{name}.weight"},
                compare="near 1e-11 1e-12")


def convolutions():
    convolved([
        ("Conv1d", (2, 9, 3), 4, {"k": 3}),
        ("Conv1d", (2, 10, 4), 6, {"k": 4, "stride": 3, "padding": 2, "groups": 2}),
        ("Conv1d", (2, 11, 2), 3, {"k": 3, "stride": 2, "padding": "same", "dilation": 2}),
        ("Conv2d", (2, 6, 5, 3), 4, {}),
        ("Conv2d", (2, 7, 8, 2), 3, {"k": 3, "padding": 1, "stride": 2}),
        ("Conv2d", (1, 8, 7, 2), 3, {"k": 4, "padding": "same", "stride": 2}),
        ("Conv2d", (1, 9, 9, 2), 2, {"k": 3, "dilation": 2, "stride": 2, "padding": 1}),
        ("Conv2d", (2, 5, 5, 4), 6, {"k": 3, "padding": 1, "groups": 2}),
        ("Conv2d", (2, 6, 6, 4), 8, {"k": 3, "padding": 1, "stride": 2, "groups": 4}),
        ("Conv2d", (2, 5, 6, 3), 2, {"k": 1, "stride": 2}),
        ("Conv3d", (1, 4, 5, 4, 2), 3, {"k": 2, "stride": 2, "padding": 1}),
        ("Conv3d", (1, 4, 4, 5, 2), 2, {"k": 3, "padding": "same"}),
    ])


def max_pool(x, k, stride, padding):
    """The first of equals in window order takes the gradient: argmax, then a read at it."""
    rank = x.ndim - 2
    p = jnp.pad(x, [(0, 0), *[(padding, padding)] * rank, (0, 0)], constant_values=-jnp.inf)
    places = [(n + 2 * padding - k) // stride + 1 for n in x.shape[1:-1]]
    rows = jnp.stack([p[(slice(None), *[slice(i * stride, i * stride + k) for i in at])].reshape(x.shape[0], k**rank, x.shape[-1])
                      for at in itertools.product(*map(range, places))], 1)
    first = jnp.argmax(jax.lax.stop_gradient(rows), 2, keepdims=True)
    return jnp.take_along_axis(rows, first, 2).reshape(x.shape[0], *places, x.shape[-1])


def avg_pool(x, k, stride, padding):
    rank = x.ndim - 2
    p = jnp.pad(x, [(0, 0), *[(padding, padding)] * rank, (0, 0)])
    return jax.lax.reduce_window(p, 0.0, jax.lax.add, (1, *[k] * rank, 1), (1, *[stride] * rank, 1), "VALID") / k**rank


def pooled(layer, f, x, k, options):
    stride, padding = options.get("stride", k), options.get("padding", 0)
    text = layer + configuration(k, options)
    y = f(jnp.asarray(x), k, stride, padding)
    value(layer, f"x |> {text}", {"x": x}, y)
    trained(layer, f"r = sum((a |> {text}) * k) + 0 * z[0]", {"z": np.zeros(2)}, {"a": x, "k": some(*y.shape)},
            "r + 0 * mean(z)", lambda p, _: jnp.sum(f(p["a"], k, stride, padding) * p["k"]))


def pooling():
    for k, options in [(2, {}), (3, {"stride": 2}), (3, {"stride": 1, "padding": 1}), (2, {"stride": 3})]:
        x = np.round(some(2, 7, 6, 3))  # ties
        for layer, f in [("MaxPool2d", max_pool), ("AvgPool2d", avg_pool)]:
            pooled(layer, f, x, k, options)
    wild = np.array([[[[1.0], [np.nan]], [[-np.inf], [2.0]]], [[[-np.inf], [-np.inf]], [[-np.inf], [-np.inf]]]])
    value("MaxPool2d", "x |> MaxPool2d{2}", {"x": wild}, np.array([np.nan, -np.inf]).reshape(2, 1, 1, 1))
    x = some(2, 3, 4, 5)
    value("global_avg_pool", "global_avg_pool(x)", {"x": x}, x.mean((1, 2)))
    trained("global_avg_pool", "r = sum(global_avg_pool(a) * k) + 0 * z[0]", {"z": np.zeros(2)}, {"a": x, "k": some(2, 5)},
            "r + 0 * mean(z)", lambda p, _: jnp.sum(p["a"].mean((1, 2)) * p["k"]))
    value("same_padding", "x + same_padding(7, 4, 2) + 10 * same_padding(8, 3) + 100 * same_padding(9, 3, 2, 2)", {"x": np.zeros(1)},
          np.array([3.0 + 20 + 400]))
    y = some(2, 5, 3)
    value("pad_for_windows", 'pad_for_windows(x, 1, 4, 2, "same", 1, 7)', {"x": y},
          np.pad(y, [(0, 0), (1, 2), (0, 0)], constant_values=7))
    both = lambda a: jnp.pad(a, [(0, 0), (1, 1), (0, 0)])
    trained("pad_for_windows", "r = sum(pad_for_windows(a, 1, 3, 1, 1) * k) + 0 * z[0]", {"z": np.zeros(2)},
            {"a": y, "k": some(2, 7, 3)}, "r + 0 * mean(z)", lambda p, _: jnp.sum(both(p["a"]) * p["k"]))


def batch_norm():
    def norm(a, w, b, eps=1e-5):
        axes = tuple(range(a.ndim - 1))
        return (a - a.mean(axes)) / jnp.sqrt(a.var(axes) + eps) * w + b

    w, b, mean, var = some(3), some(3), some(3), np.abs(some(3)) + 0.5
    held = {"batch_norm.running_mean": mean, "batch_norm.running_var": var}
    state = {"batch_norm.weight": w, "batch_norm.bias": b, **held}
    for shape in [(4, 3), (2, 3, 4, 3)]:
        x = some(*shape)
        rows = x.reshape(-1, 3)
        stored = {"batch_norm.running_mean": 0.9 * mean + 0.1 * rows.mean(0),
                  "batch_norm.running_var": 0.9 * var + 0.1 * rows.var(0, ddof=1)}
        value("BatchNorm", "x |> BatchNorm{}", {"x": x}, (x - mean) / np.sqrt(var + 1e-5) * w + b, state)
        trained("BatchNorm", "r = sum((a |> BatchNorm{eps=0.01}) * k) + 0 * z[0]", {"z": np.zeros(2)},
                {"a": x, "k": some(*shape), "w": w, "b": b}, "r + 0 * mean(z)",
                lambda p, _: jnp.sum(norm(p["a"], p["w"], p["b"], 0.01) * p["k"]),
                paths={"w": "batch_norm.weight", "b": "batch_norm.bias"}, held=held, compare="near 1e-11 1e-12", stored=stored)


def conv_transpose(x, w, stride, low, size, dilation):
    """What the definition says: every place adds its window of x[i] @ weight[u]; `size` elements from `low` on are kept."""
    rank, k = x.ndim - 2, w.shape[0]
    full = [(n - 1) * stride + (k - 1) * dilation + 1 for n in x.shape[1:-1]]
    y = jnp.zeros((x.shape[0], *[max(f, low + s) for f, s in zip(full, size)], w.shape[-1]))
    for u in itertools.product(range(k), repeat=rank):
        at = tuple(slice(o * dilation, o * dilation + (n - 1) * stride + 1, stride) for o, n in zip(u, x.shape[1:-1]))
        y = y.at[(slice(None), *at)].add(x @ w[u])
    return y[(slice(None), *[slice(low, low + s) for s in size])]


def grouped_transpose(x, w, groups, *options):
    """Each group of channels by itself: the weights of group g are those of its own input channels."""
    d = x.shape[-1] // groups
    parts = [conv_transpose(x[..., g * d : (g + 1) * d], w[..., g * d : (g + 1) * d, :], *options) for g in range(groups)]
    return jnp.concatenate(parts, axis=-1)


def laid_over(cases):
    for layer, shape, n, options in cases:
        rank, k, stride, dilation = len(shape) - 2, options.get("k", 3), options.get("stride", 1), options.get("dilation", 1)
        padding, span = options.get("padding", 0), (k - 1) * dilation + 1
        if padding == "same":
            low, size = max(span - stride, 0) // 2, [m * stride for m in shape[1:-1]]
        else:
            low = 0 if padding == "valid" else padding
            size = [(m - 1) * stride - 2 * low + span + options.get("output_padding", 0) for m in shape[1:-1]]
        groups = options.get("groups", 1)
        x, w, b = some(*shape), some(*[k] * rank, shape[-1], n // groups), some(n)
        f = lambda a, u: grouped_transpose(a, u, groups, stride, low, size, dilation)
        if stride == 1 and not low and groups == 1:  # XLA's own transposed convolution, where it has the same size rule
            np.testing.assert_allclose(f(x, w), jax.lax.conv_transpose(x, w[(slice(None, None, -1),) * rank], (1,) * rank, "VALID",
                                                                       dimension_numbers=LAYOUT[rank]), rtol=1e-12, atol=1e-12)
        name = "conv_transpose" + layer[-2:]
        text = f"{layer}{configuration(n, options)}"
        value(layer, f"x |> {text}", {"x": x}, f(x, w) + b, {f"{name}.weight": w, f"{name}.bias": b}, "near 1e-12 1e-13")
        bare = text.replace("}", ", bias=false}")
        trained(layer, f"r = sum((a |> {bare}) * k) + 0 * z[0]", {"z": np.zeros(2)},
                {"a": x, "k": some(*f(x, w).shape), "w": w}, "r + 0 * mean(z)",
                lambda p, _: jnp.sum(f(p["a"], p["w"]) * p["k"]), paths={"w": f"{name}.weight"}, compare="near 1e-11 1e-12")


def transposed_convolutions():
    laid_over([
        ("ConvTranspose1d", (2, 5, 3), 4, {}),
        ("ConvTranspose1d", (2, 5, 3), 2, {"k": 4, "stride": 3, "padding": 1, "output_padding": 2}),
        ("ConvTranspose1d", (2, 4, 2), 3, {"k": 3, "stride": 2, "padding": "same", "dilation": 2}),
        ("ConvTranspose1d", (2, 4, 2), 3, {"k": 2, "stride": 3, "padding": "same"}),
        ("ConvTranspose2d", (2, 4, 3, 3), 2, {"k": 3, "padding": "valid"}),
        ("ConvTranspose2d", (2, 4, 3, 2), 3, {"k": 4, "stride": 2, "padding": 1}),
        ("ConvTranspose2d", (1, 3, 4, 2), 3, {"k": 3, "stride": 2, "padding": 1, "output_padding": 1}),
        ("ConvTranspose2d", (1, 3, 4, 2), 2, {"k": 3, "stride": 2, "dilation": 2, "padding": 2}),
        ("ConvTranspose2d", (2, 3, 3, 2), 3, {"k": 4, "stride": 2, "padding": "same"}),
    ])
    value("transposed_extent", "e, low, high = transposed_extent(5, 4, 2, 1, 1, 1)\nr = x + e + 100 * low + 1000 * high", {"x": np.zeros(1)}, np.array([13.0 + 100 + 1000]))
    x = some(2, 4, 3, 2)
    f = lambda a: jnp.zeros((2, 9, 2)).at[:, jnp.arange(4)[:, None] * 2 + jnp.arange(3)].add(a)
    value("overlap_add", "overlap_add(x, stride=2, over=1)", {"x": x}, f(x), kind="program")
    trained("overlap_add", "r = sum(overlap_add(a, 10, 2, over=1) ** 2 * k) + 0 * z[0]", {"z": np.zeros(2)},
            {"a": x, "k": some(2, 10, 2)}, "r + 0 * mean(z)", lambda p, _: jnp.sum(f(p["a"]) ** 2 * p["k"][:, :9]))


def upsampling():
    for factor, mode in [(2, "nearest"), (3, "nearest"), (1, "bilinear"), (2, "bilinear"), (3, "bilinear"), (4, "bilinear")]:
        x = some(2, 3, 4, 2)
        f = lambda a: jax.image.resize(a, (2, 3 * factor, 4 * factor, 2), mode)
        text = f'Upsample{{{factor}, mode="{mode}"}}'
        value("Upsample", f"x |> {text}", {"x": x}, f(x))
        trained("Upsample", f"r = sum((a |> {text}) * k) + 0 * z[0]", {"z": np.zeros(2)},
                {"a": x, "k": some(2, 3 * factor, 4 * factor, 2)}, "r + 0 * mean(z)", lambda p, _: jnp.sum(f(p["a"]) * p["k"]))


def without_padding():
    """padding="valid" is padding=0."""
    x, pixels = some(2, 7, 3), some(2, 5, 6, 3)
    for layer, a, f in [("MaxPool2d", pixels, max_pool), ("AvgPool2d", pixels, avg_pool)]:
        value(layer, f'x |> {layer}{{2, stride=1, padding="valid"}}', {"x": a}, f(jnp.asarray(a), 2, 1, 0))
    for layer, a in [("Conv1d", x), ("Conv2d", pixels), ("Conv3d", some(1, 4, 3, 4, 2))]:
        rank = a.ndim - 2
        w = some(*[2] * rank, a.shape[-1], 2)
        text = f'{layer}{{2, k=2, padding="valid", bias=false}}'
        value(layer, f"x |> {text}", {"x": a}, conv(a, w), {f"{layer.lower()}.weight": w}, "near 1e-12 1e-13")
        trained(layer, f"r = sum((a |> {text}) * k) + 0 * z[0]", {"z": np.zeros(2)},
                {"a": a, "k": some(*conv(a, w).shape), "w": w}, "r + 0 * mean(z)",
                lambda p, _: jnp.sum(conv(p["a"], p["w"]) * p["k"]), paths={"w": f"{layer.lower()}.weight"},
                compare="near 1e-11 1e-12")


def further_windows():
    convolved([
        ("Conv3d", (1, 4, 3, 4, 4), 6, {"k": 2, "groups": 2}),
        ("Conv3d", (1, 4, 5, 4, 3), 3, {"k": 3, "groups": 3, "stride": 2, "padding": 1, "dilation": 2}),
    ])
    laid_over([
        ("ConvTranspose3d", (2, 2, 3, 2, 2), 3, {"k": 2, "stride": 2}),
        ("ConvTranspose3d", (1, 2, 2, 3, 3), 2, {"k": 3, "stride": 2, "padding": 1, "output_padding": 1}),
        ("ConvTranspose3d", (1, 3, 2, 2, 2), 2, {"k": 3, "padding": "valid"}),
    ])
    for k, options in [(2, {}), (3, {"stride": 2, "padding": 1})]:
        for letter, shape in [("1", (2, 9, 3)), ("3", (1, 5, 4, 6, 2))]:
            x = np.round(some(*shape))  # ties
            pooled(f"MaxPool{letter}d", max_pool, x, k, options)
            pooled(f"AvgPool{letter}d", avg_pool, x, k, options)
    x = np.round(some(2, 3, 4, 5))
    f = lambda a: max_pool(a.reshape(2, 12, 5), 12, 12, 0).reshape(2, 5)
    value("global_max_pool", "global_max_pool(x)", {"x": x}, f(jnp.asarray(x)))
    trained("global_max_pool", "r = sum(global_max_pool(a) * k) + 0 * z[0]", {"z": np.zeros(2)}, {"a": x, "k": some(2, 5)},
            "r + 0 * mean(z)", lambda p, _: jnp.sum(f(p["a"]) * p["k"]))


def transposed_groups():
    laid_over([
        ("ConvTranspose1d", (2, 5, 4), 6, {"k": 4, "stride": 2, "padding": 1, "groups": 2}),
        ("ConvTranspose2d", (1, 3, 4, 3), 3, {"k": 3, "stride": 2, "padding": 1, "output_padding": 1, "groups": 3}),
        ("ConvTranspose3d", (1, 2, 3, 2, 4), 2, {"k": 2, "stride": 2, "groups": 2}),
    ])


def window_layers():
    convolutions()
    pooling()
    batch_norm()
    transposed_convolutions()
    upsampling()
