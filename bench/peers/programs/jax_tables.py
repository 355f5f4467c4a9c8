"""The example programs over points and tables in JAX: pinn, titanic_like."""
import jax, jax.numpy as jnp, numpy as np

import data
from jax_program import Program, adam, dense, dropout, glorot, layer


def pinn(o, a=0.1):
    points = np.random.default_rng(1).random((20000, 2), np.float32)
    p = {"a": layer(glorot, 2, 32), "b": layer(glorot, 32, 32), "c": layer(glorot, 32, 1)}

    def u(p, t, x):
        h = jnp.tanh(dense(p["b"], jnp.tanh(dense(p["a"], 2 * jnp.stack([t, x], -1) - 1))))
        return jnp.sin(jnp.pi * x) + t * x * (1 - x) * dense(p["c"], h)[..., 0]

    def loss(p, place, key, aux):
        t, x = place[:, 0], place[:, 1]
        ones = jnp.ones_like(t)
        u_t = jax.jvp(lambda t: u(p, t, x), (t,), (ones,))[1]
        u_xx = jax.jvp(lambda x: jax.jvp(lambda x: u(p, t, x), (x,), (ones,))[1], (x,), (ones,))[1]
        return jnp.mean((u_t - a * u_xx) ** 2), aux

    return Program(p, (points,), lambda a, rows, key: a[0][rows], loss, adam(), scanned=True)


def titanic_like(o):
    x, gaps, names, y = data.passengers()
    mu, deviation = x.mean(0), x.std(0) + 1e-8
    tables = ((3, 2), (4, 3), (4, 3), (8, 4))
    random = np.random.default_rng(2)
    p = {"names": [jnp.asarray(random.normal(size=s), jnp.float32) for s in tables], "a": layer(glorot, 18, 32), "b": layer(glorot, 32, 1)}

    def loss(p, batch, key, aux):
        x, gaps, names, y = batch
        embedded = [t[names[:, i]] for i, t in enumerate(p["names"])]
        h = jnp.concatenate([(x - mu) / deviation, gaps, *embedded], 1)
        logit = dense(p["b"], dropout(jnp.tanh(dense(p["a"], h)), key, 0.3))[:, 0]
        return jnp.mean(jax.nn.softplus(logit) - logit * y), aux

    return Program(p, (x, gaps, names.astype("int32"), y), lambda a, rows, key: [f[rows] for f in a], loss, adam(decay=0.1), scanned=True)


PROGRAMS = {"pinn": pinn, "titanic_like": titanic_like}
