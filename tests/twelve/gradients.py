"""Makes gradients.txt: losses and gradients of the networks of bench/models in f64, by PyTorch's autograd.

Weights, inputs and labels are a formula (`uniform` below, the same in gradients_test.cpp), so none of them is kept; of
each gradient what is kept are its norm, its products with two such vectors, and its first and last element. One line a
loss: NAME rows loss VALUE; one a gradient: NAME PATH norm product product first last.
Run: python gradients.py > gradients.txt   (PyTorch 2.15)"""
import numpy as np
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
MASK = (1 << 64) - 1


def uniform(name, count):
    """In [0, 1): splitmix64 of FNV-1a of the name and the element's number."""
    h = 0xCBF29CE484222325
    for c in name.encode():
        h = ((h ^ c) * 0x100000001B3) & MASK
    with np.errstate(over="ignore"):
        z = np.arange(count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(h)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53


class Network:
    """Parameters by path, made when they are first asked for: small, those of norms about 1."""

    def __init__(self):
        self.parameters = {}

    def __call__(self, path, *shape):
        if path not in self.parameters:
            v = (2 * uniform(path, int(np.prod(shape))) - 1) * 0.1
            if path.endswith(".weight") and "norm" in path:
                v += 1
            self.parameters[path] = torch.tensor(v.reshape(shape), requires_grad=True)
        return self.parameters[path]

    def dense(self, path, x, n, bias=True):
        y = x @ self(path + ".weight", x.shape[-1], n)
        return y + self(path + ".bias", n) if bias else y

    def conv(self, path, x, n, k, padding=0, stride=1, bias=False):
        """x is channels last, as are the weights [k, k, d, n]."""
        w = self(path + ".weight", k, k, x.shape[-1], n).permute(3, 2, 0, 1)
        b = self(path + ".bias", n) if bias else None
        return F.conv2d(x.permute(0, 3, 1, 2), w, b, stride, padding).permute(0, 2, 3, 1)

    def batch_norm(self, path, x):
        d = x.shape[-1]
        w, b = self(path + ".weight", d), self(path + ".bias", d)
        return F.batch_norm(x.permute(0, 3, 1, 2), None, None, w, b, training=True).permute(0, 2, 3, 1)

    def layer_norm(self, path, x):
        d = x.shape[-1]
        return F.layer_norm(x, (d,), self(path + ".weight", d), self(path + ".bias", d))


def pool(x):
    return F.max_pool2d(x.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)


def floats(name, *shape):
    return torch.tensor(4 * uniform(name, int(np.prod(shape))).reshape(shape) - 2)


def numbers(name, limit, *shape):
    return torch.tensor(np.floor(uniform(name, int(np.prod(shape))) * limit).astype(np.int64).reshape(shape))


def dense_chain(n, x, widths):
    for i, width in enumerate(widths):
        x = n.dense("dense" if i == 0 else f"dense_{i + 1}", x if i == 0 else F.relu(x), width)
    return x


def tab(n, rows):
    return F.mse_loss(dense_chain(n, floats("x", rows, 16), [64, 64, 1]), floats("y", rows, 1))


def mlp(n, rows):
    return F.cross_entropy(dense_chain(n, floats("x", rows, 784), [512, 256, 10]), numbers("y", 10, rows))


def lenet(n, rows):
    h = pool(F.relu(n.conv("conv2d", floats("x", rows, 28, 28, 1), 6, 5, padding=2, bias=True)))
    h = pool(F.relu(n.conv("conv2d_2", h, 16, 5, bias=True))).reshape(rows, 400)
    return F.cross_entropy(dense_chain(n, h, [120, 84, 10]), numbers("y", 10, rows))


def resnet20(n, rows):
    def block(path, x, width, stride=1):
        y = F.relu(n.batch_norm(path + ".batch_norm", n.conv(path + ".conv2d", x, width, 3, 1, stride)))
        y = n.batch_norm(path + ".batch_norm_2", n.conv(path + ".conv2d_2", y, width, 3, 1))
        if stride != 1:
            x = n.batch_norm(path + ".batch_norm_3", n.conv(path + ".conv2d_3", x, width, 1, 0, stride))
        return F.relu(y + x)

    h = F.relu(n.batch_norm("batch_norm", n.conv("conv2d", floats("x", rows, 32, 32, 3), 16, 3, 1)))
    blocks = ["block.0", "block.1", "block.2", "block_2", "block_3.0", "block_3.1", "block_4", "block_5.0", "block_5.1"]
    for i, path in enumerate(blocks):
        h = block(path, h, 16 * 2 ** (i // 3), 2 if i in (3, 6) else 1)
    return F.cross_entropy(n.dense("dense", h.mean((1, 2)), 10), numbers("y", 10, rows))


def charlstm(n, rows, steps=64, width=256):
    x = numbers("x", 65, rows, steps)
    cell = torch.nn.LSTM(width, width, batch_first=True)
    w, u, b = n("lstm.w", width, 4 * width), n("lstm.u", width, 4 * width), n("lstm.b", 4 * width)
    values = {"weight_ih_l0": w.T, "weight_hh_l0": u.T, "bias_ih_l0": b, "bias_hh_l0": torch.zeros(4 * width)}
    h, _ = torch.func.functional_call(cell, values, F.embedding(x, n("embed.weight", 65, width)))
    return F.cross_entropy(n.dense("dense", h, 65).reshape(-1, 65), x.reshape(-1))


def gpt(n, rows, tokens, width, heads, blocks):
    x = numbers("x", 65, rows, tokens)
    h = F.embedding(x, n("embed.weight", 65, width)) + n("embed_2.weight", tokens, width)

    def split(t):
        return t.reshape(rows, tokens, heads, width // heads).transpose(1, 2)

    for i in range(blocks):
        b = f"block.{i}"
        q, k, v = n.dense(b + ".attention.dense", n.layer_norm(b + ".layer_norm", h), 3 * width).split(width, 2)
        y = F.scaled_dot_product_attention(split(q), split(k), split(v), is_causal=True)
        h = h + n.dense(b + ".attention.dense_2", y.transpose(1, 2).reshape(rows, tokens, width), width)
        y = F.gelu(n.dense(b + ".dense", n.layer_norm(b + ".layer_norm_2", h), 4 * width))
        h = h + n.dense(b + ".dense_2", y, width)
    logits = n.dense("dense", n.layer_norm("layer_norm", h), 65, bias=False)
    return F.cross_entropy(logits.reshape(-1, 65), x.reshape(-1))


STEPS = {
    "tab_b32_adam": (tab, 32),
    "mlp_b64_adam": (mlp, 64),
    "lenet_b64_adam": (lenet, 9),
    "resnet20_b32_sgd": (resnet20, 5),
    "charlstm_b32_adam": (charlstm, 3),
    "gptmini_b16_adam": (lambda n, rows: gpt(n, rows, 64, 128, 4, 4), 2),
    "gpt768x2_b4_adam": (lambda n, rows: gpt(n, rows, 256, 768, 12, 2), 1),
}
print("# Written by gradients.py: PyTorch", torch.__version__)
for name, (run, rows) in STEPS.items():
    network = Network()
    loss = run(network, rows)
    loss.backward()
    print(name, rows, "loss", repr(loss.item()))
    for path, p in sorted(network.parameters.items()):
        g = p.grad.numpy().reshape(-1)
        products = [float((g * (2 * uniform(f"{path}#{i}", g.size) - 1)).sum()) for i in range(2)]
        print(name, path, *map(repr, [float(np.sqrt((g * g).sum())), *products, float(g[0]), float(g[-1])]))
