"""Makes two_players.txt: ten training steps of two updates each in f64, by JAX: a critic with a gradient penalty, then
what it judges, which sees the critic as it is after its update.

One line a case: the fields of each step, then the two losses of each training step, then the final weights in the order of
their names. Run: python two_players.py > two_players.txt
"""
import jax
import jax.numpy as jnp

jax.config.update("jax_enable_x64", True)
B, STEPS = 6, 10
x = jnp.sin(1 + jnp.arange(B * 4.0)).reshape(B, 4)
z = jnp.cos(2 + 3 * jnp.arange(B * 2.0)).reshape(B, 2)
SHAPES = {"D.inner.bias": (3,), "D.inner.weight": (4, 3), "D.outer.bias": (1,), "D.outer.weight": (3, 1),
          "G.bias": (4,), "G.weight": (2, 4)}


def first_values():
    sizes = [int(jnp.prod(jnp.array(s))) for s in SHAPES.values()]
    return {n: jnp.sin(1.0 + i + jnp.arange(sizes[i])).reshape(s) for i, (n, s) in enumerate(SHAPES.items())}


def critic(p, x):
    h = jnp.tanh(x @ p["D.inner.weight"] + p["D.inner.bias"])
    return (h @ p["D.outer.weight"] + p["D.outer.bias"])[:, 0]


def d_loss(d, g):
    made = jnp.tanh(z @ g["G.weight"] + g["G.bias"])
    slope = jax.grad(lambda m: critic(d, m).sum())((x + made) / 2)
    norm = jnp.sqrt((slope**2).sum(1))
    return critic(d, made).mean() - critic(d, x).mean() + 10 * ((norm - 1) ** 2).mean()


def g_loss(g, d):
    return -critic(d, jnp.tanh(z @ g["G.weight"] + g["G.bias"])).mean()


def clipped(grads, most):
    norm = jnp.sqrt(sum((v**2).sum() for v in grads.values()))
    return {n: v * jnp.minimum(1, most / (norm + 1e-6)) for n, v in grads.items()}


def sgd(p, g, slot, lr, step):
    slot = {n: g[n] if step == 0 else 0.9 * slot[n] + g[n] for n in p}
    return {n: p[n] - lr * slot[n] for n in p}, slot


def adam(p, g, slot, lr, step, b1=0.5, b2=0.999, eps=1e-8):
    m, v = slot if slot else ({n: 0 * p[n] for n in p}, {n: 0 * p[n] for n in p})
    m = {n: b1 * m[n] + (1 - b1) * g[n] for n in p}
    v = {n: b2 * v[n] + (1 - b2) * g[n] ** 2 for n in p}
    c1, c2 = 1 - b1 ** (step + 1), 1 - b2 ** (step + 1)
    return {n: p[n] - lr * (m[n] / c1) / (jnp.sqrt(v[n] / c2) + eps) for n in p}, (m, v)


CASES = [("optimizer = adam{beta1=0.5}; lr = 0.01", adam, 0.01, None, "optimizer = sgd{momentum=0.9}; lr = 0.05", sgd, 0.05, None),
         ("optimizer = sgd{momentum=0.9}; lr = 0.02; clip = norm(0.5)", sgd, 0.02, 0.5, "optimizer = adam{beta1=0.5}; lr = 0.01; clip = norm(0.1)", adam, 0.01, 0.1)]
for d_text, d_update, d_rate, d_clip, g_text, g_update, g_rate, g_clip in CASES:
    p = first_values()
    d, g = ({n: v for n, v in p.items() if n[0] == who} for who in "DG")
    d_slot, g_slot, losses = {}, {}, []
    for step in range(STEPS):
        loss, grads = jax.value_and_grad(d_loss)(d, g)
        losses.append(float(loss))
        d, d_slot = d_update(d, clipped(grads, d_clip) if d_clip else grads, d_slot, d_rate, step)
        loss, grads = jax.value_and_grad(g_loss)(g, d)
        losses.append(float(loss))
        g, g_slot = g_update(g, clipped(grads, g_clip) if g_clip else grads, g_slot, g_rate, step)
    final = [float(v) for n in SHAPES for v in {**d, **g}[n].flatten()]
    print(f"{d_text}\t{g_text}\t" + " ".join(map(repr, losses + final)))
