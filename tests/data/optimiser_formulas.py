"""Makes optimiser_formulas.txt: optimisers step by step for 100 steps in f64, in NumPy, from their formulas: those of
PyTorch's documentation (NAdam, RAdam, Adamax, Rprop, Adafactor; torch itself was not at hand), of the papers for Lion, LAMB and Muon.

One line a case: the optimiser in the model language, the rate, then all weights after the steps in SHOWN, parameters in
the order w, k, b of the model in tests/model/optimiser_test.cpp. Adam's formula is checked here against PyTorch's own
results (optimisers.txt). Run: python optimiser_formulas.py > optimiser_formulas.txt, or --check
"""
import math
import pathlib
import sys

import numpy as np

ROWS, N, M, STEPS = 6, 8, 3, 100
SHOWN = (1, 3, 10, 30, 100)
X = np.sin(1 + np.arange(ROWS * N, dtype=float)).reshape(ROWS, N)
Y = np.cos(2 + 3 * np.arange(ROWS * M, dtype=float)).reshape(ROWS, M)
F64_EPS = sys.float_info.epsilon


class Adam:
    def __init__(self, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0, decoupled=False):
        self.beta1, self.beta2, self.eps, self.decay, self.decoupled = beta1, beta2, eps, weight_decay, decoupled
        self.m, self.v = 0.0, 0.0

    def decayed(self, p, g, lr):
        return (p * (1 - lr * self.decay), g) if self.decoupled else (p, g + self.decay * p)

    def means(self, g):
        self.m = self.beta1 * self.m + (1 - self.beta1) * g
        self.v = self.beta2 * self.v + (1 - self.beta2) * g * g

    def step(self, p, g, lr, t):
        self.means(g + self.decay * p)
        m, v = self.m / (1 - self.beta1**t), self.v / (1 - self.beta2**t)
        return p - lr * m / (np.sqrt(v) + self.eps)


class NAdam(Adam):
    def __init__(self, momentum_decay=0.004, **more):
        super().__init__(**more)
        self.psi, self.product = momentum_decay, 1.0

    def step(self, p, g, lr, t):
        p, d = self.decayed(p, g, lr)
        mu, after = [self.beta1 * (1 - 0.5 * 0.96 ** (n * self.psi)) for n in (t, t + 1)]
        self.product *= mu
        self.means(d)
        m = after * self.m / (1 - self.product * after) + (1 - mu) * d / (1 - self.product)
        return p - lr * m / (np.sqrt(self.v / (1 - self.beta2**t)) + self.eps)


class RAdam(Adam):
    def step(self, p, g, lr, t):
        p, d = self.decayed(p, g, lr)
        self.means(d)
        m = self.m / (1 - self.beta1**t)
        most = 2 / (1 - self.beta2) - 1
        rho = most - 2 * t * self.beta2**t / (1 - self.beta2**t)
        if rho <= 5:
            return p - lr * m
        r = math.sqrt((rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho))
        return p - lr * m * r * math.sqrt(1 - self.beta2**t) / (np.sqrt(self.v) + self.eps)


class Adamax(Adam):
    def step(self, p, g, lr, t):
        d = g + self.decay * p
        self.m = self.beta1 * self.m + (1 - self.beta1) * d
        self.v = np.maximum(self.beta2 * self.v, np.abs(d) + self.eps)
        return p - lr / (1 - self.beta1**t) * self.m / self.v


class Lion:
    def __init__(self, beta1=0.9, beta2=0.99, weight_decay=0.0):
        self.beta1, self.beta2, self.decay, self.m = beta1, beta2, weight_decay, 0.0

    def step(self, p, g, lr, t):
        u = np.sign(self.beta1 * self.m + (1 - self.beta1) * g)
        self.m = self.beta2 * self.m + (1 - self.beta2) * g
        return p - lr * (u + self.decay * p)


class Lamb(Adam):
    def step(self, p, g, lr, t):
        self.means(g)
        r = self.m / (1 - self.beta1**t) / (np.sqrt(self.v / (1 - self.beta2**t)) + self.eps)
        u = r + self.decay * p
        long, far = np.linalg.norm(p), np.linalg.norm(u)
        return p - lr * (long / far if long > 0 and far > 0 else 1.0) * u


class Rprop:
    def __init__(self, shorter=0.5, longer=1.2, least=1e-6, most=50.0):
        self.shorter, self.longer, self.least, self.most = shorter, longer, least, most
        self.before, self.size = 0.0, None

    def step(self, p, g, lr, t):
        if self.size is None:
            self.size = np.full_like(g, lr)
        same = np.sign(g * self.before)
        by = np.where(same > 0, self.longer, np.where(same < 0, self.shorter, 1.0))
        self.size = np.clip(self.size * by, self.least, self.most)
        self.before = np.where(same < 0, 0.0, g)
        return p - np.sign(self.before) * self.size


class Adafactor:
    def __init__(self, beta2_decay=-0.8, eps1=F64_EPS, eps2=1e-3, d=1.0, weight_decay=0.0):
        self.power, self.eps1, self.eps2, self.d, self.decay = beta2_decay, eps1, eps2, d, weight_decay
        self.row, self.col, self.v = 0.0, 0.0, 0.0

    def step(self, p, g, lr, t):
        keep = 1 - t**self.power
        rate = max(self.eps2, np.linalg.norm(p) / math.sqrt(p.size)) * min(lr, 1 / math.sqrt(t))
        p = p * (1 - lr * self.decay)
        if g.ndim > 1:
            self.row = keep * self.row + (1 - keep) * (g * g).mean(-1, keepdims=True)
            self.col = keep * self.col + (1 - keep) * (g * g).mean(-2, keepdims=True)
            v = self.row @ self.col / np.maximum(self.eps1, self.row.mean(-2, keepdims=True))
        else:
            v = self.v = keep * self.v + (1 - keep) * g * g
        u = g / np.sqrt(np.maximum(v, self.eps1**2))
        return p - rate / max(1.0, np.linalg.norm(u) / (math.sqrt(u.size) * self.d)) * u


class Muon(Adam):
    """As torch.optim.Muon computes matrices (ns_coefficients, eps 1e-7, adjust_lr_fn "original"), in f64 throughout; what
    has more axes as one of its last axis, what has one as AdamW."""

    def __init__(self, momentum=0.95, nesterov=True, decay=0.1):
        super().__init__(beta1=0.9, beta2=0.95)
        self.momentum, self.nesterov, self.rate = momentum, nesterov, decay
        self.buffer = 0.0

    def step(self, p, g, lr, t):
        p = p * (1 - lr * self.rate)
        if g.ndim < 2:
            return super().step(p, g, lr, t)
        self.buffer = self.momentum * self.buffer + (1 - self.momentum) * g
        u = self.momentum * self.buffer + (1 - self.momentum) * g if self.nesterov else self.buffer
        x = u.reshape(-1, g.shape[-1])
        rows, columns = x.shape
        x = (x.T if rows > columns else x) / max(1e-7, np.linalg.norm(x))
        for _ in range(5):
            a = x @ x.T
            x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
        x = x.T if rows > columns else x
        return p - lr * math.sqrt(max(1.0, rows / columns)) * x.reshape(g.shape)


CASES = [
    ("nadam{}", 0.002, NAdam),
    ("nadam{weight_decay=0.1, momentum_decay=0.1}", 0.01, lambda: NAdam(weight_decay=0.1, momentum_decay=0.1)),
    ("radam{}", 0.01, RAdam),
    ("radam{beta1=0.8, beta2=0.9, weight_decay=0.1}", 0.01, lambda: RAdam(beta1=0.8, beta2=0.9, weight_decay=0.1)),
    ("nadam{weight_decay=0.1, decoupled=true}", 0.01, lambda: NAdam(weight_decay=0.1, decoupled=True)),
    ("radam{weight_decay=0.1, decoupled=true}", 0.01, lambda: RAdam(weight_decay=0.1, decoupled=True)),
    ("adamax{}", 0.002, Adamax),
    ("adamax{beta2=0.9, eps=0.01, weight_decay=0.1}", 0.01, lambda: Adamax(beta2=0.9, eps=0.01, weight_decay=0.1)),
    ("lion{}", 0.001, Lion),
    ("lion{beta1=0.8, weight_decay=0.1}", 0.003, lambda: Lion(beta1=0.8, weight_decay=0.1)),
    ("lamb{}", 0.01, lambda: Lamb(eps=1e-6)),
    ("lamb{weight_decay=0.1}", 0.02, lambda: Lamb(eps=1e-6, weight_decay=0.1)),
    ("rprop{}", 0.01, Rprop),
    ("rprop{shorter=0.6, longer=1.1, least=1e-3, most=0.05}", 0.02, lambda: Rprop(0.6, 1.1, 1e-3, 0.05)),
    (f"adafactor{{eps1={F64_EPS!r}}}", 0.01, Adafactor),
    (f"adafactor{{eps1={F64_EPS!r}, beta2_decay=-0.5, d=0.5, weight_decay=0.1}}", 0.3,
     lambda: Adafactor(beta2_decay=-0.5, d=0.5, weight_decay=0.1)),
    ("adafactor{eps1=0.1, eps2=0.6}", 0.01, lambda: Adafactor(eps1=0.1, eps2=0.6)),
    # Larger rates reach gradients whose small singular values are roundings, which Muon makes as large as the others: at
    # 0.02 inputs that differ by 3e-16 end 100 steps 0.02 apart, in NumPy itself.
    ("muon{}", 0.002, Muon),
    ("muon{momentum=0.8, nesterov=false, weight_decay=0}", 0.001, lambda: Muon(0.8, False, 0.0)),
]


def as_pytorch_computes():
    """Adam's class against the line that PyTorch itself made, on that file's problem."""
    known = {name: values for name, values in (line.split("\t") for line in beside("optimisers.txt").read_text().splitlines())}
    y, w, adam = np.cos(2 + 3 * np.arange(ROWS, dtype=float)), np.full(N, 0.5), Adam()
    for t in range(1, STEPS + 1):
        w = adam.step(w, X.T @ (X @ w - y) * 2 / ROWS, 0.01, t)
    assert np.abs(w - np.array(known["adam{}"].split(), float)).max() < 1e-13


def beside(name):
    return pathlib.Path(__file__).with_name(name)


def trained(make, rate):
    """mean((x @ w + 0.5 * x @ k + b - y)**2), where k has three axes, w two, b one and starts at 0."""
    p = {"w": np.full((N, M), 0.5), "k": np.full((2, N // 2, M), 0.25), "b": np.zeros(M)}
    rules, shown = {name: make() for name in p}, []
    for t in range(1, STEPS + 1):
        e = (X @ p["w"] + 0.5 * X @ p["k"].reshape(N, M) + p["b"] - Y) * 2 / Y.size
        g = {"w": X.T @ e, "k": (0.5 * X.T @ e).reshape(p["k"].shape), "b": e.sum(0)}
        p = {name: rules[name].step(p[name], g[name], rate, t) for name in p}
        if t in SHOWN:
            shown += [v for name in p for v in p[name].ravel().tolist()]
    return shown


as_pytorch_computes()
text = "".join(f"{name}\t{rate}\t{' '.join(map(repr, trained(make, rate)))}\n" for name, rate, make in CASES)
if "--check" in sys.argv:
    sys.exit(text != beside("optimiser_formulas.txt").read_text() and "optimiser_formulas.txt differs")
print(text, end="")
