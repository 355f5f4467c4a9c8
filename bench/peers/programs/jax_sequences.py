"""The example programs over texts and sounds in JAX: charlstm, gpt, speech_words."""
import math

import jax, jax.numpy as jnp, numpy as np
from jax import lax

import data
from jax_program import Program, adam, batch_norm, cross_entropy, dense, dropout, glorot, he, layer, norm, rng, running, zeros

normal = lambda deviation, *shape: jnp.asarray(deviation * rng.normal(size=shape), jnp.float32)


def layer_norm(p, x):
    mu = x.mean(-1, keepdims=True)
    c = x - mu
    return c * lax.rsqrt((c * c).mean(-1, keepdims=True) + 1e-5) * p["w"] + p["b"]


def gpt(o, context=128, d=128, heads=4):
    block = lambda: {"n1": norm(d), "qkv": layer(glorot, d, 3 * d), "out": layer(glorot, d, d), "n2": norm(d), "a": layer(glorot, d, 4 * d), "b": layer(glorot, 4 * d, d)}
    p = {"token": normal(0.02, 65, d), "place": normal(0.02, context, d), "blocks": [block() for _ in range(4)], "n": norm(d)}
    mask = np.tril(np.ones((context, context), bool))

    def attention(q, x):
        b = x.shape[0]
        a, k, v = (t.reshape(b, context, heads, d // heads) for t in jnp.split(dense(q["qkv"], x), 3, -1))
        s = jnp.einsum("bthc,bshc->bhts", a, k) / math.sqrt(d // heads)
        s = jax.nn.softmax(jnp.where(mask, s, -jnp.inf))
        return dense(q["out"], jnp.einsum("bhts,bshc->bthc", s, v).reshape(b, context, d))

    def loss(p, batch, key, aux):
        h = p["token"][batch[0]] + p["place"]
        for q in p["blocks"]:
            h = h + attention(q, layer_norm(q["n1"], h))
            h = h + dense(q["b"], jax.nn.gelu(dense(q["a"], layer_norm(q["n2"], h)), approximate=False))
        return cross_entropy(layer_norm(p["n"], h) @ p["token"].T, batch[1]), aux

    return Program(p, (data.shakespeare(o.data).astype("int32"),), windows(context), loss, adam(0.9, 0.99, 0.1), clip=1)


def windows(context):
    def load(arrays, rows, key):
        w = arrays[0][rows[:, None] * context + jnp.arange(context + 1)]
        return w[:, :-1], w[:, 1:]

    return load


def lstm(p, xs, state, drop):
    """[B, T, n] of inputs [B, T, d] and the state after them; the products with the inputs stand before the loop."""

    def cell(s, u):
        i, f, g, o = jnp.split(u + s[0] @ p["h"], 4, -1)
        c = jax.nn.sigmoid(f) * s[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    state, ys = lax.scan(cell, state, jnp.swapaxes(xs @ p["w"] + p["b"], 0, 1))
    return drop(jnp.swapaxes(ys, 0, 1)), state


def charlstm(o, context=64, n=256):
    cell = lambda d: {"w": glorot(d, 4 * n), "h": glorot(n, 4 * n), "b": zeros(4 * n).at[n : 2 * n].set(1)}
    p = {"token": normal(0.1, 65, 64), "1": cell(64), "2": cell(n), "head": layer(glorot, n, 65)}
    nothing = lambda: (zeros(o.batch, n), zeros(o.batch, n))

    def loss(p, batch, key, aux):
        k = jax.random.split(key)
        h, first = lstm(p["1"], p["token"][batch[0]], aux[0], lambda y: dropout(y, k[0], 0.1))
        h, second = lstm(p["2"], h, aux[1], lambda y: dropout(y, k[1], 0.1))
        return cross_entropy(dense(p["head"], h), batch[1]), (first, second)

    def order(o):
        return np.arange(o.batch * o.steps, dtype=np.int32).reshape(o.batch, o.steps).T.copy()

    return Program(p, (data.shakespeare(o.data).astype("int32"),), windows(context), loss, adam(), (nothing(), nothing()), clip=1, order=order)


def log_mel(x, hop):
    """[B, N / hop + 1, mels] of samples [B, N]."""
    frames = jnp.pad(x, ((0, 0), (128, 128)))[:, np.arange(0, x.shape[1] + 1, hop)[:, None] + np.arange(256)]
    z = jnp.fft.rfft(frames * (0.5 - 0.5 * np.cos(np.arange(256) * (2 * math.pi / 256))).astype("float32"))
    return jnp.log(jnp.maximum((z.real**2 + z.imag**2) @ data.mel_filters(), 1e-6))


def along_time(p, x, stride):
    return lax.conv_general_dilated(x, p, (stride,), "SAME", dimension_numbers=("NWC", "WIO", "NWC"))


def speech_words(o):
    x, _, said = data.fsdd(o.data)
    sizes = ((40, 64, 1), (64, 96, 2), (96, 128, 2), (128, 128, 2))
    p = {"loud": norm(40), "blocks": [{"w": he(5, i, n), "n": norm(n)} for i, n, _ in sizes], "f": layer(glorot, 128, 10)}
    aux = {"loud": running(40), "blocks": [running(n) for _, n, _ in sizes]}

    def loss(p, batch, key, aux):
        h, loud = batch_norm(p["loud"], log_mel(batch[0], 128), aux["loud"])
        kept = {"loud": loud, "blocks": []}
        for q, a, (_, _, stride) in zip(p["blocks"], aux["blocks"], sizes):
            h, r = batch_norm(q["n"], along_time(q["w"], h, stride), a)
            h = jax.nn.relu(h)
            kept["blocks"].append(r)
        return cross_entropy(dense(p["f"], dropout(h.mean(1), key, 0.3)), batch[1], 0.1), kept

    return Program(p, (x, data.words(said).astype("int32")), lambda a, rows, key: (a[0][rows], a[1][rows]), loss, adam(decay=0.01), aux)


PROGRAMS = {"charlstm": charlstm, "gpt": gpt, "speech_words": speech_words}
