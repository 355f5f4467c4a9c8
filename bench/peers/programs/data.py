"""The data of the example programs as NumPy arrays in memory, as their data blocks read it, and their learning rates."""
import csv, datetime, gzip, math, pathlib, statistics, wave

import numpy as np

EXAMPLES = pathlib.Path(__file__).resolve().parents[3] / "examples"


def idx(path, header):
    return np.frombuffer(gzip.open(path).read(), np.uint8, offset=header)


def mnist(root, digits=range(10)):
    """Pictures u8 [N, 28, 28] and labels i64 [N] of the training file, those of `digits`."""
    x = idx(root / "mnist/train-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)
    y = idx(root / "mnist/train-labels-idx1-ubyte.gz", 8).astype(np.int64)
    chosen = np.isin(y, list(digits))
    return x[chosen], y[chosen]


def cifar(root):
    """Pictures u8 [N, 32, 32, 3] and labels."""
    records = np.frombuffer(gzip.open(root / "cifar10/train.bin.gz").read(), np.uint8).reshape(-1, 3073)
    return np.ascontiguousarray(records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)), records[:, 0].astype(np.int64)


def shakespeare(root):
    """The training part of the text as numbers of its characters."""
    text = (root / "tinyshakespeare/input.txt").read_text()
    text = text[: len(text) * 9 // 10]
    number = {c: i for i, c in enumerate(sorted(set(text)))}
    return np.array([number[c] for c in text], np.int64)


def fsdd(root, samples=8000):
    """Recordings f32 [N, samples] in [-1, 1), cut or filled with 0, their lengths, and what is said, as texts."""
    rows = [line.split("\t") for line in (root / "fsdd/train.tsv").read_text().splitlines()[1:]]
    x, n = np.zeros((len(rows), samples), np.float32), np.zeros(len(rows), np.int64)
    for i, row in enumerate(rows):
        with wave.open(str(root / "fsdd" / row[0])) as w:
            sound = np.frombuffer(w.readframes(samples), np.int16)
        x[i, : len(sound)], n[i] = sound / np.float32(32768), len(sound)
    order = np.random.default_rng(0).permutation(len(rows))
    return x[order], n[order], [rows[i][1] for i in order]


def words(texts):
    """The number of each text among all."""
    return np.unique(texts, return_inverse=True)[1].astype(np.int64)


def letters(texts, length=5):
    """Each text as numbers of its letters from 1, 0 behind its end, and its length."""
    number = {c: i + 1 for i, c in enumerate(sorted(set("".join(texts))))}
    y = np.zeros((len(texts), length), np.int64)
    for i, t in enumerate(texts):
        y[i, : len(t)] = [number[c] for c in t]
    return y, np.array([len(t) for t in texts])


def passengers():
    """Numbers f32 [N, 4] with what is missing filled by the median, f32 [N, 2] that tell where, four names as numbers
    i64 [N, 4] and labels f32 [N] of the first 70 % of the rows."""
    rows = list(csv.DictReader(open(EXAMPLES / "data/titanic_like.csv")))
    rows = rows[: len(rows) * 7 // 10]
    known = lambda s: s.strip() not in ("", "NA", "?")
    day = lambda s: (datetime.date.fromisoformat(s) - datetime.date(1970, 1, 1)).days
    columns = []
    for name, read in (("age", float), ("fare", float), ("booked", day), ("alone", lambda s: float(s == "yes"))):
        middle = statistics.median(read(r[name]) for r in rows if known(r[name]))
        columns.append([read(r[name]) if known(r[name]) else middle for r in rows])
    names = []
    for name in ("sex", "class", "port", "deck"):
        kinds = {k: i + 1 for i, k in enumerate(sorted({r[name] for r in rows if known(r[name])}))}
        names.append([kinds.get(r[name], 0) for r in rows])
    gaps = [[float(not known(r[name])) for r in rows] for name in ("age", "fare")]
    y = [float(r["survived"] == "yes") for r in rows]
    return np.array(columns, np.float32).T.copy(), np.array(gaps, np.float32).T.copy(), np.array(names).T.copy(), np.array(y, np.float32)


def padded(pictures, by):
    """With `by` pixels of 0 around each, in which every move is a window."""
    return np.pad(pictures, [(0, 0), (by, by), (by, by), *[(0, 0)] * (pictures.ndim - 3)])


def mel_filters(rate=8000, mels=40, window=256):
    """f32 [window / 2 + 1, mels]: Slaney's triangles of equal area."""
    hertz = lambda m: np.where(m <= 15, 200 * m / 3, 1000 * np.exp((m - 15) * math.log(6.4) / 27))
    top = 15 + 27 * math.log(rate / 2 / 1000) / math.log(6.4)
    edges = hertz(np.linspace(0, top, mels + 2))
    a, b, c = edges[:-2], edges[1:-1], edges[2:]
    f = np.arange(window // 2 + 1)[:, None] * rate / window
    return (np.maximum(np.minimum((f - a) / (b - a), (c - f) / (c - b)), 0) * 2 / (c - a)).astype(np.float32)


# Peak, floor and steps of warm-up of each program's cosine.
RATES = {
    "lenet": (0.05, 0, 200), "resnet": (0.1, 0, 100), "autoencoder": (2e-3, 0, 100), "vae": (1e-3, 0, 100),
    "charlstm": (4e-3, 2e-4, 100), "gpt": (2e-3, 1e-4, 200), "speech_words": (3e-3, 0, 50), "speech_ctc": (3e-3, 0, 50),
    "pinn": (5e-3, 0, 100), "gan": (5e-4, 5e-4, 0), "finetune": (3e-3, 0, 0), "titanic_like": (4e-3, 0, 20),
}  # fmt: skip


def rate(name, step, total):
    peak, low, warmup = RATES[name]
    if step < warmup:
        return peak * (step + 1) / warmup
    return low + (peak - low) * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))


def arguments(parser):
    """What bench/programs.py tells a peer: as much as Gradc trains."""
    parser.add_argument("name", choices=list(RATES))
    parser.add_argument("--steps", type=int, default=100, help="of an epoch")
    parser.add_argument("--epochs", type=int, default=1, help="of which all but the first are timed, if there are several")
    parser.add_argument("--total", type=int, default=1000, help="steps that the learning rate is planned for")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rows", type=int, default=1 << 60, help="that are trained on")
    parser.add_argument("--data", type=pathlib.Path, default=EXAMPLES.parents[1] / "shared/data")
    return parser.parse_args()
