"""Writes the pictures of this folder's tests, and what Pillow reads from them, as values.npz.

usage: make_pictures.py FOLDER, with Pillow (13.0 made what is kept) and NumPy. PNGs of kinds that Pillow does not
write are put together here; everything is of a fixed formula. FOLDER/shapes is a folder of classes to train on.
"""
import os
import struct
import sys
import zlib

import numpy as np
from PIL import Image, ImageOps

out = sys.argv[1]
os.makedirs(out, exist_ok=True)
H, W = 9, 13
i, j = np.mgrid[0:H, 0:W]
smooth = np.stack([i * 28 + j * 2, j * 19, 255 - i * 14 - j * 9], axis=-1).astype("u1")
rough = ((i * 7 + j * 13)[:, :, None] * np.array([37, 101, 211]) % 256).astype("u1")
alpha = ((i * 31 + j * 57) % 256).astype("u1")
values = {}


def path(name):
    return os.path.join(out, name)


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def packed(samples, depth):
    """Rows [h, w, channels] as bytes, each behind its filter's number (0: none)."""
    if depth == 16:
        rows = [r.astype(">u2").tobytes() for r in samples]
    else:
        bits = samples.reshape(len(samples), -1, 1) >> np.arange(depth)[::-1] & 1
        rows = [np.packbits(r.ravel()).tobytes() for r in bits.astype("u1")]
    return b"".join(b"\0" + r for r in rows if r)


def png(name, samples, depth, colour, interlaced=False, more=b""):
    samples = samples.reshape(H, W, -1)
    passes = [(0, 8, 0, 8), (0, 8, 4, 8), (4, 8, 0, 4), (0, 4, 2, 4), (2, 4, 0, 2), (0, 2, 1, 2), (1, 2, 0, 1)]
    parts = [samples[a::b, c::d] for a, b, c, d in passes] if interlaced else [samples]
    data = b"".join(packed(p, depth) for p in parts if p.size)
    with open(path(name), "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", W, H, depth, colour, 0, 0, interlaced)))
        f.write(more + chunk(b"IDAT", zlib.compress(data, 9)) + chunk(b"IEND", b""))


GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
wide = (i * 7001 + j * 977) % 65536
colours = chunk(b"PLTE", ((np.arange(16)[:, None] * [15, 9, 77] + [3, 80, 5]) % 256).astype("u1").tobytes())
for depth in (1, 2, 4, 8, 16):
    png("grey%d.png" % depth, wide if depth == 16 else (i * 3 + j * 5) % (1 << depth), depth, GREY)
png("rgb8.png", rough, 8, RGB)
png("rgb16.png", rough.astype("u2") * 256 + 200, 16, RGB)
png("interlaced.png", rough, 8, RGB, interlaced=True)
png("interlaced1.png", (i + j) % 3 % 2, 1, GREY, interlaced=True)
png("palette4.png", (i + 2 * j) % 16, 4, PALETTE, more=colours)
png("palette8.png", (i + 2 * j) % 16, 8, PALETTE, more=colours + chunk(b"tRNS", bytes(range(0, 160, 17))))
png("grey_alpha.png", np.dstack([smooth[:, :, 0], alpha]), 8, GREY_ALPHA)
png("rgba8.png", np.dstack([rough, alpha]), 8, RGBA)
png("rgba16.png", np.dstack([rough, alpha]).astype("u2") * 256 + 99, 16, RGBA)
png("opaque.png", np.dstack([rough, alpha * 0 + 255]), 8, RGBA)
png("keyed.png", rough, 8, RGB, more=chunk(b"tRNS", struct.pack(">HHH", *rough[2, 3])))
png("gamma.png", rough, 8, RGB, more=chunk(b"gAMA", struct.pack(">I", 30000)) + chunk(b"tEXt", b"Title\0a text"))

picture = Image.fromarray(np.kron(smooth, np.ones((3, 3, 1), "u1"))[:25, :37])
picture.save(path("plain.jpg"), quality=90, subsampling=0)
picture.save(path("sampled.jpg"), quality=80, subsampling=2)
picture.save(path("wide.jpg"), quality=80, subsampling=1)
picture.save(path("progressive.jpg"), quality=85, progressive=True)
picture.convert("L").save(path("grey.jpg"), quality=85)
picture.convert("CMYK").save(path("inks.jpg"), quality=85)
for name in sorted(os.listdir(out)):
    if not name.endswith((".png", ".jpg")) or name == "inks.jpg":
        continue
    im = Image.open(path(name))
    if im.mode == "I;16":  # which Pillow does not bring to 8 bits
        im = Image.fromarray((np.asarray(im) >> 8).astype("u1"))
    for mode in ("L", "RGB", "RGBA"):
        values["%s.%s" % (name, mode)] = np.asarray(im.convert(mode))
# Smaller, larger, wider and higher than the picture; in the middle of it, cut at its sides or above and below.
for name, mode in (("rgb8.png", "RGB"), ("grey8.png", "L"), ("plain.jpg", "RGB")):
    im = Image.open(path(name)).convert(mode)
    for h, w in ((5, 7), (20, 31), (9, 4), (3, 13), (9, 13), (16, 16)):
        values["%s.stretch.%d.%d" % (name, h, w)] = np.asarray(im.resize((w, h), Image.BILINEAR))
        values["%s.crop.%d.%d" % (name, h, w)] = np.asarray(ImageOps.fit(im, (w, h), Image.BILINEAR))
np.savez_compressed(path("values.npz"), **values)

# Three shapes, of other places, sizes and brightness in each picture; some pictures are not square.
random = np.random.default_rng(3)
for name in ("circle", "cross", "square"):
    os.makedirs(path("shapes/" + name), exist_ok=True)
    for n in range(8):
        h, w = 20, (20, 20, 24, 20)[n % 4]
        y, x = np.mgrid[0:h, 0:w].astype("f8")
        y, x, r = y - h / 2 - random.uniform(-2, 2), x - w / 2 - random.uniform(-2, 2), random.uniform(4, 6)
        inside = {"circle": np.abs(np.hypot(x, y) - r) < 1.2, "cross": (np.minimum(abs(x), abs(y)) < 1.2) & (np.maximum(abs(x), abs(y)) < r), "square": np.abs(np.maximum(abs(x), abs(y)) - r) < 1.2}[name]
        im = np.clip(random.normal(40, 8, (h, w)) + inside * random.uniform(120, 190), 0, 255).astype("u1")
        Image.fromarray(im).save(path("shapes/%s/%d.%s" % (name, n, "jpg" if n % 2 else "png")), quality=90)
