"""The example programs over pictures in PyTorch: lenet, resnet, autoencoder, vae, gan, finetune."""
import torch
import torch.nn as nn
import torch.nn.functional as F

import data
from torch_program import Program, adam, decayed, sgd


def he(model, *glorot):
    """First values as the program has them: He's, but where it leaves Glorot's."""
    for m in model.modules():
        if isinstance(m, (nn.Conv2d, nn.Linear, nn.ConvTranspose2d)):
            if m in glorot or isinstance(m, nn.ConvTranspose2d):
                nn.init.xavier_uniform_(m.weight)
            else:
                nn.init.kaiming_normal_(m.weight, nonlinearity="relu")
            if m.bias is not None:
                nn.init.zeros_(m.bias)
    return model


def unit(pictures):
    """u8 [B, H, W] as f32 [B, 1, H, W] of 0 to 1."""
    return pictures.float().mul_(1 / 255).unsqueeze(1)


def digits(o):
    x, y = data.mnist(o.data)
    return torch.tensor(x), torch.tensor(y)


def lenet(o):
    x, y = digits(o)
    moved = torch.tensor(data.padded(x.numpy(), 2)).unfold(1, 28, 1).unfold(2, 28, 1)
    model = nn.Sequential(
        nn.Conv2d(1, 20, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(800, 500), nn.ReLU(), nn.Dropout(0.5), nn.Linear(500, 10),
    )  # fmt: skip

    he(model, model[10])

    def load(rows):
        by = torch.randint(5, (2, len(rows)))
        return unit(moved[rows, by[0], by[1]]), y[rows]

    return Program(model, load, lambda x, y: F.cross_entropy(model(x), y), sgd(model))


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.a, self.norm_a = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.b, self.norm_b = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.short = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if stride != 1 or inputs != outputs else nn.Identity()

    def forward(self, x):
        y = self.norm_b(self.b(F.relu(self.norm_a(self.a(x)), inplace=True)))
        return F.relu(y.add_(self.short(x)), inplace=True)


def resnet(o):
    x, y = map(torch.tensor, data.cifar(o.data))
    moved = torch.tensor(data.padded(x.numpy(), 4)).unfold(1, 32, 1).unfold(2, 32, 1)  # [N, 9, 9, 3, 32, 32]
    blocks = [Block(16, 16, 1) for _ in range(3)]
    for n in (32, 64):
        blocks += [Block(n // 2, n, 2), Block(n, n, 1), Block(n, n, 1)]
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True), *blocks,
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip

    he(model, model[-1])

    def load(rows):
        by, flip = torch.randint(9, (2, len(rows))), torch.rand(len(rows)) < 0.5
        p = moved[rows, by[0], by[1]]
        p = torch.where(flip[:, None, None, None], p.flip(3), p)
        return p.float().mul_(1 / 255 / 0.25).sub_(0.47 / 0.25), y[rows]

    return Program(model, load, lambda x, y: F.cross_entropy(model(x), y), sgd(model))


def decoder(code):
    return [
        nn.Linear(code, 1568), nn.ReLU(), nn.Unflatten(1, (32, 7, 7)), nn.ConvTranspose2d(32, 16, 4, 2, 1), nn.ReLU(),
        nn.ConvTranspose2d(16, 1, 4, 2, 1), nn.Sigmoid(),
    ]  # fmt: skip


def autoencoder(o):
    x, _ = digits(o)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 4, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 4, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(1568, 32),
        *decoder(32),
    )  # fmt: skip
    he(model, model[5])
    return Program(model, lambda rows: [unit(x[rows])], lambda x: F.mse_loss(model(x), x), adam(model.parameters()))


class Vae(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.mu, self.log_var = nn.Linear(784, 400), nn.Linear(400, 20), nn.Linear(400, 20)
        self.decoder, self.pixels = nn.Linear(20, 400), nn.Linear(400, 784)

    def forward(self, x):
        h = F.relu(self.encoder(x))
        mu, log_var = self.mu(h), self.log_var(h)
        z = mu + torch.exp(log_var / 2) * torch.randn_like(mu)
        return self.pixels(F.relu(self.decoder(z))), mu, log_var


def vae(o):
    x, _ = digits(o)
    x, model = x.reshape(-1, 784), Vae()
    he(model, model.mu, model.log_var, model.pixels)

    def loss(x):
        logits, mu, log_var = model(x)
        kl = 0.5 * (log_var.exp() + mu * mu - 1 - log_var).sum(1).mean()
        return 784 * F.binary_cross_entropy_with_logits(logits, x) + kl

    return Program(model, lambda rows: [x[rows].float().mul_(1 / 255)], loss, adam(model.parameters()))


class Gan(Program):
    """Two updates a step; the second sees the critic that the first one made."""

    def __init__(self, x):
        self.generator = he(nn.Sequential(*decoder(32)))
        self.critic = nn.Sequential(
            nn.Conv2d(1, 16, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(16, 32, 4, 2, 1), nn.LeakyReLU(0.2),
            nn.Flatten(), nn.Linear(1568, 1), nn.Flatten(0),
        )  # fmt: skip
        super().__init__(nn.ModuleList([self.generator, self.critic]), lambda rows: [unit(x[rows])], self.critic_loss, None)
        self.critic_update = adam(self.critic.parameters(), betas=(0.5, 0.999))
        self.generator_update = adam(self.generator.parameters(), betas=(0.5, 0.999))

    def set_rate(self, rate):
        for group in self.critic_update.param_groups + self.generator_update.param_groups:
            group["lr"] = rate

    def critic_loss(self, paper, picture):
        real, fake = self.critic(paper.requires_grad_()), self.critic(picture)
        (slope,) = torch.autograd.grad(real.sum(), paper, create_graph=True)
        return (F.softplus(fake) + F.softplus(-real)).mean() + 0.2 * slope.square().sum((1, 2, 3)).mean()

    def step(self, batch):
        picture = self.generator(torch.randn(len(batch[0]), 32))
        self.critic_update.zero_grad()
        d = self.loss(batch[0], picture.detach())
        d.backward()
        self.critic_update.step()
        self.generator_update.zero_grad()
        self.critic.requires_grad_(False)  # no gradients of weights that nobody reads
        g = F.softplus(-self.critic(picture)).mean()
        g.backward()
        self.critic.requires_grad_(True)
        self.generator_update.step()
        return torch.stack([d.detach(), g.detach()])


def finetune(o):
    x, y = map(torch.tensor, data.mnist(o.data, range(5, 10)))
    model = nn.Sequential(
        nn.Conv2d(1, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(512, 100), nn.ReLU(), nn.Linear(100, 10),
    )  # fmt: skip
    he(model, model[9])[0].requires_grad_(False)
    head = {id(p) for layer in (model[7], model[9]) for p in layer.parameters()}
    groups = [{**g, "params": [p for p in g["params"] if (id(p) in head) == h], "share": 1 if h else 1 / 3} for g in decayed(model, 0.01) for h in (True, False)]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, fused=True)
    return Program(model, lambda rows: (unit(x[rows]), y[rows]), lambda x, y: F.cross_entropy(model(x), y), optimizer)


PROGRAMS = {"lenet": lenet, "resnet": resnet, "autoencoder": autoencoder, "vae": vae, "gan": lambda o: Gan(digits(o)[0]), "finetune": finetune}
