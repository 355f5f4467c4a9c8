"""Makes half.safetensors: tensors of F16 and BF16 beside the F32 numbers that they are (as NumPy widens F16; a BF16
is the upper half of an F32), and weights for the model of tests/cli. Run: python half.py (numpy, safetensors)."""
import numpy as np
from safetensors import TensorSpec, serialize_file

draw = np.random.default_rng(1)
# Zeros, denormals, the smallest and largest normal numbers, infinities, NaN, one; both signs; some at random.
special = np.array([0, 1, 2, 3, 0x1FF, 0x200, 0x3FF, 0x400, 0x401, 0x3C00, 0x3C01, 0x7BFF, 0x7C00, 0x7E00], np.uint16)
bits16 = np.concatenate([special, special | 0x8000, draw.integers(0, 0x7C00, 100, np.uint16)])
special = np.array([0, 1, 0x7F, 0x80, 0x3F80, 0x7F7F, 0x7F80, 0x7FC0], np.uint16)
bits_b16 = np.concatenate([special, special | 0x8000, draw.integers(0, 0x7F80, 100, np.uint16)])

kept = []


def tensor(dtype, a):
    a = np.ascontiguousarray(a)
    kept.append(a)  # a spec has no hold of it
    return TensorSpec(dtype=dtype, shape=list(a.shape), data_ptr=a.ctypes.data, data_len=a.nbytes)


serialize_file({
    "half": tensor("float16", bits16.view(np.float16).reshape(2, -1)),
    "half.f32": tensor("float32", bits16.view(np.float16).astype(np.float32).reshape(2, -1)),
    "brain": tensor("bfloat16", bits_b16),
    "brain.f32": tensor("float32", (bits_b16.astype(np.uint32) << 16).view(np.float32)),
    "none": tensor("float16", np.zeros((0, 3), np.float16)),
    "none.f32": tensor("float32", np.zeros((0, 3), np.float32)),
    "one": tensor("bfloat16", np.array(0x3F80, np.uint16)),
    "one.f32": tensor("float32", np.array(1, np.float32)),
}, "half.safetensors", {})
serialize_file({"l.w": tensor("float16", np.array([1.75], np.float16))}, "line_half.safetensors", {})
serialize_file({"l.w": tensor("bfloat16", np.array([0xBFE0], np.uint16))}, "line_brain.safetensors", {})
