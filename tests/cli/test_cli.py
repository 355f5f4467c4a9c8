"""The command line as a user meets it: files in, files out, exit codes. usage: test_cli.py GRADC SOURCE_DIR"""
import csv, json, os, pathlib, random, re, shutil, signal, struct, subprocess, sys, tempfile, time, unittest

GRADC, SOURCE = str(pathlib.Path(sys.argv[1]).resolve()), pathlib.Path(sys.argv[2]).resolve()
DIGITS = str(SOURCE / "examples/digits.grad")


def gradc(*args, code=0, cwd=None, cache=""):
    env = dict(os.environ, GRADC_CACHE=str(cache))
    r = subprocess.run([GRADC, *map(str, args)], capture_output=True, text=True, cwd=cwd, env=env, timeout=300)
    assert r.returncode == code, f"{args}: exit {r.returncode}, not {code}\n{r.stdout}\n{r.stderr}"
    return r.stdout if code == 0 else r.stderr


def tell(text):
    """What a campaign counted."""
    print(text, file=sys.stderr)


def tensors(path):
    """Names to (dtype, shape, bytes): an independent reader of the file format."""
    data = pathlib.Path(path).read_bytes()
    n = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + n])
    header.pop("__metadata__", None)
    return {k: (v["dtype"], v["shape"], data[8 + n + v["data_offsets"][0] : 8 + n + v["data_offsets"][1]]) for k, v in header.items()}


def write_tensors(path, named, metadata=None):
    header, body = {"__metadata__": metadata} if metadata else {}, b""
    for name, (dtype, shape, data) in named.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text)) + text + body)


class Folder(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp())

    def tearDown(self):
        shutil.rmtree(self.dir)


class Cli(Folder):
    def test_train_eval_predict(self):
        out = gradc("train", DIGITS, "--set", "epochs=8", "--save", "w.safetensors", cwd=self.dir)
        last = out.strip().splitlines()[-1]
        self.assertRegex(last, r"^test  loss 0\.\d{4}  accuracy 0\.9\d{3}$")
        self.assertEqual(gradc("eval", DIGITS, "--load", "w.safetensors", cwd=self.dir).strip(), last)
        best, own = tensors(self.dir / "runs/digits/1/best.safetensors"), tensors(self.dir / "w.safetensors")
        self.assertEqual(best, own)
        self.assertEqual(best["dense.weight"][1], [64, 128])
        self.assertIn("__opt__/m/dense.weight", best)
        # Columns by name: another order, an extra one, no target.
        rows = list(csv.DictReader((SOURCE / "examples/data/digits.csv").read_text().splitlines()))[:100]
        names = [n for n in rows[0] if n != "digit"][::-1] + ["extra"]
        with open(self.dir / "in.csv", "w", newline="") as f:
            w = csv.writer(f)
            w.writerow(names)
            w.writerows([[r.get(n, "text") for n in names] for r in rows])
        gradc("predict", DIGITS, "--load", "w.safetensors", "--input", "in.csv", "-o", "out.csv", cwd=self.dir)
        got = list(csv.DictReader((self.dir / "out.csv").read_text().splitlines()))
        self.assertEqual(list(got[0]), [f"logits.{i}" for i in range(10)] + ["digit"])
        self.assertEqual(len(got), 100)
        self.assertGreater(sum(g["digit"] == r["digit"] for g, r in zip(got, rows)), 90)

    def test_tables_name_the_classes(self):
        (self.dir / "m.grad").write_text(
            "model m(x: f32[B, 2]) -> (logits: [B, 3], k: i32[B]) { logits = x |> Dense{3}; k = i32(x[:, 0]) }\n"
            'data d { train = csv("t.csv", x = columns("a", "b"), y = label("kind")); test = csv("v.csv", x = columns("a", "b"), y = label("kind")) }\n'
            "train m on d { loss = cross_entropy(logits, y); metric matrix = confusion_matrix(k, y, classes=3); metric plain = confusion_matrix(k, i32(x[:, 1]), classes=3); optimizer = sgd{}; lr = 0.1 }\n")
        names = ["b,c", "zoo", "\u00e4rger"]  # as sorted
        rows = [(i % 3, i * i % 3, names[i * 7 // 3 % 3]) for i in range(40)]
        text = "a,b,kind\n" + "".join(f'{a},{b},"{k}"\n' for a, b, k in rows)
        (self.dir / "t.csv").write_text(text), (self.dir / "v.csv").write_text(text)
        gradc("train", "m.grad", "-q", "--save", "w.safetensors", cwd=self.dir)
        said = gradc("eval", "m.grad", "--load", "w.safetensors", cwd=self.dir).splitlines()
        (at,) = [i for i, line in enumerate(said) if line.startswith("matrix")]
        self.assertEqual(said[at].split(), ["matrix", *names])
        for i, name in enumerate(names):
            count = [sum(k == name and a == j for a, _, k in rows) for j in range(3)]
            self.assertEqual(said[at + 1 + i].split(), [name, *map(str, count)])
        # Of numbers that no label names it has the numbers.
        self.assertEqual(said[at + 4].split(), ["plain", "0", "1", "2"])
        for i in range(3):
            self.assertEqual(said[at + 5 + i].split(), [str(i), *(str(sum(b == i and a == j for a, b, _ in rows)) for j in range(3))])

    def test_weights_know_the_vocabulary(self):
        (self.dir / "m.grad").write_text(
            "model m(x: i32[B, 4]) -> (logits: [B, 4, 5]) { logits = Embed{5, 5}(x) }\n"
            'data d { train, test = chars("t.txt") |> split(50%, 50%) |> windows(4) }\n'
            "train m on d { loss = cross_entropy(logits, y); optimizer = sgd{}; lr = 0.1 }\n")
        (self.dir / "t.txt").write_text('b"a\n' * 10)
        gradc("train", "m.grad", "--save", "w.safetensors", cwd=self.dir)
        data = (self.dir / "w.safetensors").read_bytes()
        header = json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])["__metadata__"]
        self.assertEqual(json.loads(header["gradc.vocabulary.x"]), ["\n", '"', "a", "b"])
        gradc("eval", "m.grad", "--load", "w.safetensors", cwd=self.dir)
        (self.dir / "t.txt").write_text('c"a\n' * 10)
        said = gradc("eval", "m.grad", "--load", "w.safetensors", cwd=self.dir, code=4)
        self.assertIn("w.safetensors: was trained with 4 values of 'x', the training split now has 4, not the same ones", said)

    def test_threads_do_not_change_the_weights(self):
        for n in (1, 2, 1024):
            gradc("train", DIGITS, "-q", "--set", "epochs=2", "--threads", n, "--save", f"{n}.safetensors", "--run", f"./run{n}", cwd=self.dir)
        for n in (2, 1024):
            self.assertEqual(tensors(self.dir / "1.safetensors"), tensors(self.dir / f"{n}.safetensors"))

    def test_exit_codes(self):
        bad = self.dir / "bad.grad"
        bad.write_text("model m(x: f32[B, 4]) -> (y: [B, 2]) { y = x |> Denze{2} }\n")
        self.assertIn("unknown layer 'Denze'; did you mean 'Dense'?", gradc("check", bad, code=1))
        self.assertIn("did you mean 'lr'", gradc("check", DIGITS, "--set", "learning_rate=1", code=2))
        self.assertIn("unknown constant 'hiden'; did you mean 'hidden'?", gradc("check", DIGITS, "-D", "hiden=3", code=2))
        gradc("train", code=2)
        self.assertIn("loss became", gradc("train", DIGITS, "--set", "optimizer=sgd{}", "--set", "lr=1e30", cwd=self.dir, code=3))
        gradc("train", DIGITS, "-q", "--set", "epochs=1", "--save", "w.safetensors", cwd=self.dir)
        self.assertIn("needs f32[64, 16]", gradc("eval", DIGITS, "-D", "hidden=16", "--load", "w.safetensors", cwd=self.dir, code=4))
        data = (self.dir / "w.safetensors").read_bytes()
        (self.dir / "cut.safetensors").write_bytes(data[:-7])
        gradc("eval", DIGITS, "--load", "cut.safetensors", cwd=self.dir, code=1)

    def test_interrupt_saves(self):
        p = subprocess.Popen([GRADC, "train", DIGITS, "--set", "epochs=100000"], cwd=self.dir, stdout=subprocess.PIPE, env=dict(os.environ, GRADC_CACHE=""))
        while b"epoch 2/" not in p.stdout.readline():
            self.assertIsNone(p.poll())
        p.send_signal(signal.SIGINT)
        p.communicate(timeout=60)
        self.assertEqual(p.returncode, 130)
        self.assertIn("dense.weight", tensors(self.dir / "runs/digits/1/last.safetensors"))

    def test_render_is_the_same_model(self):
        text = gradc("render", DIGITS, "-D", "hidden=32")
        self.assertIn("hidden = 32", text)
        self.assertIn("Dense{hidden, bias=true, init=glorot}", text)
        (self.dir / "r.grad").write_text(text)
        self.assertEqual(gradc("compile", self.dir / "r.grad"), gradc("compile", DIGITS, "-D", "hidden=32"))

    def test_new_model_for_a_table(self):
        with open(self.dir / "rows.csv", "w") as f:
            f.write("a,b,name,target\n" + "".join(f"{i % 7},{(i * 5) % 11},n{i},{int(i % 7 > 3)}\n" for i in range(300)))
        self.assertIn("300 rows, 4 columns", gradc("data", "inspect", self.dir / "rows.csv"))
        self.assertIn("left out name", gradc("new", "rows.csv", "--target=target", cwd=self.dir))
        last = gradc("train", "rows.grad", cwd=self.dir).strip().splitlines()[-1]
        self.assertGreater(float(last.split()[-1]), 0.95)
        gradc("new", "rows.csv", "--target=target", cwd=self.dir, code=2)
        gradc("new", "rows.csv", "--target=none", "-o", "x.grad", cwd=self.dir, code=1)

    def test_run_a_function(self):
        ir = self.dir / "f.ir"
        ir.write_text(
            "func @f[B](%w: f32[3], %x: f32[B,3]) -> (loss: f32[]) {\n  %s = einsum(%x, %w) {spec=\"bi,i->b\"}\n  %e = tanh(%s)\n"
            "  %l = reduce_sum(%e) {axes=[0]}\n  return %l\n}\n\n"
            "func @g[B](%w: f32[3], %x: f32[B,3]) -> (loss: f32[], dw: f32[3]) {\n"
            "  %a: (f32[], f32[3]) = value_and_grad(%w, %x) {function=@f, wrt=[0]}\n  %l = get(%a) {index=0}\n  %d = get(%a) {index=1}\n  return %l, %d\n}\n"
        )
        write_tensors(self.dir / "in.safetensors", {"w": ("F32", [3], struct.pack("<3f", 1, -2, 0.5)), "x": ("F32", [5, 3], struct.pack("<15f", *[0.1 * i for i in range(15)]))})
        for name, flag in (("a", []), ("b", ["--interpret"])):
            gradc("run", ir, "--function", "g", "--inputs", "in.safetensors", "-o", name, *flag, cwd=self.dir)
        a, b = tensors(self.dir / "a"), tensors(self.dir / "b")
        self.assertEqual(a, b)
        self.assertEqual(a["dw"][1], [3])

    def test_bench_and_summary(self):
        j = json.loads(gradc("bench", DIGITS, "--rounds", 20, "--json", "--threads", 1))
        for key in ("step_ms", "p10_ms", "p90_ms", "compile_cold_ms", "start_cached_ms", "operations", "state_bytes", "arena_bytes", "share_of_peak"):
            self.assertGreater(j[key], 0, key)
        self.assertTrue(j["from_cache"])
        # 2 * 32 * (64 * 128 + 128 * 10) operations of contractions forward.
        first, again = gradc("summary", DIGITS), gradc("summary", DIGITS)
        self.assertEqual(first, again)
        line = next(l for l in again.splitlines() if l.startswith("operations"))
        self.assertGreater(int(line.split()[1]), 2 * 32 * (64 * 128 + 128 * 10))
        self.assertLess(int(line.split()[1]), 1.2 * 2 * 32 * (64 * 128 + 128 * 10))

    def test_bench_of_kernels(self):
        out = gradc("bench", DIGITS, "--kernels", "--rounds", 20, "--threads", 1).splitlines()
        head = next(i for i, l in enumerate(out) if l.startswith("kernel "))
        last = next(i for i, l in enumerate(out) if l.startswith("sum "))
        rows = [l.split() for l in out[head + 1:last]]
        times = [float(r[5]) for r in rows]
        self.assertEqual(times, sorted(times, reverse=True))
        total = float(out[last].split()[1])
        self.assertAlmostEqual(sum(times), total, delta=1e-4 * len(times) + 1e-4)
        calls = sum(int(r[2]) for r in rows)
        self.assertIn(f"of {calls} calls", out[last])
        # Each kernel is a row: its number is there once.
        self.assertEqual(len({r[0] for r in rows}), len(rows))
        # The digits step: 32 rows through 64 x 128 and 128 x 10, forward and weight gradients, 128 x 10 backward.
        products = 2 * 32 * (2 * 64 * 128 + 3 * 128 * 10)
        self.assertGreater(sum(float(r[9]) for r in rows), products)
        self.assertLess(sum(float(r[9]) for r in rows), 1.3 * products)
        # What is predicted before anything runs counts the same.
        said = [l.split() for l in gradc("compile", DIGITS, "--emit=schedule").splitlines()[1:]]
        self.assertEqual(sum(int(r[1]) * int(r[2]) for r in said), sum(int(r[9]) for r in rows))
        self.assertAlmostEqual(sum(float(r[4]) for r in said), 100, delta=0.05 * len(said) + 0.1)

    def test_bench_of_plans(self):
        out = gradc("bench", DIGITS, "--plans", "--seconds", "5", "--limit", 3, "--rounds", 11, "--threads", 1).splitlines()
        kernels = [re.match(r"\d+ (\S+)  ([\d.]+) %  .*; (\d+) plans, (\d+) refused", l) for l in out]
        kernels = [m for m in kernels if m]
        self.assertEqual(len(kernels), 3)
        shares = [float(m[2]) for m in kernels]
        self.assertEqual(shares, sorted(shares, reverse=True))
        self.assertGreater(min(int(m[3]) for m in kernels), 5)
        self.assertGreater(sum(int(m[4]) for m in kernels), 0)
        times = [l.split() for l in out if l.startswith(("  chosen", "  faster"))]
        self.assertEqual([float(t[3]) for t in times if t[0] == "chosen"], [1, 1, 1])
        self.assertTrue(all(float(t[3]) > 1 for t in times if t[0] == "faster"))
        self.assertRegex(out[-2], r"^regret -?\d+\.\d % \(geometric mean of 3 kernels\)")
        self.assertRegex(out[-1], r"^the step [\d.]+ ms, with the better plans [\d.]+ ms: [\d.]+; the same bits$")

    # Every kernel of bench/kernels.py compiles and runs; its bytes are those of its parameters and results where it walks all.
    def test_kernels_of_the_sweep(self):
        sys.path.insert(0, str(SOURCE / "bench"))
        import kernel_cases
        cases = [c for c in kernel_cases.cases(True, 1) if c.kind != "contraction"]
        cases += [kernel_cases.contraction(role, 9, 7, 5) for role in ("NN", "NT", "TN")]
        self.assertEqual({c.kind for c in cases}, set(kernel_cases.KINDS))
        for c in cases:
            (self.dir / "case.ir").write_text(c.text)
            j = json.loads(gradc("bench", "case.ir", "--function", "f", "--rounds", 11, "--threads", 1, cwd=self.dir))
            self.assertGreater(j["step_ms"], 0, c.name)
            if c.kind in ("row kernel", "elementwise chain", "transpose"):
                self.assertAlmostEqual(c.read + c.written, j["io_bytes"], delta=64 * 8, msg=c.name)


LINE = """model m(x: f32[B, 1]) -> (p: [B]) { p = L{}(x) }
layer L{}(x: [n, 1]) -> [n] {
  param w: [1] = 0
  return sum(x * w, over=1)
}
fn jump(step, total) = 0.2 if step < 10 else 1e30
data rows {
  train = csv("rows.csv", x = columns("x"), y = column("y"))
  val   = csv("rows.csv", x = columns("x"), y = column("y"))
}
train m on rows { loss = mse(p, y)
  optimizer = sgd{}; lr = LR; batch = 10; epochs = 20
  MORE }
"""


def metadata(path):
    data = pathlib.Path(path).read_bytes()
    return json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])["__metadata__"]


def weight(path):
    return struct.unpack("<f", tensors(path)["l.w"][2])[0]


class Faults(Folder):
    """What users met: each asks for the right behaviour of one kind of mistake."""

    def line(self, lr="0.2", more="keep = best(min = val.loss)", name="m.grad", text=LINE):
        (self.dir / "rows.csv").write_text("x,y\n" + "".join(f"{i / 10},{i / 5}\n" for i in range(10)))
        (self.dir / name).write_text(text.replace("LR", lr).replace("MORE", more))
        return name

    def test_a_cache_entry_is_bound_to_its_key_and_owner(self):
        cache = self.dir / "cache"
        a, b = self.line(), self.line(name="b.grad", text=LINE.replace("x * w", "x * w * 3"))
        right = gradc("train", b, "-q", cwd=self.dir)
        other = gradc("train", a, "-q", cwd=self.dir, cache=cache)
        self.assertNotEqual(right, other)
        first = set(cache.iterdir())
        self.assertEqual(cache.stat().st_mode & 0o77, 0)
        self.assertEqual(right, gradc("train", b, "-q", cwd=self.dir, cache=cache))
        (second,) = set(cache.iterdir()) - first
        shutil.copyfile(first.pop(), second)
        self.assertEqual(right, gradc("train", b, "-q", cwd=self.dir, cache=cache))
        # A folder that others may write to is neither read nor written.
        for f in cache.iterdir():
            f.unlink()
        cache.chmod(0o777)
        r = subprocess.run([GRADC, "train", b, "-q"], cwd=self.dir, env=dict(os.environ, GRADC_CACHE=str(cache)), capture_output=True, text=True)
        self.assertEqual((r.returncode, r.stdout), (0, right))
        self.assertIn("is not used", r.stderr)
        self.assertEqual(list(cache.iterdir()), [])

    def test_an_entry_of_a_loose_mode_is_not_loaded(self):
        cache, m = self.dir / "cache", self.line()
        run = lambda: gradc("train", m, "-q", cwd=self.dir, cache=cache)
        right = run()
        (entry,) = cache.iterdir()
        before = entry.stat().st_ino
        run()
        self.assertEqual(entry.stat().st_ino, before)  # loaded
        entry.chmod(0o666)
        self.assertEqual(run(), right)
        self.assertNotEqual(entry.stat().st_ino, before)  # compiled and written anew

    def test_divergence_keeps_the_last_good_and_the_best_weights(self):
        error = gradc("train", self.line("jump()"), "--run", "./run", cwd=self.dir, code=3)
        self.assertIn("last.safetensors has the weights after step 10", error)
        for name in ("best", "last"):
            self.assertAlmostEqual(weight(self.dir / f"run/{name}.safetensors"), 2 * (1 - 0.886**10), places=4)
            self.assertEqual(metadata(self.dir / f"run/{name}.safetensors")["gradc.step"], "10")
        # Weights that leave the finite numbers in the very last step are no success either.
        late = LINE.replace("jump(step, total) = 0.2 if step < 10 else 1e30", "jump(step, total) = 0.2 if step < 19 else 1e300")
        self.line("jump()", text=late)
        gradc("train", "m.grad", "--run", "./late", cwd=self.dir, code=3)
        self.assertLess(weight(self.dir / "late/last.safetensors"), 2)

    def test_nan_never_wins_and_metadata_are_of_the_weights(self):
        # 0 / 0 for the first epochs, falling from there on.
        more = "metric m = sum(f32(p > 0.95)) / sum(i32(p > 0.95)) - mean(p)\n  keep = best(max = val.m)"
        out = gradc("train", self.line(more=more), "--run", "./run", cwd=self.dir)
        self.assertIn("m nan", out.splitlines()[2].split("|")[1])
        best = [l for l in out.splitlines() if l.rstrip().split("  left")[0].endswith("*")]
        self.assertEqual(len(best), 1)
        epoch = best[0].split()[1].split("/")[0]
        self.assertGreater(int(epoch), 1)
        self.assertEqual(metadata(self.dir / "run/best.safetensors")["gradc.epoch"], str(int(epoch) - 1))
        self.assertEqual(metadata(self.dir / "run/last.safetensors")["gradc.epoch"], "19")
        self.assertRegex(out, r"\d/1  [\d.]+ ms/step  loss [\d.]+ .*\| val  loss [^|]+  [\d.]+ ms/step")

    def test_patience_waits_through_nan(self):
        more = "metric m = sum(f32(p > 0.95)) / sum(i32(p > 0.95)) + mean(p)\n  stop = patience(8, max = val.m)"
        out = gradc("train", self.line(more=more), "--run", "./run", cwd=self.dir)
        self.assertEqual(sum(l.startswith("epoch") for l in out.splitlines()), 20)

    def test_an_empty_split_is_refused_first(self):
        text = LINE[: LINE.index("  train =")] + '  all = csv("rows.csv", x = columns("x"), y = column("y"))\n  train, val, test = all |> split(90%, 5%, 5%)' + LINE[LINE.index("\n}\ntrain") :]
        error = gradc("train", self.line(more="", text=text), "--run", "./run", cwd=self.dir, code=1)
        self.assertIn("the split val has no rows: 5% of 10 rows", error)
        self.assertFalse((self.dir / "run").exists())

    def test_quiet_prints_the_result_and_threads_do_not_matter(self):
        m = self.line()
        out = gradc("train", m, "-q", "--run", "./a", cwd=self.dir)
        self.assertRegex(out, r"^val  loss 0\.\d{4}\n$")
        gradc("train", m, "-q", "--run", "./b", "--threads", 1, cwd=self.dir)
        self.assertEqual(tensors(self.dir / "a/last.safetensors"), tensors(self.dir / "b/last.safetensors"))

    def test_links_are_followed_and_pipes_stay(self):
        m = self.line()
        (self.dir / "sub").mkdir()
        os.symlink("sub/real", self.dir / "link")  # nothing there yet
        gradc("train", m, "-q", "--save", "link", cwd=self.dir)
        self.assertTrue((self.dir / "link").is_symlink())
        self.assertIn("l.w", tensors(self.dir / "sub/real"))
        os.mkfifo(self.dir / "pipe")
        self.assertIn("is a pipe", gradc("train", m, "-q", "--save", "pipe", cwd=self.dir, code=1))
        self.assertIn("is a device", gradc("train", m, "-q", "--save", "/dev/null", cwd=self.dir, code=1))
        self.assertTrue((self.dir / "pipe").is_fifo())
        gradc("render", m, "-o", "/dev/null", cwd=self.dir)
        self.assertIn("is a folder", gradc("check", ".", cwd=self.dir, code=1))
        self.assertIn("is a device", gradc("eval", DIGITS, "--load", "/dev/zero", cwd=self.dir, code=1))

    def test_a_full_standard_output_is_an_error(self):
        for args in (["render", DIGITS], ["check", DIGITS], ["compile", DIGITS, "--emit", "step"], ["--help"]):
            with open("/dev/full", "w") as full:
                r = subprocess.run([GRADC, *args], stdout=full, stderr=subprocess.PIPE, text=True)
            self.assertEqual(r.returncode, 1, args)
            self.assertIn("error: ", r.stderr)

    def test_processors(self):
        out = ["-c", "-o", self.dir / "m.o"]
        for name in ("i386", "pentium4", "athlon-xp", "yonah"):
            self.assertIn("32 bits", gradc("compile", DIGITS, "--cpu", name, *out, code=1))
        self.assertIn("unknown cpu", gradc("compile", DIGITS, "--cpu", "i4004", *out, code=1))
        if "fma4" not in pathlib.Path("/proc/cpuinfo").read_text():
            self.assertIn("lacks fma4", gradc("train", DIGITS, "--cpu", "bdver1", cwd=self.dir, code=1))
            gradc("compile", DIGITS, "--cpu", "bdver1", *out)
        gradc("compile", DIGITS, "--cpu", "x86-64-v2", *out)
        self.assertNotIn(b"fmaf", (self.dir / "m.o").read_bytes())

    def test_headers(self):
        (self.dir / "m.grad").write_text(
            "layer L{}(x: [n, 4]) -> [n, 4] {\n  param a: [4] = 1\n  return x * a\n}\n"
            "model m(x: f32[B, 4], X: f32[B, 4]) -> (y: [B, 4]) {\n  param bytes: [4] = 1\n  param l_a: [4] = 1\n"
            '  y = (x + X) |> L{} |> Dense{4} as "l-a.b" |> Dense{4} as "l_a.b" |> L{} as "L"\n}\n'
        )
        gradc("compile", "m.grad", "-c", "-o", "m.o", "--header", "m.h", cwd=self.dir)
        gradc("compile", "m.grad", "-c", "-o", "other.o", "--lanes", 4, "--cpu", "x86-64-v3", cwd=self.dir)
        (self.dir / "t.c").write_text('#include "m.h"\nint main(void) { int64_t t[M_PREDICT_TABLE]; m_predict_table(t, 1); return (int)t[0] - 1; }\n')
        cc = lambda o: subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", "t.c", o, "-o", "t", "-lm"], cwd=self.dir, capture_output=True, text=True)
        self.assertEqual(cc("m.o").stderr, "")
        self.assertEqual(subprocess.run([self.dir / "t"]).returncode, 0)
        self.assertIn("m_build_", cc("other.o").stderr)
        self.assertIn("no digit in front", gradc("compile", "m.grad", "-c", "-o", "m.o", "--prefix", "1x", cwd=self.dir, code=1))

    def test_messages_are_cut_and_escaped(self):
        name = "\x1b[31m" + "a" * 900000
        (self.dir / "m.grad").write_text(f'import "{name}"\nmodel m(x: f32[B, 4]) -> (y: [B, 4]) {{ y = x + {"b" * 100000} \x1b[31m}}\n')
        error = gradc("check", "m.grad", cwd=self.dir, code=1)
        self.assertLess(len(error), 20000)
        self.assertNotIn("\x1b", error)

    def test_indices_outside_their_range(self):
        m = self.dir / "m.grad"
        m.write_text(
            "model m(x: f32[B, 1], k: i32[B]) -> (logits: [B, 2]) { logits = x |> Dense{2} |> plus(Embed{3, 2}(k)) }\n"
            "fn plus(a, b) = a + b\n"
            'data d { train = csv("t.csv", x = columns("x"), k = column("k", i32), y = column("y", i32))\n'
            '  val = csv("v.csv", x = columns("x"), k = column("k", i32), y = column("y", i32)) }\n'
            "train m on d {\n  loss = cross_entropy(logits, y - 1)\n  optimizer = sgd{}\n  lr = 0.1\n  batch = 2\n}\n"
        )
        (self.dir / "t.csv").write_text("x,k,y\n1,0,1\n2,1,2\n3,2,1\n")
        (self.dir / "v.csv").write_text("x,k,y\n1,0,1\n2,1,2\n3,2,0\n")
        error = gradc("train", m, "-q", cwd=self.dir, code=1)
        self.assertIn(":6:10: label -1 in row 3 of the data, but the model needs 0..1; runs/m/1/last.safetensors has the weights after step 2", error)
        (self.dir / "in.csv").write_text("x,k\n1,0\n2,2\n2,1\n2,-1\n")
        error = gradc("predict", m, "--load", "runs/m/1/last.safetensors", "--input", "in.csv", cwd=self.dir, code=1)
        self.assertIn("in.csv:5:3: k = -1, but the model needs 0..2", error)
        gradc("compile", m, "-c", "-o", "m.o", "--header", "m.h", cwd=self.dir)
        self.assertIn("#define M_PREDICT_OUT_CHECKS ", (self.dir / "m.h").read_text())

    def test_bench_of_ir_ends(self):
        (self.dir / "f.ir").write_text("func @f(%x: f32[8]) -> (y: f32[8]) {\n  %y = tanh(%x)\n  return %y\n}\n")
        self.assertGreater(json.loads(gradc("bench", "f.ir", "--function", "f", "--rounds", 11, cwd=self.dir))["threads"], 0)

    def test_a_pass_that_fails_keeps_what_reproduces_it(self):
        (self.dir / "f.ir").write_text(
            "func @g(%x: f32[2]) -> (f32[2]) {\n  %y = exp(%x)\n  return %y\n}\n"
            "func @h(%x: f32[2]) -> (y: f32[2]) {\n  %y = call(%x) {function=@g}\n  return %y\n}\n"
        )
        error = gradc("opt", "f.ir", "--from=fuse", "--function=h", "--lanes=4", "--without=pad", cwd=self.dir, code=70)
        self.assertIn("internal error: pass lower: ", error)
        command = error.splitlines()[1].split("its input is kept: gradc ")[1].split()
        self.assertEqual(command[:-1], ["opt", "--from=lower", "--after=lower", "--lanes=4", "--without=pad"])
        again = gradc(*command, cwd=self.dir, code=70)
        self.assertEqual(again.splitlines()[0], error.splitlines()[0])
        for kept in (command[-1], again.split()[-1]):
            os.remove(kept)

    def test_new_writes_what_check_accepts(self):
        (self.dir / "sub").mkdir()
        (self.dir / "sub/model.csv").write_text('"a ""q""",b,y\n' + "".join(f"{i},{i * i % 7},{i % 2}\n" for i in range(20)))
        self.assertIn('left out a "q"', gradc("new", "sub/model.csv", "--target=y", "-o", "out.grad", cwd=self.dir))
        gradc("train", "out.grad", "-q", "--set", "epochs=1", cwd=self.dir)

    def test_what_does_not_fit_into_memory_is_refused_before_training(self):
        text = pathlib.Path(DIGITS).read_text()
        model = self.dir / "wide.grad"
        model.write_text(re.sub(r"Dense\{hidden\}", "Dense{300000} |> Dense{300000}", text, count=1))
        said = gradc("train", model, "--data", SOURCE / "examples", code=2, cwd=self.dir)
        self.assertRegex(said, r"^error: not enough memory: .*need 10[0-9.]* GB, .* are available")
        self.assertFalse((self.dir / "runs").exists())
        self.assertIn("GB", gradc("summary", model, "--data", SOURCE / "examples", cwd=self.dir))

    def test_training_fits_into_the_memory_that_it_is_allowed(self):
        """The same weights: what does not fit is made again by the same kernels, random numbers and means included."""
        block = "h = h + (h |> Dense{64} |> BatchNorm{} |> gelu |> Dropout{0.1})"
        (self.dir / "deep.grad").write_text(
            f"model m(x: [B, 4]) -> (p: [B, 1]) {{\n  h = x |> Dense{{64}}\n  repeat i in 12 {{ {block} }}\n  p = h |> Dense{{1}}\n}}\n"
            'data d { train = csv("d.csv", x = columns("a", "b", "c", "d"), y = columns("y")) }\n'
            "train m on d { loss = mse(p, y)\n optimizer = adam{}\n lr = 1e-3\n batch = 256\n epochs = 2 }\n"
        )
        draw = random.Random(1)
        rows = [",".join(f"{draw.random():.3f}" for _ in range(5)) for _ in range(600)]
        (self.dir / "d.csv").write_text("a,b,c,d,y\n" + "\n".join(rows) + "\n")

        def bytes_of(*more):
            text = gradc("compile", "deep.grad", "--threads", 1, *more, cwd=self.dir)
            return sum(int(n) for n in re.search(r"@train_step.* state=(\d+) io=(\d+) scratch=(\d+)", text).groups())

        whole = bytes_of()
        said = gradc("compile", "deep.grad", "--threads", 1, "--memory", "1k", code=1, cwd=self.dir)
        self.assertRegex(said, r"^error: @\w+ takes at least [0-9.]+ [kM]B with 1 thread, the limit is 1.0 kB; a smaller batch takes less")
        gradc("train", "deep.grad", "-q", "--threads", 1, "--save", "plain.safetensors", cwd=self.dir)
        for part in (0.8, 0.6, 0.4):
            limit = int(whole * part)
            self.assertLessEqual(bytes_of("--memory", limit), limit)
            for threads in (1, 2):
                gradc("train", "deep.grad", "-q", "--threads", threads, "--memory", f"{limit + 200000 * (threads - 1)}B", "--save", "w.safetensors", "--overwrite", cwd=self.dir)
                self.assertEqual(tensors(self.dir / "w.safetensors"), tensors(self.dir / "plain.safetensors"))
        gradc("train", "deep.grad", "--memory", "much", code=2, cwd=self.dir)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
