"""The example programs over texts and sounds in PyTorch: charlstm, gpt, speech_words, speech_ctc."""
import torch
import torch.nn as nn
import torch.nn.functional as F

import data
from torch_program import Program, adam, adamw
from torch_pictures import he


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.inputs, self.out = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = (p.view(b, t, self.heads, d // self.heads).transpose(1, 2) for p in self.inputs(x).split(d, 2))
        return self.out(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(b, t, d))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm_1, self.attention, self.norm_2 = nn.LayerNorm(width), Attention(width, heads), nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x):
        x = x + self.attention(self.norm_1(x))
        return x + self.mlp(self.norm_2(x))


class Gpt(nn.Module):
    def __init__(self, symbols, context, width, layers, heads):
        super().__init__()
        self.token, self.place = nn.Embedding(symbols, width), nn.Embedding(context, width)
        self.blocks = nn.Sequential(*[Block(width, heads) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)
        for e in (self.token, self.place):
            nn.init.normal_(e.weight, std=0.02)

    def forward(self, x):
        return F.linear(self.norm(self.blocks(self.token(x) + self.place.weight)), self.token.weight)


def over_places(model):
    return lambda x, y: F.cross_entropy(model(x).flatten(0, 1), y.flatten())


def gpt(o, context=128):
    text = torch.tensor(data.shakespeare(o.data))
    windows, model = text.unfold(0, context + 1, context), Gpt(65, context, 128, 4, 4)

    def load(rows):
        w = windows[rows]
        return w[:, :-1], w[:, 1:]

    return Program(model, load, over_places(model), adamw(model, 0.1, betas=(0.9, 0.99)), clip=1)


class CharLstm(nn.Module):
    """Two layers of nn.LSTM whose states go on."""

    def __init__(self, symbols, width):
        super().__init__()
        self.token = nn.Embedding(symbols, 64)
        self.lstm = nn.LSTM(64, width, num_layers=2, batch_first=True, dropout=0.1)
        self.drop, self.head = nn.Dropout(0.1), nn.Linear(width, symbols)
        nn.init.normal_(self.token.weight, std=0.1)
        self.state = None

    def forward(self, x):
        y, state = self.lstm(self.token(x), self.state)
        self.state = tuple(s.detach() for s in state)
        return self.head(self.drop(y))


class CharLstmProgram(Program):
    def parameters(self):  # Gradc has one bias a layer, where cuDNN's interface has two that are added up
        return super().parameters() - sum(p.numel() for n, p in self.model.named_parameters() if "bias_hh" in n)

    def batches(self, rows, batch):
        self.model.state = None
        per_row = rows // batch
        lines = self.windows[: batch * per_row].view(batch, per_row, 65)
        for i in range(per_row):
            yield lines[:, i, :-1], lines[:, i, 1:]


def charlstm(o, context=64):
    model = CharLstm(65, 256)
    program = CharLstmProgram(model, None, over_places(model), adam(model.parameters()), clip=1)
    program.windows = torch.tensor(data.shakespeare(o.data)).unfold(0, context + 1, context).contiguous()
    return program


class LogMel(nn.Module):
    """[B, mels, 1, N / hop + 1] of samples [B, N]."""

    def __init__(self, hop):
        super().__init__()
        self.hop = hop
        self.register_buffer("window", torch.hann_window(256))
        self.register_buffer("filters", torch.tensor(data.mel_filters()).T.contiguous())

    def forward(self, x):
        z = torch.view_as_real(torch.stft(x, 256, self.hop, window=self.window, center=True, pad_mode="constant", return_complex=True))
        return (self.filters @ z.square().sum(-1)).clamp(min=1e-6).log().unsqueeze(2)


def block(inputs, outputs, stride=1):
    """A convolution along time, as one over [1, T], for which PyTorch has fast forms in both layouts."""
    return [nn.Conv2d(inputs, outputs, (1, 5), (1, stride), (0, 2), bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


def speech_words(o):
    x, _, said = data.fsdd(o.data)
    x, y = torch.tensor(x), torch.tensor(data.words(said))
    model = nn.Sequential(
        LogMel(128), nn.BatchNorm2d(40), *block(40, 64), *block(64, 96, 2), *block(96, 128, 2), *block(128, 128, 2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.3), nn.Linear(128, 10),
    )  # fmt: skip
    he(model, model[-1])
    return Program(model, lambda rows: (x[rows], y[rows]), lambda x, y: F.cross_entropy(model(x), y, label_smoothing=0.1), adamw(model, 0.01))


class Spell(nn.Module):
    def __init__(self):
        super().__init__()
        self.front = he(nn.Sequential(LogMel(64), nn.BatchNorm2d(40), *block(40, 64, 2), *block(64, 64), nn.Dropout(0.2)))
        self.gru = nn.GRU(64, 64, batch_first=True, bidirectional=True)
        self.drop, self.head = nn.Dropout(0.3), nn.Linear(128, 16)

    def forward(self, x, frames):
        h = self.front(x).squeeze(2).transpose(1, 2)
        packed = nn.utils.rnn.pack_padded_sequence(h, frames, batch_first=True, enforce_sorted=False)
        y, _ = nn.utils.rnn.pad_packed_sequence(self.gru(packed)[0], batch_first=True, total_length=h.shape[1])
        return self.head(self.drop(y))


class SpellProgram(Program):
    def parameters(self):  # of the recurrent biases Gradc has only that of the new state, a third
        return super().parameters() - sum(p.numel() * 2 // 3 for n, p in self.model.named_parameters() if "bias_hh" in n)


def speech_ctc(o, hop=128):
    x, n, said = data.fsdd(o.data)
    y, lengths = data.letters(said)
    x, frames, y, lengths = map(torch.tensor, (x, n // hop + 1, y, lengths))
    model = Spell()

    def loss(x, frames, y, lengths):
        log_p = F.log_softmax(model(x, frames), 2).transpose(0, 1)
        return F.ctc_loss(log_p, y, frames, lengths, reduction="none", zero_infinity=True).mean()

    return SpellProgram(model, lambda rows: (x[rows], frames[rows], y[rows], lengths[rows]), loss, adamw(model, 0.01), clip=5)


PROGRAMS = {"charlstm": charlstm, "gpt": gpt, "speech_words": speech_words, "speech_ctc": speech_ctc}
