"""Makes lbfgs.txt: PyTorch's LBFGS in f64, an iteration a step, on the least-squares problem of optimiser_formulas.py, and on
one that is no quadratic. Run: python lbfgs.py, or --check. PyTorch 2.15 wrote it; its last bits (1e-14) move with
the processor.

One line a case: the optimiser in the model language, the rate, then all weights after the steps in SHOWN, parameters in
the order w, k, b of the models in tests/model/optimiser_test.cpp. "tanh" before it is the second problem.
"""
import math
import pathlib
import sys

import torch

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "ops"))
from kept_file import keep  # noqa: E402

torch.set_default_dtype(torch.float64)
ROWS, N, M = 6, 8, 3
SHOWN = (1, 3, 10, 30, 100)
X = torch.tensor([math.sin(1 + i) for i in range(ROWS * N)]).reshape(ROWS, N)
Y = torch.tensor([math.cos(2 + 3 * i) for i in range(ROWS * M)]).reshape(ROWS, M)
CASES = [
    ("", "lbfgs{}", 1.0, {}),
    ("", "lbfgs{}", 0.3, {"history_size": 10}),  # PyTorch's own is 100
    ("", "lbfgs{history=3}", 0.5, {"history_size": 3}),
    ("tanh", "lbfgs{history=4}", 0.2, {"history_size": 4}),
    ("", "lbfgs{tolerance_grad=0.1}", 0.5, {"tolerance_grad": 0.1}),
    ("", "lbfgs{tolerance_change=0.1}", 0.5, {"tolerance_change": 0.1}),
]


def run(problem, rate, more):
    w, k, b = (torch.full(s, v, requires_grad=True) for s, v in [((N, M), 0.5), ((2, 4, M), 0.25), ((M,), 0.0)])
    o = torch.optim.LBFGS([w, k, b], lr=rate, max_iter=1, max_eval=10, **more)

    def closure():
        o.zero_grad()
        p = X @ w + 0.5 * X @ k.reshape(N, M) + b
        if problem:
            p = torch.tanh(p)
        loss = ((p - Y) ** 2).mean()
        loss.backward()
        return loss

    shown = []
    for step in range(1, SHOWN[-1] + 1):
        o.step(closure)
        if step in SHOWN:
            shown += [v for p in (w, k, b) for v in p.detach().flatten().tolist()]
    return shown


lines = []
for problem, name, rate, more in CASES:
    lines.append("\t".join([(problem + " " + name).strip(), str(rate), " ".join(map(repr, run(problem, rate, more)))]))
text = "\n".join(lines) + "\n"
keep(__file__, "lbfgs.txt", text)
