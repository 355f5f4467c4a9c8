"""The example programs over points and tables in PyTorch: pinn, titanic_like."""
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

import data
from torch_program import Program, adam, adamw


def pinn(o, a=0.1):
    points = torch.rand(20000, 2)
    net = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))

    def loss(place):
        t, x = (c.requires_grad_() for c in place.unbind(1))
        u = torch.sin(math.pi * x) + t * x * (1 - x) * net(2 * torch.stack([t, x], 1) - 1).squeeze(1)
        u_t, u_x = torch.autograd.grad(u.sum(), (t, x), create_graph=True)
        (u_xx,) = torch.autograd.grad(u_x.sum(), x, create_graph=True)
        return (u_t - a * u_xx).square().mean()

    return Program(net, lambda rows: [points[rows]], loss, adam(net.parameters()))


class Titanic(nn.Module):
    def __init__(self, x):
        super().__init__()
        self.names = nn.ModuleList(nn.Embedding(n, d) for n, d in ((3, 2), (4, 3), (4, 3), (8, 4)))
        self.net = nn.Sequential(nn.Linear(18, 32), nn.Tanh(), nn.Dropout(0.3), nn.Linear(32, 1))
        self.register_buffer("mu", x.mean(0))
        self.register_buffer("deviation", x.std(0, correction=0) + 1e-8)

    def forward(self, x, gaps, names):
        embedded = [e(n) for e, n in zip(self.names, names.unbind(1))]
        return self.net(torch.cat([(x - self.mu) / self.deviation, gaps, *embedded], 1)).squeeze(1)


def titanic_like(o):
    x, gaps, names, y = map(torch.tensor, data.passengers())
    model = Titanic(x)
    return Program(model, lambda rows: (x[rows], gaps[rows], names[rows], y[rows]), lambda *b: F.binary_cross_entropy_with_logits(model(*b[:3]), b[3]), adamw(model, 0.1))


PROGRAMS = {"pinn": pinn, "titanic_like": titanic_like}
