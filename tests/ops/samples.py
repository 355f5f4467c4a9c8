#!/usr/bin/env python3
"""samples.py [--check]: writes samples.txt, values from NumPy, mpmath and JAX for every op, which samples_test.cpp
compares with the interpreter and with compiled code; --check compares the file with what would be written.
Needs numpy, mpmath and jax. A sample is a module whose @predict holds the op, arguments, results and how near:
`exact` (bits, all NaNs equal), `ulp N` (units of the last place) or `near R A` (|error| <= R |want| + A)."""

import pathlib
import sys

import numpy as np

from array_samples import conditional_contractions, contractions, control, indexing, reductions, structure
from elementwise_samples import (
    binary_ops,
    casts,
    elementary_ops,
    leaves,
    other_elementwise,
    pow_ops,
    second_derivatives,
    unary_ops,
)
from order_samples import order, running
from sample_text import out, random
from window_samples import convolutions, windows

start = random.bit_generator.state
for family in [leaves, unary_ops, elementary_ops, binary_ops, pow_ops, other_elementwise, casts] + [
    structure,
    indexing,
    reductions,
    contractions,
    conditional_contractions,
    control,
    second_derivatives,
    windows,
    convolutions,
    running,
    order,
]:
    random.bit_generator.state = start  # so that a family does not move when another changes
    family()
text = "\n".join(out)
path = pathlib.Path(__file__).with_name("samples.txt")
if sys.argv[1:] == ["--check"]:
    same = path.read_text() == text
    print("samples.txt is what would be written" if same else "samples.txt differs")
    sys.exit(not same)
path.write_text(text)
print(f"{sum(o.startswith(('sample', 'gradient', 'second')) for o in out)} samples, {len(text)} bytes")
