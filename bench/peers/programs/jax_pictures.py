"""The example programs over pictures in JAX: lenet, resnet, autoencoder, vae, gan, finetune."""
import jax, jax.numpy as jnp
from jax import lax

import data
from jax_program import Program, adam, batch_norm, conv, cross_entropy, dense, dropout, glorot, he, layer, norm, pool, running, sgd

relu = jax.nn.relu
unit = lambda x: x.astype(jnp.float32)[..., None] / 255
no_aux = lambda loss: lambda p, batch, key, aux: (loss(p, batch, key), aux)


def moved(padded, rows, key, n, by):
    """Windows [n, n] of padded pictures at random places."""
    at = jax.random.randint(key, (len(rows), 2), 0, 2 * by + 1)
    return jax.vmap(lambda r, a: lax.dynamic_slice(padded, (r, a[0], a[1], *[0] * (padded.ndim - 3)), (1, n, n, *padded.shape[3:]))[0])(rows, at)


def convolved(p, x):
    """Two convolutions, each with a pool."""
    x = pool(relu(conv(p["a"], x)))
    return pool(relu(conv(p["b"], x))).reshape(x.shape[0], -1)


def lenet(o):
    x, y = data.mnist(o.data)
    p = {"a": layer(he, 5, 5, 1, 20), "b": layer(he, 5, 5, 20, 50), "c": layer(he, 800, 500), "d": layer(glorot, 500, 10)}

    def load(arrays, rows, key):
        return unit(moved(arrays[0], rows, key, 28, 2)), arrays[1][rows]

    def loss(p, batch, key):
        h = dropout(relu(dense(p["c"], convolved(p, batch[0]))), key, 0.5)
        return cross_entropy(dense(p["d"], h), batch[1])

    return Program(p, (data.padded(x, 2), y.astype("int32")), load, no_aux(loss), sgd(5e-4))


def resnet(o):
    x, y = data.cifar(o.data)
    kernel = lambda *shape: {"w": he(*shape)}
    p, aux, strides, inputs = {"c": kernel(3, 3, 3, 16), "n": norm(16), "f": layer(glorot, 64, 10), "blocks": []}, {"n": running(16), "blocks": []}, [], 16
    for n, first in ((16, 1), (32, 2), (64, 2)):
        for i in range(3):
            block = {"a": kernel(3, 3, inputs, n), "na": norm(n), "b": kernel(3, 3, n, n), "nb": norm(n)}
            p["blocks"].append({**block, "short": kernel(1, 1, inputs, n)} if inputs != n else block)
            aux["blocks"].append({"na": running(n), "nb": running(n)})
            strides.append(first if i == 0 else 1)
            inputs = n
    same = ((1, 1), (1, 1))

    def load(arrays, rows, key):
        k = jax.random.split(key)
        x = moved(arrays[0], rows, k[0], 32, 4)
        x = jnp.where(jax.random.bernoulli(k[1], 0.5, (len(rows), 1, 1, 1)), x[:, :, ::-1], x)
        return (x.astype(jnp.float32) / 255 - 0.47) / 0.25, arrays[1][rows]

    def loss(p, batch, key, aux):
        x, first = batch_norm(p["n"], conv(p["c"], batch[0], 1, same), aux["n"])
        x, kept = relu(x), {"n": first, "blocks": []}
        for q, a, s in zip(p["blocks"], aux["blocks"], strides):
            y, na = batch_norm(q["na"], conv(q["a"], x, s, same), a["na"])
            y, nb = batch_norm(q["nb"], conv(q["b"], relu(y), 1, same), a["nb"])
            x = relu(y + (conv(q["short"], x, s) if "short" in q else x))
            kept["blocks"].append({"na": na, "nb": nb})
        return cross_entropy(dense(p["f"], x.mean((1, 2))), batch[1]), kept

    return Program(p, (data.padded(x, 4), y.astype("int32")), load, loss, sgd(5e-4), aux)


ONE = ((1, 1), (1, 1))
decoder = lambda: {"in": layer(he, 32, 1568), "up": layer(glorot, 4, 4, 32, 16), "out": layer(glorot, 4, 4, 16, 1)}
twice = lambda p, x: lax.conv_transpose(x, p["w"], (2, 2), "SAME") + p["b"]


def decode(p, code):
    x = relu(dense(p["in"], code)).reshape(-1, 7, 7, 32)
    return jax.nn.sigmoid(twice(p["out"], relu(twice(p["up"], x))))


def halved(p, x, act):
    x = act(conv(p["b"], act(conv(p["a"], x, 2, ONE)), 2, ONE))
    return x.reshape(x.shape[0], -1)


def autoencoder(o):
    p = {"a": layer(he, 4, 4, 1, 16), "b": layer(he, 4, 4, 16, 32), "code": layer(glorot, 1568, 32), "d": decoder()}

    def loss(p, x, key):
        return jnp.mean((decode(p["d"], dense(p["code"], halved(p, x, relu))) - x) ** 2)

    return Program(p, (data.mnist(o.data)[0],), lambda a, rows, key: unit(a[0][rows]), no_aux(loss), adam())


def vae(o):
    p = {"e": layer(he, 784, 400), "mu": layer(glorot, 400, 20), "var": layer(glorot, 400, 20), "d": layer(he, 20, 400), "x": layer(glorot, 400, 784)}

    def loss(p, x, key):
        h = relu(dense(p["e"], x))
        mu, log_var = dense(p["mu"], h), dense(p["var"], h)
        z = mu + jnp.exp(log_var / 2) * jax.random.normal(key, mu.shape)
        logits = dense(p["x"], relu(dense(p["d"], z)))
        kl = jnp.mean(0.5 * jnp.sum(jnp.exp(log_var) + mu * mu - 1 - log_var, 1))
        return 784 * jnp.mean(jax.nn.softplus(logits) - logits * x) + kl

    x = data.mnist(o.data)[0].reshape(-1, 784)
    return Program(p, (x,), lambda a, rows, key: a[0][rows].astype(jnp.float32) / 255, no_aux(loss), adam())


def gan(o):
    p = {"g": decoder(), "c": {"a": layer(he, 4, 4, 1, 16), "b": layer(he, 4, 4, 16, 32), "out": layer(glorot, 1568, 1)}}
    critic = lambda p, x: dense(p["out"], halved(p, x, lambda h: jax.nn.leaky_relu(h, 0.2)))[:, 0]
    init, update = adam(0.5)

    def critic_loss(p, paper, picture):
        slope, real = jax.grad(lambda x: (lambda y: (y.sum(), y))(critic(p, x)), has_aux=True)(paper)
        return jnp.mean(jax.nn.softplus(critic(p, picture)) + jax.nn.softplus(-real)) + 0.2 * jnp.mean(jnp.sum(slope**2, (1, 2, 3)))

    def step(state, n, rate, arrays, rows, key):
        p, s, _ = state
        rates = jax.tree_util.tree_map(lambda _: rate, p)
        picture, back = jax.vjp(lambda g: decode(g, jax.random.normal(key, (len(rows), 32))), p["g"])
        d, grad = jax.value_and_grad(critic_loss)(p["c"], unit(arrays[0][rows]), picture)
        c, sc = update(p["c"], s["c"], grad, rates["c"], n)
        g, grad = jax.value_and_grad(lambda x: jnp.mean(jax.nn.softplus(-critic(c, x))))(picture)
        made, sg = update(p["g"], s["g"], back(grad)[0], rates["g"], n)
        return ({"g": made, "c": c}, {"g": sg, "c": sc}, ()), jnp.stack([d, g])

    both = lambda p: {k: init(v) for k, v in p.items()}
    return Program(p, (data.mnist(o.data)[0],), None, None, (both, None), step=step)


def finetune(o):
    x, y = data.mnist(o.data, range(5, 10))
    p = {"a": layer(he, 5, 5, 1, 16), "b": layer(he, 5, 5, 16, 32), "c": layer(he, 512, 100), "d": layer(glorot, 100, 10)}
    frozen, trained = p.pop("a"), p
    share = {k: {"w": s, "b": s} for k, s in (("b", 1 / 3), ("c", 1), ("d", 1))}

    def loss(p, batch, key, aux):
        h = relu(dense(p["c"], convolved({**p, "a": aux}, batch[0])))
        return cross_entropy(dense(p["d"], h), batch[1]), aux

    program = Program(trained, (x, y.astype("int32")), lambda a, rows, key: (unit(a[0][rows]), a[1][rows]), loss, adam(decay=0.01), frozen, share=share)
    program.parameters = lambda: sum(q.size for q in jax.tree_util.tree_leaves((trained, frozen)))
    return program


PROGRAMS = {"lenet": lenet, "resnet": resnet, "autoencoder": autoencoder, "vae": vae, "gan": gan, "finetune": finetune}
