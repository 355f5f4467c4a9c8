"""Makes plateau.txt: rates of PyTorch's ReduceLROnPlateau for given values of a metric. Run: python plateau.py,
or --check. PyTorch 2.15 wrote it.

One line a case: max or min, factor, patience, threshold, cooldown, low, the first rate, then pairs of a value and the
rate behind it.
"""
import math
import pathlib
import random
import sys

import torch

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "ops"))
from kept_file import keep  # noqa: E402

draw = random.Random(7)
CASES = [
    ("min", 0.1, 10, 1e-4, 0, 0.0, 1e-3),
    ("min", 0.5, 0, 1e-4, 0, 0.0, 1.0),
    ("max", 0.5, 2, 1e-4, 0, 0.0, 0.1),
    ("min", 0.3, 1, 0.1, 3, 1e-3, 0.5),
    ("max", 0.9, 1, 0.0, 1, 0.2, 1.0),
    ("min", 0.1, 0, 0.0, 0, 0.0, 1e-6),
]
lines = []
for mode, factor, patience, threshold, cooldown, low, rate in CASES:
    p = torch.nn.Parameter(torch.zeros(1))
    o = torch.optim.SGD([p], lr=rate)
    s = torch.optim.lr_scheduler.ReduceLROnPlateau(o, mode, factor, patience, threshold, "rel", cooldown, low)
    pairs, level = [], 2.0
    for i in range(60):
        level *= draw.choice([1.0, 0.99995, 0.97, 1.02])
        value = math.nan if i in (7, 8, 40) else round(level + draw.choice([0, 0, 0.3]), 9)
        s.step(value)
        pairs += [value, o.param_groups[0]["lr"]]
    lines.append(" ".join(map(repr, [factor, patience, threshold, cooldown, low, rate, *pairs])))
    lines[-1] = mode + " " + lines[-1]
text = "\n".join(lines) + "\n"
keep(__file__, "plateau.txt", text)
