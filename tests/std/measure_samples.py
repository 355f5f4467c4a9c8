#!/usr/bin/env python3
"""measure_samples.py [--check]: writes measures.txt, metrics over whole splits, in the form of samples.txt, whose values are
scikit-learn's (1.9 wrote the file). samples_test.cpp measures them in batches of 4."""

import numpy as np
import sklearn.metrics as sk

from model_text import TRAIN, columns, sample
from kept_file import keep
from sample_text import out

draw = np.random.default_rng(14)


def measured(name, metric, want, x, y, s=None):
    """A metric of logits x [N, n], class numbers c (the largest of x), scores s and labels y."""
    c = x.argmax(-1).astype(np.int32)
    s = draw.normal(size=len(y)) if s is None else s
    fields = ", ".join(f"{n} = {columns(n, a)}" for n, a in {"x": x, "c": c, "s": s, "y": y}.items())
    text = (f"model t(x: f64[B, {x.shape[1]}], c: i32[B], s: f64[B]) -> (r: [...], d: i32[B], q: [B]) {{\n"
            "r = x\nd = c\nq = s\n}\n"
            + TRAIN.format(fields=fields, loss="mean(r)", more=f"metric m = {metric}\n ", optimizer="gradient{}", lr=1))
    sample("metrics", name, text, {"x": x, "c": c, "s": s, "y": y},
           {"loss": x.mean(), "m": np.asarray(want, np.float64)}, "near 1e-12 1e-14")


def classes(rows, n, occurring):
    """Logits that are right about half of the time, and labels below `occurring`."""
    y = draw.integers(occurring, size=rows).astype(np.int32)
    x = np.round(draw.normal(size=(rows, n)) + 1.2 * np.eye(n)[y], 3)
    return x, y


def matrices():
    for rows, n, occurring in [(23, 3, 3), (23, 4, 2), (1, 3, 3)]:
        x, y = classes(rows, n, occurring)
        want = sk.confusion_matrix(y, x.argmax(-1), labels=range(n))
        measured("confusion_matrix", "confusion_matrix(r, y)", want, x, y)
        measured("confusion_matrix", f"confusion_matrix(d, y, classes={n})", want, x, y)


def f1():
    x, y = classes(23, 2, 2)
    p = x.argmax(-1)
    never = np.stack([np.ones(23), np.zeros(23)], -1)
    measured("f1", "f1(r, y)", sk.f1_score(y, p), x, y)
    measured("f1", "f1(d, y)", sk.f1_score(y, p), x, y)
    measured("f1", "f1(r, y, positive=0)", sk.f1_score(y, p, pos_label=0), x, y)
    measured("f1", "f1(r, y)", sk.f1_score(y, 0 * p, zero_division=0), never, y)
    measured("f1", 'f1(r, y, "macro")', sk.f1_score(y, 0 * p, average="macro", zero_division=0), never, y)
    for rows, n, occurring in [(37, 3, 3), (23, 5, 2)]:
        x, y = classes(rows, n, occurring)
        for average in ["macro", "weighted", "micro"]:
            want = sk.f1_score(y, x.argmax(-1), average=average, zero_division=0)
            measured("f1", f'f1(r, y, "{average}")', want, x, y)
            measured("f1", f'f1(d, y, average="{average}", classes={n})', want, x, y)


def auc():
    for rows, decimals in [(2, 3), (23, 9), (37, 1), (203, 0)]:
        x, y = classes(rows, 2, 2)
        y[:2] = 0, 1
        s = np.round(x[:, 1] - x[:, 0], decimals)
        measured("auc", "auc(q, y)", sk.roc_auc_score(y, s), x, y, s)
        measured("auc", "auc(softmax(r)[:, 1], f32(y))", sk.roc_auc_score(y, x[:, 1] - x[:, 0]), x, y)
    for s in [np.zeros(37), y[:37] * 1.0, -y[:37] * 1.0, np.where(y[:37] > 0, -0.0, 0.0), 1e300 * draw.normal(size=37)]:
        x, label = classes(37, 2, 2)[0], y[:37]
        measured("auc", "auc(q, y)", sk.roc_auc_score(label, s), x, label, s)
    # Of one class there is no area; scikit-learn refuses a score that is no number.
    measured("auc", "auc(q, y)", np.nan, x, np.ones(37, np.int32))
    measured("auc", "auc(q, y)", np.nan, x, label, np.where(np.arange(37) == 5, np.nan, s))
    measured("auc", "auc(q, y)", np.nan, x, label, np.where(np.arange(37) == 5, np.inf, s))


def classified():
    x, y = classes(37, 5, 5)
    x[3], x[4], x[5] = 0, np.round(x[4]), [1, 1, 1, 0, 0]
    y[3:6] = 2, 1, 2
    for k in (1, 2, 3, 4):
        # scikit-learn takes the last of equals, so these go by ranks alone: the first of equals is larger.
        order = np.argsort(-x, axis=-1, kind="stable")
        want = np.mean([label in row[:k] for row, label in zip(order, y)])
        rows = np.array([len(set(row)) == 5 for row in x])
        assert np.isclose(sk.top_k_accuracy_score(y[rows], x[rows], k=k, labels=range(5)),
                          np.mean([label in row[:k] for row, label in zip(order[rows], y[rows])]))
        measured("top_k_accuracy", f"top_k_accuracy(r, y, k={k})", want, x, y)
    p = np.exp(x) / np.exp(x).sum(-1, keepdims=True)
    measured("perplexity", "perplexity(r, y)", np.exp(sk.log_loss(y, p, labels=range(5))), x, y)
    measured("perplexity", "perplexity(r, y, ignore=2)", np.exp(sk.log_loss(y[y != 2], p[y != 2], labels=range(5))), x, y)


for family in [matrices, f1, auc, classified]:
    family()
text = "\n".join(out)
keep(__file__, "measures.txt", text)
print(f"{text.count('compare')} samples, {len(text)} bytes")
