"""Makes optimisers.txt: 100 steps in f64 of PyTorch's optimisers on a small least-squares problem.

One line a case: the optimiser in the model language, then the 8 final weights. Run: python optimisers.py > optimisers.txt
"""
import math
import torch

torch.set_default_dtype(torch.float64)
ROWS, N, STEPS, RATE = 6, 8, 100, 0.01
x = torch.tensor([[math.sin(1 + r * N + i) for i in range(N)] for r in range(ROWS)])
y = torch.tensor([math.cos(2 + 3 * r) for r in range(ROWS)])
CASES = {
    "sgd{}": lambda p: torch.optim.SGD(p, RATE),
    "sgd{momentum=0.9, weight_decay=0.01}": lambda p: torch.optim.SGD(p, RATE, momentum=0.9, weight_decay=0.01),
    "sgd{momentum=0.9, dampening=0.1}": lambda p: torch.optim.SGD(p, RATE, momentum=0.9, dampening=0.1),
    "sgd{momentum=0.9, nesterov=true}": lambda p: torch.optim.SGD(p, RATE, momentum=0.9, nesterov=True),
    "rmsprop{}": lambda p: torch.optim.RMSprop(p, RATE),
    "rmsprop{momentum=0.5, weight_decay=0.01}": lambda p: torch.optim.RMSprop(p, RATE, momentum=0.5, weight_decay=0.01),
    "adagrad{}": lambda p: torch.optim.Adagrad(p, RATE),
    "adagrad{lr_decay=0.1}": lambda p: torch.optim.Adagrad(p, RATE, lr_decay=0.1),
    "adadelta{}": lambda p: torch.optim.Adadelta(p, RATE),
    "adam{}": lambda p: torch.optim.Adam(p, RATE),
    "adam{weight_decay=0.1}": lambda p: torch.optim.Adam(p, RATE, weight_decay=0.1),
    "adamw{}": lambda p: torch.optim.AdamW(p, RATE),
}
for name, make in CASES.items():
    w = torch.full((N, 1), 0.5, requires_grad=True)
    o = make([w])
    for _ in range(STEPS):
        o.zero_grad()
        ((x @ w).squeeze(1) - y).square().mean().backward()
        o.step()
    print(f"{name}\t" + " ".join(repr(v) for v in w.detach().flatten().tolist()))
