"""The command line as a user meets it: files in, files out, exit codes. usage: test_cli.py GRADC SOURCE_DIR"""
import csv, json, os, pathlib, shutil, signal, struct, subprocess, sys, tempfile, time, unittest

GRADC, SOURCE = sys.argv[1], pathlib.Path(sys.argv[2])
DIGITS = str(SOURCE / "examples/digits.grad")


def gradc(*args, code=0, cwd=None):
    env = dict(os.environ, GRADC_CACHE="")
    r = subprocess.run([GRADC, *map(str, args)], capture_output=True, text=True, cwd=cwd, env=env, timeout=300)
    assert r.returncode == code, f"{args}: exit {r.returncode}, not {code}\n{r.stdout}\n{r.stderr}"
    return r.stdout if code == 0 else r.stderr


def tensors(path):
    """Names to (dtype, shape, bytes): an independent reader of the file format."""
    data = pathlib.Path(path).read_bytes()
    n = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + n])
    header.pop("__metadata__", None)
    return {k: (v["dtype"], v["shape"], data[8 + n + v["data_offsets"][0] : 8 + n + v["data_offsets"][1]]) for k, v in header.items()}


def write_tensors(path, named):
    header, body = {}, b""
    for name, (dtype, shape, data) in named.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text)) + text + body)


class Cli(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp())

    def tearDown(self):
        shutil.rmtree(self.dir)

    def test_train_eval_predict(self):
        out = gradc("train", DIGITS, "--set", "epochs=8", "--save", "w.safetensors", cwd=self.dir)
        last = out.strip().splitlines()[-1]
        self.assertRegex(last, r"^test  loss 0\.\d{4}  accuracy 0\.9\d{3}$")
        self.assertEqual(gradc("eval", DIGITS, "--load", "w.safetensors", cwd=self.dir).strip(), last)
        best, own = tensors(self.dir / "runs/digits/best.safetensors"), tensors(self.dir / "w.safetensors")
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

    def test_threads_do_not_change_the_weights(self):
        for n in (1, 3):
            gradc("train", DIGITS, "-q", "--set", "epochs=2", "--threads", n, "--save", f"{n}.safetensors", "--run", f"run{n}", cwd=self.dir)
        self.assertEqual(tensors(self.dir / "1.safetensors"), tensors(self.dir / "3.safetensors"))

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
        self.assertIn("dense.weight", tensors(self.dir / "runs/digits/last.safetensors"))

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
        line = next(l for l in gradc("summary", DIGITS).splitlines() if l.startswith("operations"))
        self.assertGreater(int(line.split()[1]), 2 * 32 * (64 * 128 + 128 * 10))
        self.assertLess(int(line.split()[1]), 1.2 * 2 * 32 * (64 * 128 + 128 * 10))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
