"""Random numbers recomputed in Python's integers from their definition: splitmix64 of a key and a counter; the key of
a parameter is its seed and path, that of a draw while training is seed, place and step (frontend/elaboration/builtin.cpp)."""

import numpy as np

from model_text import TRAIN, sample, some, value

MASK = 2**64 - 1


def bits(key, counter):
    z = (key + (counter + 1) * 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ z >> 27) * 0x94D049BB133111EB) & MASK
    return z ^ z >> 31


def name_hash(text):
    h = 14695981039346656037
    for c in text.encode():
        h = ((h ^ c) * 1099511628211) & MASK
    return (h ^ h >> 52) & (2**52 - 1)


def uniform(key, n):
    return np.array([(bits(key, i) >> 11) * 2.0**-53 for i in range(n)])


def known_draws():
    u, v = (uniform(bits(bits(0, name_hash("w")), draw), 6).reshape(2, 3) for draw in (1, 2))
    model = "model t(x: f64[B]) -> (r: [...]) {{\nparam w: [2, 3] = {}\nr = sum(w) + x\n}}"
    sample("init", "uniform", model.format("uniform(-1, 3)"), {}, {"w": -1 + 4 * u}, "near 1e-14 1e-15")
    normal = 1 + 0.5 * np.sqrt(-2 * np.log(1 - u)) * np.cos(2 * np.pi * v)
    sample("init", "normal", model.format("normal(0.5, mean=1)"), {}, {"w": normal}, "near 1e-13 1e-14")
    x = some(3, 4)
    value("Dropout", "x |> Dropout{0.9}", {"x": x}, x, compare="exact")
    for step, seed in [(0, 0), (7, 0), (7, 123456789)]:
        dropout(step, seed, 0.3)
    for step, seed in [(0, 0), (7, 0), (7, 123456789)]:
        randn(step, seed)


def normal_numbers(seed, sites, step, n):
    u, v = (uniform(bits(bits(seed, name_hash(site)), step), n) for site in sites)
    return np.sqrt(-2 * np.log(1 - u)) * np.cos(2 * np.pi * v)


def randn(step, seed):
    """While training by its seed; otherwise by seed 0 and other keys."""
    z, k = np.zeros(5), some(5)
    given = {"z": z, "k": k, "step": np.int64(step), "seed": np.int64(seed), "total": np.int64(10)}
    if seed == 0:
        value("randn", "z + randn(shape(z))", {"z": z}, normal_numbers(0, ("always::0:0", "always::1:0"), step, 5),
              {"step": np.int64(step)})
    text = ("model t(z: f64[B]) -> (r: [...]) {\nparam k: [5] = 0\nr = sum(k * randn([5])) + 0 * z[0]\n}\n"
            + TRAIN.format(fields='z = column("z")', loss="r + 0 * mean(z)", more="", optimizer="gradient{}", lr=1))
    sample("train", "randn", text, given, {"k": normal_numbers(seed, (":0:0", ":1:0"), step, 5)}, "near 1e-13 1e-14")


def dropout(step, seed, p):
    """Two calls of one layer, and another layer, at a step: each has a mask of its own."""
    a, k = some(5, 4), [some(5, 4) for _ in range(3)]
    masks = [uniform(bits(bits(seed, name_hash(site)), step), 20).reshape(5, 4) >= p
             for site in ("d:0:0", "d:0:1", "dropout:0:0")]
    kept = [np.where(m, a / (1 - p), 0) for m in masks]
    body = ("model t(z: f64[B]) -> (r: [...]) {\nparam a: [5, 4] = 0\nparam k0: [5, 4] = 0\nparam k1: [5, 4] = 0\n"
            f"param k2: [5, 4] = 0\nd = Dropout{{{p}}}\nq = d(a) * k0\ns = d(a) * k1\n"
            f"r = sum(q + s + Dropout{{{p}}}(a) * k2) + 0 * z[0]\n}}\n")
    text = body + TRAIN.format(fields='z = column("z")', loss="r + 0 * mean(z)", more="", optimizer="gradient{}", lr=1)
    given = {"z": np.zeros(1), "a": a, "step": np.int64(step), "seed": np.int64(seed), "total": np.int64(10)}
    given.update({f"k{i}": x for i, x in enumerate(k)})
    want = {f"k{i}": x for i, x in enumerate(kept)}
    want["a"] = sum(np.where(m, x / (1 - p), 0) for m, x in zip(masks, k))
    sample("train", "Dropout", text, given, want, "near 1e-14 1e-15")


def spectra_with_holes():
    """Four draws an example: how long, where, how wide, how low."""
    x = some(2, 3, 4)
    value("SpecAugment", "x |> SpecAugment{2, 2}", {"x": x}, x, compare="exact")
    for step, seed, frames, bands in [(0, 0, 3, 2), (7, 5, 9, 0), (3, 5, 0, 9), (4, 5, 6, 5)]:
        a, k = some(6, 6, 5), some(6, 6, 5)
        mask = np.ones((6, 6, 5))
        for b, (long, at, wide, low) in enumerate(uniform(bits(bits(seed, name_hash("spec_augment:0:0")), step), 24).reshape(6, 4)):
            long, wide = int(long * (min(frames, 6) + 1)), int(wide * (min(bands, 5) + 1))
            at, low = int(at * (6 - long + 1)), int(low * (5 - wide + 1))
            mask[b, at : at + long], mask[b, :, low : low + wide] = 0, 0
        assert 0 < mask.sum() < mask.size
        text = ("model t(z: f64[B]) -> (r: [...]) {\nparam a: [6, 6, 5] = 0\nparam k: [6, 6, 5] = 0\n"
                f"r = sum(SpecAugment{{{frames}, {bands}}}(a) * k) + 0 * z[0]\n}}\n"
                + TRAIN.format(fields='z = column("z")', loss="r + 0 * mean(z)", more="", optimizer="gradient{}", lr=1))
        given = {"z": np.zeros(1), "a": a, "k": k, "step": np.int64(step), "seed": np.int64(seed), "total": np.int64(10)}
        sample("train", "SpecAugment", text, given, {"a": mask * k, "k": mask * a}, "near 1e-14 1e-15")
