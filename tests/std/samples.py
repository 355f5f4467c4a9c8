#!/usr/bin/env python3
"""samples.py [--check]: writes samples.txt, values from NumPy, SciPy and JAX (f64) for the standard library and for
programs of the language, which samples_test.cpp compares with compiled code; --check compares the file with what would
be written. A sample is model text, what the model is given (inputs, parameters, scalars), and what must come out."""

import model_text
from conv_samples import further_windows, transposed_groups, window_layers, without_padding
from gradient_samples import gradients
from kept_file import keep
from language_samples import programs
from loss_samples import further_losses, perplexities
from norm_samples import norms
from random_samples import known_draws, spectra_with_holes
from sample_text import out
from sequence_samples import sequence_layers
from speech_samples import speech
from std_samples import activations, along_axes, factored, initialisers, layers, losses, orthogonalised, schedules

start = model_text.random.bit_generator.state
for family in [activations, along_axes, layers, losses, schedules, factored, initialisers, known_draws, programs, gradients, window_layers, norms,
               sequence_layers, further_losses, without_padding, speech, spectra_with_holes, orthogonalised, further_windows, perplexities, transposed_groups]:
    model_text.random.bit_generator.state = start  # so that a family does not move when another changes
    family()
text = "\n".join(out)
keep(__file__, "samples.txt", text)
print(f"{text.count('compare')} samples, {len(text)} bytes")
