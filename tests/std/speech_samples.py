"""Speech: log-mel features by SciPy's short-time transform and librosa's filter formula written here, the loss over
alignments by enumerating them, and its gradient by a recursion in JAX that the enumeration checks."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import scipy.signal

from model_text import TRAIN, columns, sample, some, trained, value


def mel(f):
    f = np.asarray(f, float)
    return np.where(f >= 1000, 15 + np.log(np.maximum(f, 1000) / 1000) / (np.log(6.4) / 27), f / (200 / 3))


def hertz(m):
    m = np.asarray(m, float)
    return np.where(m >= 15, 1000 * np.exp(np.log(6.4) / 27 * (m - 15)), 200 / 3 * m)


def filters(rate, mels, window, low=0.0, high=None):
    """librosa.filters.mel, in its words: slopes of ramps, the lower of two, areas made equal."""
    edges = hertz(np.linspace(mel(low), mel(high or rate / 2), mels + 2))
    ramps = edges[:, None] - np.fft.rfftfreq(window, 1 / rate)[None, :]
    width = np.diff(edges)
    weights = np.stack([np.maximum(0, np.minimum(-ramps[i] / width[i], ramps[i + 2] / width[i + 1])) for i in range(mels)])
    return (weights * (2 / (edges[2:] - edges[:-2]))[:, None]).T


def spectra(x, window, hop):
    """Power of each frame, by SciPy: [rows, frames, bins]."""
    hann = scipy.signal.get_window("hann", window)
    padded = np.pad(x, ((0, 0), (window // 2, window // 2)))
    _, _, z = scipy.signal.stft(padded, window=hann, nperseg=window, noverlap=window - hop, boundary=None, padded=False)
    return np.abs(z * hann.sum()).transpose(0, 2, 1) ** 2


def log_mel(x, rate, mels, window, hop, low=0.0, high=None, floor=1e-10):
    """In JAX, by its own transform."""
    hann = scipy.signal.get_window("hann", window)
    padded = jnp.pad(x, ((0, 0), (window // 2, window // 2)))
    frames = jnp.stack([padded[:, t : t + window] for t in range(0, padded.shape[1] - window + 1, hop)], 1)
    power = jnp.abs(jnp.fft.rfft(frames * hann)) ** 2
    return jnp.log(jnp.maximum(power @ filters(rate, mels, window, low, high), floor))


def sound():
    f = np.array([0.0, 440, 999.5, 1000, 1000.5, 3000, 8000])
    value("mel_of_hertz", "mel_of_hertz(x)", {"x": f}, mel(f))
    value("hertz_of_mel", "hertz_of_mel(x)", {"x": mel(f)}, f, compare="near 1e-12 1e-12")
    for text, more in [("16000, 8, 64", ()), ("8000, 6, 32, 100, 3800", (100, 3800)), ("44100, 5, 128, low=20", (20,))]:
        rate, mels, window = [int(t) for t in text.split(",")[:3]]
        value("mel_filters", f"mel_filters({text}) + 0 * x[0]", {"x": np.zeros(2)}, filters(rate, mels, window, *more),
              compare="near 1e-11 1e-14")
    x = some(3, 200, low=-1, high=1)
    x[2, 60:] = 0
    for text, window, hop, mels, rate, more in [
        ("8000, 6, 64, 32", 64, 32, 6, 8000, {}),
        ("16000, mels=5, window=32, hop=25, low=50, high=7000, floor=0.01", 32, 25, 5, 16000, {"low": 50, "high": 7000, "floor": 0.01}),
    ]:
        want = np.log(np.maximum(spectra(x, window, hop) @ filters(rate, mels, window, more.get("low", 0), more.get("high")),
                                 more.get("floor", 1e-10)))
        np.testing.assert_allclose(log_mel(x, rate, mels, window, hop, **more), want, 1e-9, 1e-9)
        value("log_mel", f"log_mel(x, {text})", {"x": x}, want, compare="near 1e-10 1e-11")
    k, y = some(2, 5, 6), some(2, 128, low=-1, high=1)
    trained("log_mel", "r = sum(log_mel(a, 8000, 6, 64, 32) * k) + 0 * z[0]", {"z": np.zeros(2)}, {"a": y, "k": k}, "r + 0 * mean(z)",
            lambda p, _: jnp.sum(log_mel(p["a"], 8000, 6, 64, 32) * p["k"]), compare="near 1e-9 1e-10")
    curve("mel_of_hertz", mel_jax, np.array([440.0, 3000, 7000]))
    curve("hertz_of_mel", lambda m: jnp.where(m > 15, 1000 * jnp.exp((m - 15) * jnp.log(6.4) / 27), 200 * m / 3), np.array([6.0, 20, 40]))


def mel_jax(f):
    return jnp.where(f > 1000, 15 + 27 * jnp.log(f / 1000) / jnp.log(6.4), 3 * f / 200)


def curve(name, f, a):
    trained(name, f"r = {name}(a) + 0 * z[0]", {"z": np.zeros(2)}, {"a": a}, "sum(r) + 0 * mean(z)", lambda p, _: jnp.sum(f(p["a"])),
            compare="near 1e-12 1e-13")


def spelled(path):
    """What an alignment says: repeats become one, blanks go."""
    return [c for c, _ in itertools.groupby(path) if c != 0]


def by_enumeration(z, y, frames, lengths):
    """-log of the sum over all alignments, row by row; infinity where there is none."""
    log_p = z - np.log(np.exp(z).sum(-1, keepdims=True))
    rows = []
    for b, (n, m) in enumerate(zip(frames, lengths)):
        total = 0.0
        for path in itertools.product(range(z.shape[2]), repeat=n):
            if spelled(path) == list(y[b, :m]):
                total += np.exp(sum(log_p[b, t, c] for t, c in enumerate(path)))
        rows.append(-np.log(total) if total else np.inf)
    return np.array(rows)


def by_recursion(z, y, frames, lengths):
    """Graves and others, 2006, a row at a time and place by place, in JAX."""
    rows = []
    for b, (n, m) in enumerate(zip(frames, lengths)):
        if needs(y[b], m) > n:
            rows.append(0.0)
            continue
        log_p = jax.nn.log_softmax(z[b])
        says = [0] + [c for label in y[b, :m] for c in (int(label), 0)]
        state = {0: 0.0}  # before the first frame: at the first blank
        for t in range(n):
            step = {}
            for s, c in enumerate(says):
                sources = [s, s - 1] + ([s - 2] if c != 0 and s >= 2 and says[s - 2] != c else [])
                if t == 0:
                    sources = [0] if s < 2 else []
                there = [state[q] for q in sources if q in state]
                if there:
                    step[s] = jax.nn.logsumexp(jnp.stack([jnp.asarray(v) for v in there])) + log_p[t, c]
            state = step
        ends = [state[s] for s in (len(says) - 1, len(says) - 2) if s in state]
        rows.append(-jax.nn.logsumexp(jnp.stack([jnp.asarray(v) for v in ends])))
    return jnp.stack([jnp.asarray(r) for r in rows])


def needs(y, m):
    return int(m + sum(y[i] == y[i - 1] for i in range(1, m)))


def distance(a, b):
    """Levenshtein's, by its recursion."""
    if not a or not b:
        return len(a) + len(b)
    return min(distance(a[1:], b) + 1, distance(a, b[1:]) + 1, distance(a[1:], b[1:]) + (a[0] != b[0]))


def alignments():
    z = some(6, 5, 4, low=-3, high=3)
    y = np.array([[1, 2, 3], [2, 2, -1], [3, 3, 3], [0, 0, 9], [1, 1, 1], [2, 1, 1]], np.int32)
    lengths, frames = np.array([3, 2, 1, 0, 3, 3], np.int32), np.array([5, 3, 1, 4, 4, 5], np.int32)  # 1, 1, 1 needs 5
    each = by_enumeration(z, y, frames, lengths)
    assert np.isinf(each[4]) and np.isfinite(np.delete(each, 4)).all()
    np.testing.assert_allclose(by_recursion(z, y, frames, lengths), np.where(np.isinf(each), 0, each), 1e-12, 1e-13)
    given = {"x": z, "y": y, "n": frames, "m": lengths}
    value("ctc", "ctc(x, y, n, m)", given, np.where(np.isinf(each), 0, each).mean())
    value("ctc", "ctc(x, y, n, m, impossible=7)", given, np.where(np.isinf(each), 7, each).mean())
    value("ctc_frames", "ctc_frames(y, m)", given, np.array([needs(*r) for r in zip(y, lengths)], np.int32), compare="exact")
    flat = z.reshape(6, -1)
    trained("ctc", "r = reshape(x * a, [B, 5, 4])", {"x": flat}, {"a": some(20, low=0.5)}, "ctc(r, y, n, m)",
            lambda p, d: jnp.mean(by_recursion((d["x"] * p["a"]).reshape(6, 5, 4), y, frames, lengths)),
            {"y": y, "n": frames, "m": lengths}, compare="near 1e-11 1e-12")
    far = some(2, 60, 3, low=-200, high=200)  # probabilities that no f64 holds
    long = {"x": far, "y": np.array([[1, 2, 2, 1], [2, 1, 0, 0]], np.int32), "n": np.array([60, 41], np.int32), "m": np.array([4, 2], np.int32)}
    want = by_recursion(far, long["y"], long["n"], long["m"])
    assert np.all(want > 750)
    value("ctc", "ctc(x, y, n, m)", long, np.asarray(want.mean()))
    over_a_split(z, y, frames, lengths, each)
    said(z, y, frames, lengths)


def over_a_split(z, y, frames, lengths, each):
    """As a metric: exact over a split in batches of 4."""
    given = {"x": z.reshape(6, -1), "y": y, "n": frames, "m": lengths}
    fields = ", ".join(f"{n} = {columns(n, a)}" for n, a in given.items())
    text = ("model t(x: f64[B, 20]) -> (r: [B, 5, 4]) {\nr = reshape(x, [B, 5, 4])\n}\n" + TRAIN.format(
        fields=fields, loss="mean(r)", more="metric m = ctc(r, y, n, m)\n ", optimizer="gradient{}", lr=1))
    sample("metrics", "ctc", text, given, {"loss": z.mean(), "m": np.where(np.isinf(each), 0, each).mean()}, "near 1e-12 1e-14")


def said(z, y, frames, lengths):
    words = [spelled(z[b, :n].argmax(-1)) for b, n in enumerate(frames)]
    filled = np.array([w + [0] * (5 - len(w)) for w in words], np.int32)
    value("ctc_greedy", "r, k = ctc_greedy(x, n)", {"x": z, "n": frames},
          {"r": filled, "k": np.array([len(w) for w in words], np.int32)}, compare="exact")
    a = np.array([[1, 2, 3, 4, 5], [1, 1, 1, 1, 1], [5, 4, 9, 2, 0], [7, 7, 7, 7, 7], [3, 1, 2, 3, 1]], np.int32)
    b = np.array([[1, 3, 4, 5], [2, 2, 2, 2], [4, 9, 9, 2], [1, 2, 3, 4], [1, 3, 3, 1]], np.int32)
    n, m = np.array([5, 3, 4, 0, 5], np.int32), np.array([4, 4, 4, 3, 4], np.int32)
    want = [distance(list(p[:i]), list(q[:j])) for p, i, q, j in zip(a, n, b, m)]
    assert 0 not in want and len(set(want)) >= 3
    value("edit_distance", "edit_distance(x, n, y, m)", {"x": a, "n": n, "y": b, "m": m}, np.array(want, np.int32), compare="exact")


def words():
    """Lists of words, one of them compared with another as one symbol; 3 is the space."""
    draw = np.random.default_rng(41)
    a, b = draw.choice([1, 2, 3], size=(32, 9)).astype(np.int32), draw.choice([1, 2, 3], size=(32, 7)).astype(np.int32)
    n, m = draw.integers(10, size=32).astype(np.int32), draw.integers(8, size=32).astype(np.int32)
    a[:3, :7], n[:3], m[:3] = b[:3], (7, 7, 6), 7
    split = lambda row, k: "".join(map(str, row[:k])).replace("3", " ").split()
    heard, told = [split(r, k) for r, k in zip(a, n)], [split(r, k) for r, k in zip(b, m)]
    want = [distance(x, y) for x, y in zip(heard, told)]
    assert {0, 1, 2, 3} <= set(want) and [] in heard and [] in told
    value("word_distance", "word_distance(x, n, y, m, 3)", {"x": a, "n": n, "y": b, "m": m}, np.array(want, np.int32), compare="exact")
    value("word_count", "word_count(x, n, 3)", {"x": a, "n": n}, np.array([len(w) for w in heard], np.int32), compare="exact")


def speech():
    sound()
    alignments()
    words()
