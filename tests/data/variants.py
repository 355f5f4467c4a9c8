"""Makes variants.txt: accumulated gradients, running averages of the weights, and rates and settings by parameter, in
NumPy f64 from their formulas. The average is PyTorch's AveragedModel with get_ema_avg_fn (the first update is taken as
it is); torch itself was not at hand.

One line a case: the fields of the train block, the planned steps, then for the steps in SHOWN the parameters w, k, b of
the model in tests/model/variants_test.cpp as files have them, and the trained weights w, k, b behind them where an
average stands under the parameters' names. Run: python variants.py > variants.txt, or --check
"""
import math
import pathlib
import sys

import numpy as np

ROWS, N, M, BATCH = 12, 8, 3, 2
SHOWN = (1, 2, 3, 5, 6, 9, 11)
X = np.sin(1 + np.arange(ROWS * N, dtype=float)).reshape(ROWS, N)
Y = np.cos(2 + 3 * np.arange(ROWS * M, dtype=float)).reshape(ROWS, M)


class Sgd:
    def __init__(self, momentum=0.0, decay=0.0):
        self.momentum, self.decay, self.m = momentum, decay, 0.0

    def step(self, p, g, lr, t):
        self.m = self.momentum * self.m + g + self.decay * p
        return p - lr * self.m


class Adam:
    def __init__(self):
        self.m, self.v = 0.0, 0.0

    def step(self, p, g, lr, t):
        self.m, self.v = 0.9 * self.m + (1 - 0.9) * g, 0.999 * self.v + (1 - 0.999) * g * g
        return p - lr / (1 - 0.9**t) * self.m / (np.sqrt(self.v) / math.sqrt(1 - 0.999**t) + 1e-8)


def cosine(peak, step, total):
    return peak * 0.5 * (1 + math.cos(math.pi * min(1, step / max(1, total))))


def gradients(p, rows):
    """Of mean((x @ w + 0.5 * x @ k + b - y)**2) over the batch, where k has three axes, w two and b one."""
    x, y = X[rows], Y[rows]
    e = (x @ p["w"] + 0.5 * x @ p["k"].reshape(N, M) + p["b"] - y) * 2 / y.size
    return {"w": x.T @ e, "k": (0.5 * x.T @ e).reshape(p["k"].shape), "b": e.sum(0)}


def trained(rules, rate, accumulate=1, clip=0.0, value=0.0, ema=0.0, batch=BATCH, shown=SHOWN):
    p = {"w": np.full((N, M), 0.5), "k": np.full((2, N // 2, M), 0.25), "b": np.zeros(M)}
    average, sums, held, out, updates = dict(p), {}, 0, [], 0
    planned = math.ceil(max(shown) / accumulate)
    for t in range(1, max(shown) + 1):
        rows = [((t - 1) * batch + i) % ROWS for i in range(batch)]
        g, held = gradients(p, rows), held + 1
        sums = {name: sums.get(name, 0) + g[name] for name in p}
        if held == accumulate or t == max(shown):
            g = {name: sums[name] / held for name in p}
            if clip:
                norm = math.sqrt(sum((v * v).sum() for v in g.values()))
                g = {name: v * min(1, clip / (norm + 1e-6)) for name, v in g.items()}
            if value:
                g = {name: np.clip(v, -value, value) for name, v in g.items()}
            p = {name: rules[name].step(p[name], g[name], rate(name, updates, planned), updates + 1) for name in p}
            average = {name: ema * average[name] + (1 - ema) * p[name] if updates else p[name] for name in p}
            sums, held, updates = {}, 0, updates + 1
        if t in shown:
            for weights in [average, p] if ema else [p]:
                out += [v for name in p for v in weights[name].ravel().tolist()]
    return out


def every(make):
    return {name: make() for name in "wkb"}


def momentum():
    return every(lambda: Sgd(momentum=0.9))


CASES = [
    ("optimizer = sgd{momentum=0.9}; lr = 0.05; accumulate = 3", momentum(), lambda n, s, t: 0.05, {"accumulate": 3}),
    ("optimizer = adam{}; lr = cosine(0.1, 0); accumulate = 2", every(Adam), lambda n, s, t: cosine(0.1, s, t), {"accumulate": 2}),
    ("optimizer = sgd{momentum=0.9}; lr = cosine(0.1, 0); accumulate = 4; clip = norm(0.2)", momentum(),
     lambda n, s, t: cosine(0.1, s, t), {"accumulate": 4, "clip": 0.2}),
    ("optimizer = adam{}; lr = 0.02; ema = 0.8", every(Adam), lambda n, s, t: 0.02, {"ema": 0.8}),
    ("optimizer = sgd{momentum=0.9}; lr = 0.05; ema = 0.9; accumulate = 3; clip = norm(0.3)", momentum(), lambda n, s, t: 0.05,
     {"ema": 0.9, "accumulate": 3, "clip": 0.3}),
    ('optimizer = sgd{}; lr = 0.01 if param.path == "w" else 0.1 if matches(param.path, ["x", "k*"]) else 0', every(Sgd),
     lambda n, s, t: {"w": 0.01, "k": 0.1, "b": 0.0}[n], {}),
    ("optimizer = adam{}; lr = cosine(0.1 if rank(param) >= 2 else 0.02, 0); accumulate = 2; ema = 0.5", every(Adam),
     lambda n, s, t: cosine(0.02 if n == "b" else 0.1, s, t), {"accumulate": 2, "ema": 0.5}),
    ('optimizer = sgd{momentum = 0.5 if param.path == "b" else 0, weight_decay = 0.3 if matches(param.path, "*w*") else 0}; lr = 0.1',
     {"w": Sgd(decay=0.3), "k": Sgd(), "b": Sgd(momentum=0.5)}, lambda n, s, t: 0.1, {}),
    ("optimizer = sgd{momentum=0.9}; lr = 0.1; accumulate = 2; clip = value(0.05)", momentum(), lambda n, s, t: 0.1, {"accumulate": 2, "value": 0.05}),
]

# Of rows that divide, N batches are one batch of N times as many.
assert np.abs(np.subtract(trained(momentum(), lambda n, s, t: 0.05, accumulate=3, shown=(3, 6, 12)),
                          trained(momentum(), lambda n, s, t: 0.05, batch=6, shown=(1, 2, 4)))).max() < 1e-15

lines = [f"{text}\t{max(SHOWN)}\t{' '.join(map(repr, trained(rules, rate, **more)))}\n" for text, rules, rate, more in CASES]
if "--check" in sys.argv:
    sys.exit("".join(lines) != pathlib.Path(__file__).with_name("variants.txt").read_text() and "variants.txt differs")
print("".join(lines), end="")
