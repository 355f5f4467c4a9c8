"""Writes augment.txt: pictures moved and mirrored with NumPy, by draws of a Philox4x32-10 written anew here.

usage: augment.py > augment.txt. A line is: type, seed, epoch, H W C (C 0: none), changes, rows and the elements of
these rows, row-major. Element i of the whole array is 1 + i % 251.
"""
import numpy as np

M32 = 0xFFFFFFFF


def philox(counter, key):
    c, k = list(counter), list(key)
    for _ in range(10):
        p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(q >> 32) ^ c[1] ^ k[0], q & M32, (p >> 32) ^ c[3] ^ k[1], p & M32]
        k = [(k[0] + 0x9E3779B9) & M32, (k[1] + 0xBB67AE85) & M32]
    return c


def draws(seed, stream, first):
    number = first
    while True:
        c = philox((number & M32, number >> 32, stream & M32, stream >> 32), (seed & M32, seed >> 32))
        yield c[1] << 32 | c[0]
        yield c[3] << 32 | c[2]
        number += 1


def up_to(last, numbers):
    mask = (1 << last.bit_length()) - 1
    while True:
        n = next(numbers) & mask
        if n <= last:
            return n


def shift(a, down, right):
    padded = np.pad(a, [(abs(down),) * 2, (abs(right),) * 2] + [(0, 0)] * (a.ndim - 2))
    y, x = abs(down) - down, abs(right) - right
    return padded[y:y + a.shape[0], x:x + a.shape[1]]


def change(a, how, seed, epoch, row, place):
    numbers = draws(seed, (place + 1) << 48 | epoch, row << 16)
    if how == "flip":
        return a[:, ::-1] if up_to(1, numbers) == 1 else a
    most = int(how)
    down = up_to(2 * most, numbers) - most
    return shift(a, down, up_to(2 * most, numbers) - most)


assert philox((0, 0, 0, 0), (0, 0)) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]  # Random123's kat_vectors
CASES = [("u8", 0, 0, (5, 4), ["2"]), ("f32", 1, 3, (4, 6, 3), ["flip"]), ("u8", 9, 7, (5, 4, 2), ["1", "flip"]),
         ("f32", 5, 1, (4, 4), ["flip", "3", "flip", "2"]), ("f64", 2**40 + 3, 2, (3, 5, 1), ["2", "2"]), ("i32", 4, 0, (1, 7), ["flip"])]
ROWS = [8, 0, 3, 3, 5, 1, 7, 2]
for dtype, seed, epoch, shape, changes in CASES:
    data = (1 + np.arange(9 * int(np.prod(shape))) % 251).reshape(9, *shape)
    out = []
    for row in ROWS:
        a = data[row]
        for place, how in enumerate(changes):
            a = change(a, how, seed, epoch, row, place)
        out.append(a)
    assert any((o != data[r]).any() for o, r in zip(out, ROWS))
    print(dtype, seed, epoch, *shape, *[0] * (3 - len(shape)), len(changes), *changes, len(ROWS), *ROWS, *np.concatenate([o.ravel() for o in out]))
