"""gradc predict over every kind of source, in every format. usage: test_predict.py GRADC SOURCE_DIR"""
import csv, gzip, io, json, os, re, shutil, struct, subprocess, sys, unittest, wave, zipfile, zlib

from test_cli import GRADC, SOURCE, Folder, gradc, tensors, write_tensors


def npy(descr, shape, data):
    head = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': ({''.join(f'{d},' for d in shape)}), }}"
    head += " " * (63 - (10 + len(head)) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + data


def read_npy(data):
    """(descr, shape, values): an independent reader."""
    assert data[:8] == b"\x93NUMPY\x01\x00", data[:8]
    n = struct.unpack("<H", data[8:10])[0]
    assert (10 + n) % 64 == 0 and data[9 + n] == 10
    head = eval(data[10 : 10 + n])
    assert head["fortran_order"] is False
    code = {"<f4": "f", "<f8": "d", "<i4": "i", "<i8": "q", "|b1": "?", "|u1": "B"}[head["descr"]]
    return head["descr"], head["shape"], list(struct.unpack(f"<{(len(data) - 10 - n) // struct.calcsize(code)}{code}", data[10 + n :]))


def read_png(data):
    """(width, height, channels, rows of samples): an independent reader of 8 bits a sample."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, packed = 8, b""
    while at < len(data):
        n, kind = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + n]
        assert zlib.crc32(kind + body) == struct.unpack(">I", data[at + 8 + n : at + 12 + n])[0]
        if kind == b"IHDR":
            width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", body)
        packed += body if kind == b"IDAT" else b""
        at += 12 + n
    assert depth == 8 and interlace == 0
    channels = {0: 1, 2: 3, 6: 4}[colour]
    raw, pitch, rows = zlib.decompress(packed), width * channels, []
    for y in range(height):
        how, line = raw[y * (pitch + 1)], bytearray(raw[y * (pitch + 1) + 1 : (y + 1) * (pitch + 1)])
        for i in range(pitch):
            a = line[i - channels] if i >= channels else 0
            b = rows[-1][i] if rows else 0
            c = rows[-1][i - channels] if rows and i >= channels else 0
            paeth = min((abs(b - c), 0, a), (abs(a - c), 1, b), (abs(a + b - 2 * c), 2, c))[2]
            line[i] = (line[i] + (0, a, b, (a + b) // 2, paeth)[how]) % 256
        rows.append(list(line))
    return width, height, channels, rows


class Predict(Folder):
    def train(self, text, *args):
        (self.dir / "m.grad").write_text(text)
        gradc("train", "m.grad", "-q", "--save", "w.safetensors", *args, cwd=self.dir)

    def predict(self, *inputs, code=0, more=()):
        flags = [x for i in inputs for x in ("--input", i)]
        return gradc("predict", "m.grad", "--load", "w.safetensors", *flags, *more, cwd=self.dir, code=code)

    def table(self, *inputs, **named):
        return list(csv.DictReader(io.StringIO(self.predict(*inputs, **named), newline="")))

    TABLE = (
        "model m(x: f32[B, 2], town: i32[B]) -> (total: [B], pair: [B, 1, 2], kind: i32[B], big: bool[B]) {\n"
        "  logits = x |> Dense{3} |> plus(Embed{2, 3}(town))\n"
        "  total = sum(x, over=1)\n  pair = reshape(x, [B, 1, 2])\n  kind = argmax(logits)\n  big = total > 4\n}\n"
        "fn plus(a, b) = a + b\n"
        'data d { train = csv("t.csv", x = columns(except=["kind", "town"]), town = label("town"), y = label("kind")) }\n'
        "train m on d { loss = cross_entropy(logits, y); optimizer = adam{}; lr = 0.2; batch = 3; epochs = 60 }\n"
    ).replace("-> (total", "-> (logits: [B, 3], total")
    ROWS = [(0, 0, "Ulm", "a,b"), (5, 0, "Bonn", 'c"d'), (0, 5, "Ulm", "e")] * 3

    def train_table(self):
        rows = "".join(f'{a},{b},{t},"{k.replace(chr(34), chr(34) * 2)}"\n' for a, b, t, k in self.ROWS)
        (self.dir / "t.csv").write_text("p,q,town,kind\n" + rows)
        self.train(self.TABLE)

    def test_names_of_labels_in_every_format(self):
        self.train_table()
        # Another order, an extra column, no labels of the training.
        (self.dir / "in.csv").write_text("town,extra,q,p\nUlm,?,0,0\nBonn,?,0,5\nUlm,?,5,0\nUlm,?,5,0.5\n")
        got = self.table("in.csv")
        self.assertEqual(list(got[0]), ["logits.0", "logits.1", "logits.2", "total", "pair.0", "pair.1", "kind", "big"])
        self.assertEqual([r["kind"] for r in got], ["a,b", 'c"d', "e", "e"])
        self.assertEqual([(float(r["total"]), float(r["pair.0"]), float(r["pair.1"]), r["big"]) for r in got], [(0, 0, 0, "0"), (5, 5, 0, "1"), (5, 0, 5, "1"), (5.5, 0.5, 5, "1")])
        for file in ("in.csv", "-"):
            with open(self.dir / "in.csv") as given:
                said = subprocess.run([GRADC, "predict", "m.grad", "--load", "w.safetensors", file], cwd=self.dir, stdin=given, env=dict(os.environ, GRADC_CACHE=""), capture_output=True, text=True)
            self.assertEqual(said.stdout, self.predict("in.csv"))
        # One result for each row whatever the batch.
        self.assertEqual(got, self.table("in.csv", more=["--batch", 1]))
        lines = [json.loads(l) for l in self.predict("in.csv", more=["--format", "jsonl"]).splitlines()]
        self.assertEqual([list(l) for l in lines], [["logits", "total", "pair", "kind", "big"]] * 4)
        for line, row in zip(lines, got):
            self.assertEqual([f"{x:.6g}" for x in line["logits"]], [f"{float(row[f'logits.{i}']):.6g}" for i in range(3)])
            self.assertEqual((line["total"], line["pair"], line["kind"], line["big"]), (float(row["total"]), [[float(row["pair.0"]), float(row["pair.1"])]], row["kind"], row["big"] == "1"))
        for result, expected in {
            "total": ("<f4", (4,), [0, 5, 5, 5.5]),
            "pair": ("<f4", (4, 1, 2), [0, 0, 5, 0, 0, 5, 0.5, 5]),
            "kind": ("<i4", (4,), [0, 1, 2, 2]),
            "big": ("|b1", (4,), [False, True, True, True]),
        }.items():
            self.predict("in.csv", more=["--format", "npy", "--results", result, "-o", "out.npy"])
            self.assertEqual(read_npy((self.dir / "out.npy").read_bytes()), expected)
        to_stdout = subprocess.run([GRADC, "predict", "m.grad", "--load", "w.safetensors", "--input", "in.csv", "--format=npy", "--results=big"], cwd=self.dir, env=dict(os.environ, GRADC_CACHE=""), capture_output=True)
        self.assertEqual(to_stdout.stdout, (self.dir / "out.npy").read_bytes())
        self.assertEqual(list(self.table("in.csv", more=["--results", "kind", "--results", "total"])[0]), ["kind", "total"])
        # A table without rows has results of the right form.
        (self.dir / "none.csv").write_text("town,p,q\n")
        self.assertEqual(self.predict("none.csv", more=["--results", "kind"]), "kind\n")
        self.predict("none.csv", more=["--format", "npy", "--results", "pair", "-o", "none.npy"])
        self.assertEqual(read_npy((self.dir / "none.npy").read_bytes()), ("<f4", (0, 1, 2), []))

    def test_refusals_of_tables(self):
        self.train_table()
        (self.dir / "in.csv").write_text("town,p,q\nUlm,0,0\nRome,0,5\n")
        self.assertIn("in.csv:3:1: town = Rome: the name 'Rome' is in no training example, whose 2 kinds", self.predict("in.csv", code=1))
        (self.dir / "in.csv").write_text("town,p,q\nUlm,0,x\n")
        self.assertIn("in.csv:2:7", self.predict("in.csv", code=1))
        (self.dir / "in.csv").write_text("town,p\nUlm,0\n")
        self.assertIn("'q'", self.predict("in.csv", code=1))
        (self.dir / "in.csv").write_text("town,p,q\nUlm,0,1\n")
        self.assertIn("--format=npy holds one result", self.predict("in.csv", code=2, more=["--format", "npy"]))
        self.assertIn("the model's results are logits, total, pair, kind, big", self.predict("in.csv", code=2, more=["--results", "size"]))
        self.assertIn("--input is given 2 times, csv takes one file", self.predict("in.csv", "in.csv", code=2))
        # Weights of another tool know no names.
        (self.dir / "in.csv").write_text("town,p,q,kind\nUlm,0,1,e\n")
        write_tensors(self.dir / "w.safetensors", {k: v for k, v in tensors(self.dir / "w.safetensors").items() if not k.startswith("__")})
        self.assertIn("the weights have no gradc.vocabulary.town", self.predict("in.csv", code=4))

    def test_numbers_outside_a_table(self):
        (self.dir / "t.csv").write_text("k,y\n0,0\n2,1\n")
        self.train(
            "model m(k: i32[B]) -> (logits: [B, 2]) { logits = Embed{3, 2}(k) }\n"
            'data d { train = csv("t.csv", k = column("k", i32), y = column("y", i32)) }\n'
            "train m on d { loss = cross_entropy(logits, y); optimizer = sgd{}; lr = 0.1 }\n")
        for bad in (3, -1):
            (self.dir / "in.csv").write_text(f"k\n0\n{bad}\n")
            self.assertIn(f"in.csv:3:1: k = {bad}, but the model needs 0..2", self.predict("in.csv", code=1))
        text = (self.dir / "m.grad").read_text()
        (self.dir / "m.grad").write_text(text.replace("(k)", "(k - 1)"))  # a computed number: found by the entry
        (self.dir / "in.csv").write_text("k\n1\n3\n0\n")
        self.assertIn("index -1 in row 3 of the data, but the model needs 0..2", self.predict("in.csv", code=1))
        (self.dir / "m.grad").write_text(text)
        (self.dir / "t.csv").write_text("k,y\n0,0\n3,1\n")
        self.assertIn("t.csv:3:1: k = 3, but the model needs 0..2", gradc("train", "m.grad", "-q", cwd=self.dir, code=1))

    ARRAYS = (
        "model m(x: f32[B, 2], k: i32[B]) -> (total: [B], logits: [B, 2]) {{\n"
        "  total = sum(x, over=1)\n  logits = x |> Dense{{2}} |> plus(Embed{{3, 2}}(k))\n}}\n"
        "fn plus(a, b) = a + b\n"
        "data d {{ train = {} }}\ntrain m on d {{ loss = cross_entropy(logits, y); optimizer = sgd{{}}; lr = 0.1 }}\n"
    )

    def arrays(self, ids=(0, 1, 2)):
        return {
            "x": npy("<f8", (3, 2), struct.pack("<6d", 1, 2, 3, 4, 5, 6.5)),
            "k": npy("<i8", (3,), struct.pack("<3q", *ids)),
            "y": npy("|u1", (3,), bytes([0, 1, 0])),
        }

    def test_npy(self):
        for name, data in self.arrays().items():
            (self.dir / f"{name}.npy").write_bytes(data)
        self.train(self.ARRAYS.format('npy(x = "x.npy", k = "k.npy", y = "y.npy")'))
        (self.dir / "y.npy").unlink()
        (self.dir / "k.npy").rename(self.dir / "a=b.npy")
        self.assertEqual([float(r["total"]) for r in self.table("k=a=b.npy", "x=x.npy")], [3, 7, 11.5])
        self.assertIn("the input 'k' has no file: write --input x=FILE --input k=FILE", self.predict("x=x.npy", code=2))
        self.assertIn("--input x.npy: write --input x=FILE --input k=FILE", self.predict("x.npy", code=2))
        self.assertIn("the input 'x' has two files", self.predict("x=x.npy", "x=x.npy", code=2))
        (self.dir / "k.npy").write_bytes(self.arrays(ids=(0, 1, 3))["k"])
        self.assertIn("k.npy: example 2: k = 3, but the model needs 0..2", self.predict("x=x.npy", "k=k.npy", code=1))
        (self.dir / "k.npy").write_bytes(npy("<i4", (2,), struct.pack("<2i", 0, 1)))
        self.assertIn("k.npy has 2 examples, the field before has 3", self.predict("x=x.npy", "k=k.npy", code=1))
        (self.dir / "k.npy").write_bytes(npy("<i4", (), struct.pack("<i", 0)))
        self.assertIn("k.npy: is a single number", self.predict("x=x.npy", "k=k.npy", code=1))

    def test_points_and_draws(self):
        """A model of drawn points reads NPY; each batch has draws of its own, and a second prediction the same."""
        self.train(
            "model m(x: f32[B]) -> (y: [B], z: [B]) {\n  param a: [] = 1\n  y = a * x\n  z = random([B], always=true)\n}\n"
            "data d { train = points(8, x = uniform(0, 1)) }\n"
            "train m on d { loss = mean(y); optimizer = sgd{}; lr = 0; batch = 4 }\n"
        )
        (self.dir / "x.npy").write_bytes(npy("<f8", (4,), struct.pack("<4d", 1, 2, 3, 4.5)))
        got = self.table("x=x.npy", more=["--batch", 2])
        self.assertEqual([float(r["y"]) for r in got], [1, 2, 3, 4.5])
        self.assertEqual(len({r["z"] for r in got}), 4)
        self.assertEqual(got, self.table("x=x.npy", more=["--batch", 2]))

    def test_png(self):
        """Rows as tiles of a picture: floats by 255, whole numbers as they are, a grey line between."""
        self.pictures([i / 29 for i in range(30)])
        self.train(
            "model m(x: f32[B, 2, 3]) -> (grey: [B, 2, 3], colour: [B, 2, 3, 3], whole: i32[B, 2, 3], flat: [B, 6]) {\n"
            "  param a: [] = 1\n  grey = a * x\n  u = grey |> reshape([B, 2, 3, 1])\n"
            "  colour = concat(u, 1 - u, 0 * u, over=3)\n  whole = i32(100 * x)\n  flat = flatten(x)\n}\n"
            'data d { train = npy(x = "x.npy") }\n'
            "train m on d { loss = mean(grey); optimizer = sgd{}; lr = 0; batch = 4 }\n"
        )

        def grid(result, *more, **named):
            text = self.predict("x.npy", more=["--format", "png", "--results", result, "-o", "g.png", "--batch", 2, *more], **named)
            return text if named else read_png((self.dir / "g.png").read_bytes())
        level = [int(255 * i / 29 + 0.5) for i in range(30)]
        width, height, channels, rows = grid("grey")
        self.assertEqual((width, height, channels), (3 * 3 + 2 * 2, 2 * 2 + 2, 1))
        line = [128, 128]
        tile = lambda t, y: level[6 * t + 3 * y :][:3]
        self.assertEqual(rows[:2], [tile(0, y) + line + tile(1, y) + line + tile(2, y) for y in (0, 1)])
        self.assertEqual(rows[2:4], [[128] * 13] * 2)
        self.assertEqual(rows[4:], [tile(3, y) + line + tile(4, y) + [128] * 5 for y in (0, 1)])
        width, height, channels, rows = grid("colour", "--rows", 1)
        self.assertEqual((width, height, channels), (3, 2, 3))
        self.assertEqual(rows, [[s for v in tile(0, y) for s in (v, 255 - v, 0)] for y in (0, 1)])
        self.assertEqual(grid("whole", "--rows=2")[3][0], [int(100 * i / 29) for i in (0, 1, 2)] + line + [int(100 * i / 29) for i in (6, 7, 8)])
        self.assertEqual(len(self.table("x.npy", more=["--rows", 3])), 3)
        self.pictures([-0.5, 0, 1, 1.5, float("nan"), 0.5])
        self.assertEqual(grid("grey")[3], [[0, 0, 255], [255, 0, 128]])
        self.assertIn("3 numbers of 'grey' are outside", subprocess.run([GRADC, "predict", "m.grad", "--load", "w.safetensors", "--input", "x.npy", "--format=png", "--results=grey", "-o", "g.png"], cwd=self.dir, capture_output=True, text=True).stderr)
        self.assertIn("a row of 'flat' is [6], and a picture is [height, width]", grid("flat", code=2))
        self.assertIn("--format=png holds one result: choose it with --results, of grey, colour", self.predict("x.npy", more=["--format=png"], code=2))
        self.pictures([])
        self.assertIn("there is no row", grid("grey", code=1))

    def pictures(self, numbers):
        (self.dir / "x.npy").write_bytes(npy("<f4", (len(numbers) // 6, 2, 3), struct.pack(f"<{len(numbers)}f", *numbers)))

    def test_npz(self):
        def archive(path, **arrays):
            with zipfile.ZipFile(self.dir / path, "w", zipfile.ZIP_DEFLATED) as z:
                for name, data in arrays.items():
                    z.writestr(name + ".npy", data)

        archive("t.npz", **self.arrays())
        self.train(self.ARRAYS.format('npz("t.npz", x = "x", k = "k", y = "y")'))
        arrays = self.arrays()
        archive("in.npz", x=arrays["x"], k=arrays["k"])
        self.assertEqual([float(r["total"]) for r in self.table("in.npz")], [3, 7, 11.5])
        archive("bad.npz", x=npy("<f4", (3, 3), bytes(36)), k=arrays["k"])
        self.assertRegex(self.predict("bad.npz", code=1), r"x is f32\[3\] per example in bad\.npz\S* ?\S*, model input is f32\[2\]")
        archive("less.npz", x=arrays["x"])
        self.assertIn("k.npy", self.predict("less.npz", code=1))

    def test_safetensors(self):
        x, k, y = ("F32", [3, 2], struct.pack("<6f", 1, 2, 3, 4, 5.5, 6)), ("I64", [3], struct.pack("<3q", 0, 0, 0)), ("I32", [3], struct.pack("<3i", 0, 1, 1))
        write_tensors(self.dir / "t.safetensors", {"pictures.x": x, "k": k, "labels": y, "one": ("F32", [], bytes(4))})
        self.train(self.ARRAYS.format('safetensors("t.safetensors", x = "pictures.x", k = "k", y = "labels")'))
        write_tensors(self.dir / "in.safetensors", {"pictures.x": x, "k": k})
        self.assertEqual([float(r["total"]) for r in self.table("in.safetensors")], [3, 7, 11.5])
        half = ("F16", [3, 2], struct.pack("<6e", 1, 2, 3, 4, 5.5, 6))
        write_tensors(self.dir / "in.safetensors", {"pictures.x": half, "k": k})
        self.assertEqual([float(r["total"]) for r in self.table("in.safetensors")], [3, 7, 11.5])
        for tensors, words in (
            ({"pictures.x": ("F32", [3, 3], bytes(36)), "k": k}, r"x is f32\[3\] per example in \S*in\.safetensors: pictures\.x, model input is f32\[2\]"),
            ({"pictures.x": x}, r"in\.safetensors has no tensor 'k'; it has pictures\.x"),
            ({"pictures.x": x, "k": ("F32", [], bytes(4))}, r"'k' is one number, and not a row for each example"),
            ({"pictures.x": x, "k": ("I64", [3], struct.pack("<3q", 0, 1 << 40, 0))}, r"k: element 1 is 1099511627776, which no i32 is"),
            ({"pictures.x": x, "k": ("I64", [2], bytes(16))}, r"has \d examples, the field before has \d")):
            write_tensors(self.dir / "bad.safetensors", tensors)
            self.assertRegex(self.predict("bad.safetensors", code=1).replace("bad.", "in."), words)

    def test_idx(self):
        images = b"\x00\x00\x08\x03" + struct.pack(">3I", 2, 2, 2)
        (self.dir / "x.gz").write_bytes(gzip.compress(images + bytes([1, 2, 3, 4, 5, 6, 7, 8])))
        (self.dir / "y").write_bytes(b"\x00\x00\x08\x01" + struct.pack(">I", 2) + bytes([0, 1]))
        self.train(
            "model m(x: u8[B, 2, 2]) -> (total: [B], logits: [B, 2]) {\n  f = float(reshape(x, [B, 4]))\n"
            "  total = sum(f, over=1)\n  logits = f |> Dense{2}\n}\n"
            'data d { train = idx(x = "x.gz", y = "y") }\n'
            "train m on d { loss = cross_entropy(logits, y); optimizer = sgd{}; lr = 0.1 }\n")
        (self.dir / "in").write_bytes(images + bytes([9, 9, 9, 9, 0, 0, 0, 1]))
        for name in ("in", "x=in"):
            self.assertEqual([float(r["total"]) for r in self.table(name)], [36, 1])
        (self.dir / "cut").write_bytes(images)
        self.assertIn("cut", self.predict("cut", code=1))

    def test_cifar(self):
        record = lambda label, first: bytes([label, first]) + bytes(3071)
        (self.dir / "t.bin").write_bytes(record(0, 10) + record(9, 20))
        (self.dir / "other.bin").write_bytes(record(7, 30))
        self.train(
            "model m(x: f32[B, 32, 32, 3]) -> (total: [B], logits: [B, 10]) {\n  f = reshape(x, [B, 3072])\n"
            "  total = sum(f, over=1)\n  logits = f / 255 |> Dense{10}\n}\n"
            'data d { train = cifar10("t.bin") }\n'
            "train m on d { loss = cross_entropy(logits, y); optimizer = sgd{}; lr = 0.1 }\n")
        self.assertEqual([float(r["total"]) for r in self.table("other.bin", "t.bin")], [30, 10, 20])
        (self.dir / "cut.bin").write_bytes(record(0, 1)[:-1])
        self.assertIn("cut.bin", self.predict("cut.bin", code=1))

    def test_wav_by_table(self):
        for name, samples in {"a": [16384, -16384, 8192], "b": [8192] * 6}.items():
            with wave.open(str(self.dir / f"{name}.wav"), "wb") as w:
                w.setnchannels(1), w.setsampwidth(2), w.setframerate(8000)
                w.writeframes(struct.pack(f"<{len(samples)}h", *samples))
        (self.dir / "t.tsv").write_text("file\tword\na.wav\tyes\nb.wav\tno\n")
        self.train(
            "model m(x: f32[B, 4], n: i32[B]) -> (total: [B], long: i32[B], logits: [B, 2], word: i32[B]) {\n"
            "  total = sum(x, over=1)\n  long = n\n  logits = x |> Dense{2}\n  word = argmax(logits)\n}\n"
            'data d { train = wav("t.tsv", x = audio("file", length=4), n = length("file", length=4), y = label("word")) }\n'
            "train m on d { loss = cross_entropy(logits, y); optimizer = adam{}; lr = 0.1; epochs = 60 }\n")
        (self.dir / "in.tsv").write_text("file\nb.wav\na.wav\n")
        self.assertEqual([(float(r["total"]), r["long"], r["word"]) for r in self.table("in.tsv", more=["--results=total", "--results=long", "--results=word"])], [(1, "4", "no"), (0.25, "3", "yes")])
        (self.dir / "in.tsv").write_text("file\nb.wav\nc.wav\n")
        self.assertIn("in.tsv:3:1", self.predict("in.tsv", code=1))
        # Where recordings are all that the model takes, no table has to list them.
        rows = list(csv.DictReader(io.StringIO(gradc("predict", "m.grad", "b.wav", "./a.wav", "--load", "w.safetensors", cwd=self.dir))))
        self.assertEqual([(r["file"], float(r["total"]), r["long"], r["word"]) for r in rows], [("b.wav", 1, "4", "no"), ("./a.wav", 0.25, "3", "yes")])
        self.assertIn("c.wav", gradc("predict", "m.grad", "b.wav", "c.wav", "--load", "w.safetensors", cwd=self.dir, code=1))
        (self.dir / "d.wav").write_bytes((self.dir / "a.wav").read_bytes()[:-3])
        self.assertIn("d.wav", gradc("predict", "m.grad", "d.wav", "--load", "w.safetensors", cwd=self.dir, code=1))
        with wave.open(str(self.dir / "e.wav"), "wb") as w:
            w.setnchannels(1), w.setsampwidth(2), w.setframerate(16000)
            w.writeframes(bytes(8))
        self.assertIn("e.wav has 16000 samples a second", gradc("predict", "m.grad", "b.wav", "e.wav", "--load", "w.safetensors", cwd=self.dir, code=1))

    WORDS = """model m(x: i32[B, T <= 9], n: i32[B]) -> (p: [B], each: i32[B, 2 * T], by: i64[B]) {
  h = x |> Embed{6, 3} |> Bi{GRU, 4}(n)
  p = sum(h, over=1) / reshape(f32(n), [B, 1]) |> Dense{1} |> squeeze(over=1)
  each = concat(x, x, over=1)
  by = sum(x * 0 + 1, over=1)
}
data words { train = csv("words.csv", x = letters("word", length=9), n = length("word"), y = column("y")) |> buckets(n = [3, 9]) }
train m on words { loss = mse(p, y); optimizer = adam{}; lr = 0.01; batch = 4; epochs = 5 }
"""

    def test_buckets(self):
        words = ["ab", "abcdeabcd", "c", "bcd", "deeee", "e", "ba", "eda", "cccccc"]
        (self.dir / "words.csv").write_text("word,y\n" + "".join(f"{w},{w.count('a')}\n" for w in words))
        self.train(self.WORDS)
        rows = self.table("words.csv", more=["--results=p", "--results=each", "--results=by"])
        for word, row in zip(words, rows, strict=True):  # in the order of the file, filled up with 0
            width = 3 if len(word) <= 3 else 9
            letters = ["abcde".index(c) + 1 for c in word] + [0] * (width - len(word))
            self.assertEqual([int(row[f"each.{i}"]) for i in range(18)], letters * 2 + [0] * (18 - 2 * width))
            self.assertEqual(float(row["by"]), width)
        # Lengths mask what is behind a word, so that all of it at once gives the same numbers.
        (self.dir / "m.grad").write_text(self.WORDS.replace(" |> buckets(n = [3, 9])", ""))
        for a, b in zip(rows, self.table("words.csv", more=["--results=p"]), strict=True):
            self.assertAlmostEqual(float(a["p"]), float(b["p"]), 5)
        # A training whose words are all short is that of a model of this length.
        (self.dir / "words.csv").write_text("word,y\n" + "".join(f"{w},{w.count('a')}\n" for w in words if len(w) <= 3))
        self.train(self.WORDS)
        bucket = tensors(self.dir / "w.safetensors")
        self.train(self.WORDS.replace("T <= 9", "3").replace("2 * T", "6").replace("length=9", "length=3").replace(" |> buckets(n = [3, 9])", ""))
        cut = tensors(self.dir / "w.safetensors")
        self.assertEqual(set(bucket), set(cut))
        for name in bucket:
            self.assertEqual(bucket[name], cut[name], name)

    def test_frames_of_recordings(self):
        for name, n in {"a": 3, "b": 9, "c": 6}.items():
            with wave.open(str(self.dir / f"{name}.wav"), "wb") as w:
                w.setnchannels(1), w.setsampwidth(2), w.setframerate(8000)
                w.writeframes(struct.pack(f"<{n}h", *(4096 * (i % 7) for i in range(n))))
        (self.dir / "t.tsv").write_text("file\tword\na.wav\tyes\nb.wav\tno\nc.wav\tno\n")
        self.train(
            "model m(x: f32[B, F <= 3, 4], n: i32[B]) -> (logits: [B, 2], total: [B, 4], frames: [B]) {\n"
            "  total = sum(x, over=1)\n  logits = total |> Dense{2}\n  frames = sum(x[:, :, 0] * 0 + 1, over=1)\n}\n"
            'data d { train = wav("t.tsv", x = audio("file", length=12, frame=4), n = length("file"), y = label("word")) |> buckets(n = [4, 7, 12]) }\n'
            "train m on d { loss = cross_entropy(logits, y); optimizer = adam{}; lr = 0.1; epochs = 2 }\n")
        rows = self.table("t.tsv", more=["--results=frames", "--results=total"])
        self.assertEqual([float(r["frames"]) for r in rows], [1, 3, 2])
        for r, n in zip(rows, (3, 9, 6), strict=True):
            x = [i % 7 / 8 for i in range(n)] + [0] * (12 - n)
            self.assertEqual([float(r[f"total.{c}"]) for c in range(4)], [x[c] + x[4 + c] + x[8 + c] for c in range(4)])

    PICTURES = SOURCE / "tests/readers/pictures"

    def test_the_pictures_of_the_language_page(self):
        blocks = re.findall(r"```grad\n(.*?)```", (SOURCE / "docs/language.md").read_text(), re.S)
        (text,) = [b for b in blocks if "image_folder" in b]
        self.train(text, "--data", self.PICTURES, "--threads", 1)
        said = gradc("eval", "m.grad", "--load", "w.safetensors", "--split", "val", "--data", self.PICTURES, cwd=self.dir)
        self.assertRegex(said, "^val  loss .*accuracy ")
        rows = self.table(self.PICTURES / "shapes", more=["--results", "kind"])
        self.assertEqual(list(rows[0]), ["file", "kind"])
        self.assertEqual([r["file"] for r in rows], sorted(map(str, (self.PICTURES / "shapes").glob("*/*.*"))))
        right = sum(r["kind"] == r["file"].split("/")[-2] for r in rows)
        self.assertGreaterEqual(right, 21, rows)  # of 24; a third by chance
        # Files in the order in which they are named, with and without --input; each as in its folder.
        some = [rows[i]["file"] for i in (20, 3, 11)]
        said = self.predict(some[0], more=["--results", "kind", *some[1:], "--format", "jsonl", "--batch", 1])
        self.assertEqual([json.loads(l) for l in said.splitlines()], [dict(rows[i]) for i in (20, 3, 11)])
        self.predict(*some, more=["--results", "kind", "--format", "npy", "-o", "out.npy"])
        self.assertEqual(read_npy((self.dir / "out.npy").read_bytes())[1], (3,))
        for bad, message in {"inks.jpg": "inks.jpg: is a JPEG of four inks", "values.npz": "values.npz: is neither a PNG nor a JPEG file", "none": "none: "}.items():
            self.assertIn(message, self.predict(some[0], self.PICTURES / bad, code=1))
        self.assertIn("predict needs an input", self.predict(code=2))
        # Classes that the weights do not know, and too few of those they do.
        shutil.copytree(self.PICTURES / "shapes", self.dir / "shapes")
        shutil.rmtree(self.dir / "shapes/cross")
        self.assertIn("was trained with 3 values of 'y', the training split now has 2", gradc("eval", "m.grad", "--load", "w.safetensors", "--split", "val", cwd=self.dir, code=4))
        (self.dir / "m.grad").write_text(text.replace("train, val = all |> shuffle(seed=1) |> split(75%, 25%)", f'train = all\n  val = image_folder("{self.PICTURES}/shapes", fit=crop)'))
        self.assertIn("cross/0.png: y: the name 'cross' is in no training example, whose 2 kinds", gradc("train", "m.grad", "-q", cwd=self.dir, code=1))

    def test_pictures_by_table(self):
        for i, name in enumerate(("rgb8", "gamma", "opaque", "interlaced")):
            shutil.copy(self.PICTURES / f"{name}.png", self.dir / f"{i}.png")
        (self.dir / "t.tsv").write_text("photo\tkind\n" + "".join(f"{i}.png\t{'ab'[i % 2]}\n" for i in range(4)))
        self.train(
            "model m(x: u8[B, 9, 13, 3]) -> (total: [B], logits: [B, 2], word: i32[B]) {\n"
            "  total = sum(f32(x), over=[1, 2, 3])\n  logits = f32(x) / 255 |> flatten |> Dense{2}\n  word = argmax(logits)\n}\n"
            'data d { train = image_table("t.tsv", x = image("photo"), y = label("kind")) }\n'
            "train m on d { loss = cross_entropy(logits, y); optimizer = adam{}; lr = 0.1 }\n")
        (self.dir / "in.csv").write_text("photo\n3.png\n0.png\n")
        by_table = self.table("in.csv")
        by_file = self.table("3.png", "0.png")
        self.assertEqual([r.pop("file") for r in by_file], ["3.png", "0.png"])
        self.assertEqual(by_table, by_file)
        self.assertIn(by_table[0]["word"], ("a", "b"))
        text = (self.dir / "in.csv").read_text()
        self.assertEqual(subprocess.run([GRADC, "predict", "m.grad", "--load", "w.safetensors", "--input", "-"], cwd=self.dir, input=text, env=dict(os.environ, GRADC_CACHE=""), capture_output=True, text=True).stdout, self.predict("in.csv"))
        (self.dir / "in.csv").write_text("photo\n3.png\n7.png\n")
        self.assertIn("in.csv:3:1: ", self.predict("in.csv", code=1))

    TEXT = (
        "model m(x: i32[B, 4]) -> (logits: [B, 4, {0}], first: i32[B], next: i32[B, 4]) {{\n"
        "  logits = Embed{{{0}, {0}}}(x)\n  next = argmax(logits)\n  first = x[:, 0]\n}}\n"
        'data d {{ train = {1}("t.txt") |> windows(4{2}) }}\n'
        "train m on d {{ loss = cross_entropy(logits, y); optimizer = adam{{}}; lr = 0.2; epochs = 60 }}\n"
    )

    def test_chars(self):
        (self.dir / "t.txt").write_text("äb\nc" * 8)
        self.train(self.TEXT.format(4, "chars", ", stride=2"))
        (self.dir / "in.txt").write_text("bc\näb\nc")  # windows at 0 and 2, the rest fills none
        got = self.table("in.txt", more=["--results", "first", "--results", "next"])
        self.assertEqual([r["first"] for r in got], ["1", "0"])  # "\n", "b", "c", "ä" are 0..3
        self.assertEqual(["".join(r[f"next.{i}"] for i in range(4)) for r in got], ["\näcb", "cb\nc"])
        (self.dir / "in.txt").write_text("bc\nz")
        self.assertIn("in.txt:2:1: the character 'z' is in no training example", self.predict("in.txt", code=1))
        (self.dir / "in.txt").write_text("bcb")
        self.assertIn("in.txt: a window needs 4 symbols, the text has 3", self.predict("in.txt", code=1))
        (self.dir / "m.grad").write_text(self.TEXT.format(4, "bytes", ""))
        self.assertIn("trained with characters as 'x', not with bytes", self.predict("t.txt", code=4))

    def test_bytes(self):
        (self.dir / "t.txt").write_bytes(bytes([0, 1, 2]) * 8)
        self.train(self.TEXT.format(3, "bytes", ""))
        (self.dir / "in.txt").write_bytes(bytes([2, 1, 0, 2, 1, 1, 1, 1]))
        self.assertEqual([[r["first"]] + [r[f"next.{i}"] for i in range(4)] for r in self.table("in.txt")], [["2", "0", "2", "1", "0"], ["1", "2", "2", "2", "2"]])
        (self.dir / "in.txt").write_bytes(bytes([2, 1, 0, 3]))
        self.assertIn("in.txt: byte 4: x = 3, but the model needs 0..2", self.predict("in.txt", code=1))
        (self.dir / "m.grad").write_text(self.TEXT.format(3, "chars", ""))
        self.assertIn("trained with bytes as 'x', not with characters", self.predict("in.txt", code=4))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
