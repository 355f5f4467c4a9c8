"""PyTorch steps, timed on request: reads lines "MODEL THREADS", answers the milliseconds of a step (median of many).

From the batch in host memory to the loss in a Python float. Fused optimisers; `compile` adds torch.compile.
"""
import statistics, sys, time

import torch
import torch.nn.functional as F
from torch import nn

COMPILE = sys.argv[1] == "compile"
BUILT = {}


def build(name):
    kind, batch, optimizer = name.split("_")
    batch = int(batch[1:])
    torch.manual_seed(0)
    dims = [16, 64, 64, 1] if kind == "tab" else [784, 512, 256, 10]
    layers = []
    for i, (a, b) in enumerate(zip(dims, dims[1:])):
        layers += [nn.Linear(a, b)] + ([nn.ReLU()] if i + 2 < len(dims) else [])
    model = nn.Sequential(*layers)
    x = torch.randn(batch, dims[0])
    y = torch.randn(batch, 1) if kind == "tab" else torch.randint(0, 10, (batch,))
    criterion = F.mse_loss if kind == "tab" else F.cross_entropy
    p = model.parameters()
    o = torch.optim.SGD(p, 1e-3, momentum=0.9, fused=True) if optimizer == "sgd" else torch.optim.Adam(p, 1e-3, fused=True)
    forward = torch.compile(lambda a, b: criterion(model(a), b)) if COMPILE else (lambda a, b: criterion(model(a), b))
    update = torch.compile(o.step) if COMPILE else o.step

    def step():
        loss = forward(x, y)
        loss.backward()
        update()
        o.zero_grad(set_to_none=True)
        return loss.item()

    return step


for line in sys.stdin:
    name, threads = line.split()
    torch.set_num_threads(int(threads))
    if (name, threads) not in BUILT:
        BUILT[name, threads] = build(name)
        for _ in range(20):
            BUILT[name, threads]()
    step, times, start = BUILT[name, threads], [], time.perf_counter()
    while len(times) < 20 or (time.perf_counter() - start < 0.4 and len(times) < 2000):
        t = time.perf_counter()
        step()
        times.append(time.perf_counter() - t)
    print(statistics.median(times) * 1e3, flush=True)
