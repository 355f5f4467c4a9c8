#!/usr/bin/env python3
"""samples.py [--check]: writes samples.txt, values from NumPy, mpmath and JAX for every op, which samples_test.cpp
compares with the interpreter and with compiled code; --check compares the file with what would be written.
Needs numpy, mpmath and jax. A sample is a module whose @predict holds the op, arguments, results and how near:
`exact` (bits, all NaNs equal), `ulp N` (units of the last place) or `near R A` (|error| <= R |want| + A)."""

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
from kept_file import keep
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
keep(__file__, "samples.txt", text)
print(f"{sum(o.startswith(('sample', 'gradient', 'second')) for o in out)} samples, {len(text)} bytes")
