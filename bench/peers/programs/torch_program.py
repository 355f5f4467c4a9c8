"""What the programs written in PyTorch share."""
import torch


class Program:
    """A model with its data and optimiser. `load` makes a batch of row numbers; `loss` takes what it gives."""

    clip = None
    channels_last = False

    def __init__(self, model, load, loss, optimizer, clip=None):
        self.model, self.load, self.loss, self.optimizer, self.clip = model, load, loss, optimizer, clip

    def parameters(self):
        return sum(p.numel() for p in self.model.parameters())

    def set_rate(self, rate):
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("share", 1)

    def batches(self, rows, batch):
        for chosen in torch.randperm(rows).split(batch):
            yield self.load(chosen)

    def prepare(self, batch):
        return [t.contiguous(memory_format=torch.channels_last) if self.channels_last and t.dim() == 4 else t for t in batch]

    def step(self, batch):
        self.optimizer.zero_grad()
        loss = self.loss(*batch)
        loss.backward()
        if self.clip:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        self.optimizer.step()
        return loss.detach()


def decayed(model, decay):
    """Groups of the parameters of rank 2 and more, which decay, and the others."""
    trained = [p for p in model.parameters() if p.requires_grad]
    return [{"params": [p for p in trained if p.dim() >= 2], "weight_decay": decay}, {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0}]


def sgd(model):
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, fused=True)


def adam(parameters, **settings):
    return torch.optim.Adam(parameters, lr=1e-3, fused=True, **settings)


def adamw(model, decay, **settings):
    return torch.optim.AdamW(decayed(model, decay), lr=1e-3, fused=True, **settings)
