"""Writes the files of this folder's tests with NumPy and the wave module, and what they hold as text.

usage: make_files.py FOLDER. The files are kept beside this script; every value is of a fixed formula.
"""
import os
import struct
import sys
import wave

import numpy as np

out = sys.argv[1]


def path(name):
    return os.path.join(out, name)


def text(name, a):
    """name, shape, then every element in row-major order, exactly."""
    return "%s %s : %s\n" % (name, " ".join(map(str, a.shape)), " ".join(repr(float(v)) for v in a.ravel()))


base = np.arange(12).reshape(3, 2, 2)
arrays = {
    "b1": base % 3 == 0, "u1": (base * 21).astype("u1"), "i1": (base - 6).astype("i1"), "i2": (base * -1000).astype("<i2"),
    "u2": (base * 5000).astype("<u2"), "i4": (base * -100000000).astype("<i4"), "u4": (base * 300000000).astype("<u4"),
    "i8": (base * (1 << 40)).astype("<i8"), "f2": ((base - 6) / 7).astype("<f2"), "f4": (base / 7 - 1).astype("<f4"),
    "f8": (base / 3 - 1).astype("<f8"), "big_f4": (base / 7 - 1).astype(">f4"), "big_i2": (base * -999).astype(">i2"),
    "fortran": np.asfortranarray(base / 5.0), "empty": np.zeros((0, 4), "<f4"),
}
with open(path("values.txt"), "w") as f:
    for name, a in arrays.items():
        np.save(path(name + ".npy"), a)
        f.write(text(name, a.astype("f8")))
np.savez(path("stored.npz"), **arrays)
np.savez_compressed(path("deflated.npz"), **arrays)
np.save(path("u8.npy"), np.arange(3, dtype="<u8"))
np.save(path("object.npy"), np.array([{}, 1], dtype=object), allow_pickle=True)

# Two records of each kind of CIFAR; pixels by formula, as tests compute them again.
for name, labels in (("cifar10", [[3], [9]]), ("cifar100", [[19, 99], [0, 1]])):
    with open(path(name + ".bin"), "wb") as f:
        for r, label in enumerate(labels):
            image = np.fromfunction(lambda i, j, c: (r * 50 + 3 * i + 5 * j + 80 * c) % 256, (32, 32, 3)).astype("u1")
            f.write(bytes(label) + image.transpose(2, 0, 1).tobytes())

for name, n, rate in (("one", 5, 8000), ("two", 9, 8000), ("fast", 4, 16000)):
    with wave.open(path(name + ".wav"), "wb") as w:
        w.setnchannels(1), w.setsampwidth(2), w.setframerate(rate)
        w.writeframes(struct.pack("<%dh" % n, *[(-1) ** i * (i + 1) * 3000 for i in range(n)]))
for name, channels, width in (("stereo", 2, 2), ("eight", 1, 1)):
    with wave.open(path(name + ".wav"), "wb") as w:
        w.setnchannels(channels), w.setsampwidth(width), w.setframerate(8000)
        w.writeframes(bytes(16))
