"""Recurrent layers, attention, positions: values and gradients by JAX. Each sequence runs alone here, over its own steps."""

import jax
import jax.numpy as jnp
import numpy as np

from model_text import some, trained, value


def sequences(step, x, width, lengths, reverse):
    """step(x[b, t], *states) gives new states, of which the first is what stands at t; 0 behind a sequence's end."""
    rows = []
    for b, n in enumerate(lengths):
        states, out = None, [jnp.zeros(width)] * x.shape[1]
        for t in range(n)[::-1 if reverse else 1]:
            states = step(x[b, t], *(states or [jnp.zeros(width)] * 2))
            out[t] = states[0]
        rows.append(jnp.stack(out))
    return jnp.stack(rows)


def rnn(p, act=jnp.tanh):
    return lambda x, h, _: (act(x @ p["w"] + h @ p["u"] + p["b"]), h)


def lstm(p):
    def step(x, h, c):
        i, f, g, o = jnp.split(x @ p["w"] + h @ p["u"] + p["b"], 4)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return jax.nn.sigmoid(o) * jnp.tanh(c), c

    return step


def gru(p):
    def step(x, h, _):
        (ir, iz, ig), (hr, hz, hg) = jnp.split(x @ p["w"] + p["b"], 3), jnp.split(h @ p["u"], 3)
        r, z = jax.nn.sigmoid(ir + hr), jax.nn.sigmoid(iz + hz)
        return (1 - z) * jnp.tanh(ig + r * (hg + p["v"])) + z * h, h

    return step


def owned(gates, d, n, gru_like, suffix=""):
    p = {"w": some(d, gates * n), "u": some(n, gates * n, low=-1, high=1), "b": some(gates * n)}
    return {k + suffix: a for k, a in {**p, **({"v": some(n)} if gru_like else {})}.items()}


def paths(p, cell):
    names = {"w": "weight", "u": "recurrent", "b": "bias", "v": "recurrent_bias"}
    return {k: f"{cell}.{names[k[0]]}" for k in p}


def checked(name, text, x, p, where, f, lengths=None, compare="near 1e-12 1e-13"):
    """Values of `text` at x, and gradients by its parameters and by a factor of x. f(parameters, x) is JAX's."""
    extra = {"n": np.array(lengths, np.int32)} if lengths is not None else {}
    call = text + ("(x, n)" if extra else "(x)")
    value(name, call, {"x": x, **extra}, f(p, jnp.asarray(x)), {where[k]: a for k, a in p.items()}, compare)
    flat = x.reshape(x.shape[0], -1)
    k = some(*f(p, x).shape)
    shape = ", ".join(map(str, x.shape[1:]))
    trained(name, f"p = reshape(x * a, [B, {shape}])\nr = flatten({call.replace('(x', '(p')})", {"x": flat, **extra},
            {"a": some(flat.shape[1], low=0.5), **p}, "sum(r * k)",
            lambda q, d: jnp.sum(f(q, (d["x"] * q["a"]).reshape(x.shape)) * k), {"k": k.reshape(k.shape[0], -1)},
            paths=where, compare="near 1e-11 1e-12")


def recurrent():
    x, full, part = some(3, 4, 2), [4, 4, 4], [4, 2, 0]
    for name, cell, gates, f in [("RNN", "rnn", 1, rnn), ("LSTM", "lstm", 4, lstm), ("GRU", "gru", 3, gru)]:
        p = owned(gates, 2, 3, name == "GRU")
        where = paths(p, f"{cell}.cell")
        for reverse in (False, True):
            text = f"{name}{{3, reverse=true}}" if reverse else f"{name}{{3}}"
            for n in (None, part):
                checked(name, text, x, p, where, lambda q, a: sequences(f(q), a, 3, n or full, reverse), n)
        b = owned(gates, 2, 3, name == "GRU", "2")
        where = {**paths(p, "bi.forward.cell"), **paths(b, "bi.backward.cell")}
        both = lambda q, a, n: jnp.concatenate([
            sequences(f(q), a, 3, n, False), sequences(f({k[0]: v for k, v in q.items() if k[1:] == "2"}), a, 3, n, True)], -1)
        for n in (None, part):
            checked("Bi", f"Bi{{{name}, 3}}", x, {**p, **b}, where, lambda q, a: both(q, a, n or full), n)
    p = owned(1, 2, 3, False)
    checked("RNN", "RNN{3, act=relu}", x, p, paths(p, "rnn.cell"),
            lambda q, a: sequences(rnn(q, jax.nn.relu), a, 3, full, False))
    cells(some(4, 2), some(4, 3), some(4, 3))
    value("reversed", "reversed(x)", {"x": x}, x[:, ::-1])
    words = np.array([[1, 2, 3], [4, 5, 6]], np.int32)
    value("reversed", "reversed(x)", {"x": words}, words[:, ::-1], compare="exact")
    trained("reversed", "r = sum(reversed(a) * k) + 0 * z[0]", {"z": np.zeros(2)}, {"a": x, "k": some(3, 4, 2)},
            "r + 0 * mean(z)", lambda p, _: jnp.sum(p["a"][:, ::-1] * p["k"]))
    n = np.array([2, 0, 4], np.int32)
    value("within", "r = within(n, 3)\nq = within(n, 3, reverse=true)", {"n": n},
          {"r": (np.arange(3) < n[:, None])[..., None], "q": (np.arange(3) < n[:, None])[:, ::-1, None]}, compare="exact")


def cells(x, h, c):
    z = {"z": np.zeros(2)}
    for name, cell, gates, f in [("RNNCell", "rnn_cell", 1, rnn), ("LSTMCell", "lstm_cell", 4, lstm), ("GRUCell", "gru_cell", 3, gru)]:
        p = owned(gates, 2, 3, name == "GRUCell")
        where = paths(p, cell)
        state = {where[k]: a for k, a in p.items()}
        step = lambda q, a, s, t: jax.vmap(lambda *v: f(q)(*v))(a, s, t)
        many = name == "LSTMCell"
        r, s = step(p, x, h, c)
        value(name, f"r, s = {name}{{3}}(x, h, c)" if many else f"{name}{{3}}(x, h)",
              {"x": x, "h": h, **({"c": c} if many else {})}, {"r": r, "s": s} if many else r, state)
        k, l = some(4, 3), some(4, 3)
        body = f"r, s = {name}{{3}}(a, h, c)\nr = sum(r * k + s * l) + 0 * z[0]" if many else f"r = sum({name}{{3}}(a, h) * k) + 0 * z[0]"
        params = {"a": x, "h": h, "k": k, **({"c": c, "l": l} if many else {}), **p}

        def loss(q, _):
            r, s = step(q, q["a"], q["h"], q.get("c", c))
            return jnp.sum(r * q["k"]) + (jnp.sum(s * q["l"]) if many else 0)

        trained(name, body, z, params, "r + 0 * mean(z)", loss, paths=where, compare="near 1e-11 1e-12")


def turned(x, base=10000):
    """Pairs (c, c + d / 2) as complex numbers."""
    half = x.shape[-1] // 2
    angle = np.arange(x.shape[1])[:, None] * base ** (-2 * np.arange(half) / x.shape[-1])
    z = (x[..., :half] + 1j * x[..., half:]) * np.exp(1j * angle)[:, None, :]
    return jnp.concatenate([z.real, z.imag], -1)


def attend(p, x, heads, kv_heads, lengths=None, context=None, causal=False, base=None):
    def product(a, first, last):
        y = a @ p["w"][:, first:last] + (p["b"][first:last] if "b" in p else 0)
        return y.reshape(*a.shape[:2], -1, d)

    width = x.shape[-1]
    d = width // heads
    source, shared = (x if context is None else context), kv_heads * d
    q, k, v = product(x, 0, width), product(source, width, width + shared), product(source, width + shared, width + 2 * shared)
    if base:
        q, k = turned(q, base), turned(k, base)
    y = one_by_one(q, k, v, lengths, causal)
    if not isinstance(y, jax.core.Tracer):  # JAX's own has its softmax in f32
        ends = None if lengths is None else jnp.asarray(lengths, jnp.int32)
        np.testing.assert_allclose(y, jax.nn.dot_product_attention(q, k, v, is_causal=causal, key_value_seq_lengths=ends), 1e-5, 1e-5)
    return y.reshape(x.shape) @ p["o"] + (p["c"] if "c" in p else 0)


def one_by_one(q, k, v, lengths, causal):
    """The heads one by one, consecutive ones with the same keys and values; what is not read is not there."""
    batch, places, heads, d = q.shape
    share, rows = heads // k.shape[2], []
    for b in range(batch):
        n = k.shape[1] if lengths is None else lengths[b]
        for t in range(places):
            m = min(n, t + 1) if causal else n
            for h in range(heads):
                a = jax.nn.softmax(k[b, :m, h // share] @ q[b, t, h] / np.sqrt(d))
                rows.append(a @ v[b, :m, h // share])
    return jnp.stack(rows).reshape(q.shape)


def attention():
    x, lengths = some(2, 4, 8), [4, 2]
    where = {"w": "attention.weight", "b": "attention.bias_in", "o": "attention.out.weight", "c": "attention.out.bias"}
    for text, heads, kv_heads, n, options in [
        ("2", 2, 2, None, {}),
        ("4, causal=true", 4, 4, None, {"causal": True}),
        ("4, kv_heads=2", 4, 2, lengths, {}),
        ("4, kv_heads=1, causal=true", 4, 1, lengths, {"causal": True}),
        ("2, causal=true, rotary=true", 2, 2, None, {"causal": True, "base": 10000}),
        ("2, rotary=true, base=100, bias=false", 2, 2, None, {"base": 100}),
    ]:
        shared = kv_heads * 8 // heads
        p = {"w": some(8, 8 + 2 * shared), "o": some(8, 8)}
        if "bias" not in text:
            p.update(b=some(8 + 2 * shared), c=some(8))
        checked("Attention", f"Attention{{{text}}}", x, p, {k: where[k] for k in p},
                lambda q, a: attend(q, a, heads, kv_heads, n, **options), n)
    p = {"w": some(8, 24), "b": some(24), "o": some(8, 8), "c": some(8)}
    y, n = some(2, 3, 8), np.array([3, 1], np.int32)
    state = {where[k]: a for k, a in p.items()}
    value("Attention", "Attention{2}(x, context=y)", {"x": x, "y": y}, attend(p, x, 2, 2, context=y), state, "near 1e-12 1e-13")
    value("Attention", "Attention{2}(x, n, y)", {"x": x, "y": y, "n": n}, attend(p, x, 2, 2, n, y), state, "near 1e-12 1e-13")
    empty = np.zeros(2, np.int32)
    value("Attention", "Attention{2}(x, n)", {"x": x, "n": empty}, np.broadcast_to(p["c"], x.shape), state)
    trained("Attention", "r = sum(Attention{2}(a, context=y) * k) + 0 * z[0]", {"z": np.zeros(2)},
            {"a": x, "y": y, "k": some(2, 4, 8), **p}, "r + 0 * mean(z)",
            lambda q, _: jnp.sum(attend(q, q["a"], 2, 2, context=q["y"]) * q["k"]), paths=where, compare="near 1e-11 1e-12")


def positions():
    x = some(2, 5, 3, 4)
    for call, base in [("", 10000), (", 50", 50)]:
        value("rotary_positions", f"rotary_positions(x{call})", {"x": x}, turned(x, base))
        trained("rotary_positions", f"r = sum(rotary_positions(a{call}) * k) + 0 * z[0]", {"z": np.zeros(2)},
                {"a": x, "k": some(2, 5, 3, 4)}, "r + 0 * mean(z)", lambda p, _: jnp.sum(turned(p["a"], base) * p["k"]))
    t, i = np.arange(7)[:, None], np.arange(6)
    angle = t / 10000 ** (2 * (i // 2) / 6)
    want = np.where(i % 2 == 0, np.sin(angle), np.cos(angle))
    y = some(2, 7, 6)
    value("sinusoidal_positions", "x + sinusoidal_positions(7, 6)", {"x": y}, y + want)


def padded_rows():
    table, rows = some(6, 3), np.array([[0, 5], [2, 2], [5, 1]], np.int32)
    read = lambda w: jnp.where((rows == 2)[..., None], 0, w[rows])
    value("Embed", "x |> Embed{6, 3, padding=2}", {"x": rows}, read(table), {"embed.weight": table})
    trained("Embed", "r = x |> Embed{6, 3, padding=2} |> flatten", {"x": rows}, {"w": table}, "sum(r * r * k)",
            lambda p, d: jnp.sum(read(p["w"]).reshape(3, 6) ** 2 * d["k"]), {"k": some(3, 6)}, paths={"w": "embed.weight"})


def sequence_layers():
    recurrent()
    attention()
    positions()
    padded_rows()
