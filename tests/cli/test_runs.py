"""Runs and checkpoints as a user meets them: nothing is lost. usage: test_runs.py GRADC SOURCE_DIR [TEST]..."""
import json, os, pathlib, random, signal, struct, subprocess, sys, time, unittest, zlib

from test_cli import DIGITS, GRADC, LINE, SOURCE, Folder, gradc, metadata, tell, tensors, weight

KILLS = int(os.environ.get("GRADC_KILLS", "40"))
HERE = pathlib.Path(__file__).resolve().parent


def sound(path):
    """The file is whole: an own computation of its checksum."""
    data = pathlib.Path(path).read_bytes()
    n = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + n])
    meta = header.pop("__metadata__")
    names = {"F32": b"f32", "F64": b"f64", "I64": b"i64", "I32": b"i32"}
    text = b"".join(f"{k}\0{v}\0".encode() for k, v in sorted(meta.items()) if k != "gradc.checksum")
    for name, t in sorted(header.items()):
        text += name.encode() + b"\0" + names[t["dtype"]] + b"\0" + struct.pack(f"<{len(t['shape'])}q", *t["shape"])
        text += data[8 + n + t["data_offsets"][0] : 8 + n + t["data_offsets"][1]]
    return meta["gradc.checksum"] == str(zlib.crc32(text))


class Runs(Folder):
    def line(self, lr="0.2", more="keep = best(min = val.loss)", text=LINE, rows=10):
        (self.dir / "rows.csv").write_text("x,y\n" + "".join(f"{i % 10 / 10},{i % 10 / 5}\n" for i in range(rows)))
        (self.dir / "m.grad").write_text(text.replace("LR", lr).replace("MORE", more))
        return "m.grad"

    def train(self, *args, **more):
        return gradc("train", "m.grad", "-q", *args, cwd=self.dir, **more)

    def record(self, run):
        return json.loads((self.dir / run / "run.json").read_text())

    def start(self, *args, run):
        """A training that goes on until it is ended."""
        env = dict(os.environ, GRADC_CACHE=str(self.dir / "cache"))
        p = subprocess.Popen([GRADC, "train", "m.grad", *args], cwd=self.dir, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while not (self.dir / run / "run.json").exists() or self.record(run)["pid"] != p.pid:
            self.assertIsNone(p.poll(), p.returncode is not None and p.communicate())
            time.sleep(0.002)
        return p

    def end(self, p, how):
        p.send_signal(how)
        out = p.communicate(timeout=60)
        return p.returncode, out[0] + out[1]

    def debris(self):
        return [p for p in self.dir.rglob("*.tmp-*")]

    def test_every_run_has_its_folder(self):
        self.line()
        for n in (1, 2, 3):
            self.train("-D", "unused=1", code=2)  # no training, no folder
            self.train("--set", f"seed={n}")
            self.assertEqual(os.readlink(self.dir / "runs/m/latest"), str(n))
        self.assertEqual([metadata(self.dir / f"runs/m/{n}/best.safetensors")["gradc.seed"] for n in (1, 2, 3)], ["1", "2", "3"])
        r = self.record("runs/m/2")
        self.assertEqual((r["status"], r["seed"], r["steps"], r["planned_steps"], r["epochs"]), ("finished", 2, 20, 20, 20))
        self.assertEqual(r["command"][1:], ["train", "m.grad", "-q", "--set", "seed=2"])
        self.assertEqual((r["metric"], r["best"], r["best_step"]), ("val.loss", r["results"]["val.loss"], 20))
        for key in ("cpu", "host", "version", "started", "ended", "folder"):
            self.assertTrue(r[key], key)
        # The model with every default and override, which trains to the same weights.
        self.assertIn("seed = 2", (self.dir / "runs/m/2/model.grad").read_text())
        (self.dir / "again.grad").write_text((self.dir / "runs/m/2/model.grad").read_text())
        gradc("train", "again.grad", "-q", cwd=self.dir)
        self.assertEqual(tensors(self.dir / "runs/again/1/best.safetensors"), tensors(self.dir / "runs/m/2/best.safetensors"))

    def test_a_run_is_overwritten_only_on_request(self):
        self.line()
        self.train("--run", "first")
        before = tensors(self.dir / "runs/m/first/best.safetensors")
        self.assertIn("runs/m/first: is not empty", self.train("--run", "first", "--set", "epochs=1", code=2))
        self.assertEqual(before, tensors(self.dir / "runs/m/first/best.safetensors"))
        self.train("--run", "first", "--overwrite", "--set", "epochs=1")
        self.assertNotEqual(before, tensors(self.dir / "runs/m/first/best.safetensors"))
        self.assertIn("no name for a run", self.train("--run", "latest", code=2))
        (self.dir / "mine").mkdir()
        (self.dir / "mine/notes").write_text("mine")
        self.train("--run", "./mine", code=2)
        self.assertEqual([p.name for p in (self.dir / "mine").iterdir()], ["notes"])
        self.train("--run", "./own/place")
        self.assertTrue((self.dir / "own/place/best.safetensors").exists())
        self.assertEqual(os.readlink(self.dir / "runs/m/latest"), "first")

    def test_the_latest_best_is_read_by_default(self):
        for seed in (1, 2):
            gradc("train", DIGITS, "-q", "--set", "epochs=2", "--set", f"seed={seed}", cwd=self.dir)
        values = [gradc("eval", DIGITS, *args, cwd=self.dir) for args in ([], ["--run", "1"], ["--run", "2"], ["--run", "runs/digits/1"], ["--load", "runs/digits/1"])]
        self.assertNotEqual(values[0], values[1])
        self.assertEqual(values, [values[2], values[1], values[2], values[1], values[1]])
        header = (pathlib.Path(DIGITS).parent / "data/digits.csv").read_text().splitlines()
        (self.dir / "in.csv").write_text("\n".join(header[:4]) + "\n")
        self.assertEqual(gradc("predict", DIGITS, "--input", "in.csv", cwd=self.dir), gradc("predict", DIGITS, "--load", "runs/digits/2/best.safetensors", "--input", "in.csv", cwd=self.dir))
        self.assertIn("there is no such run", gradc("eval", DIGITS, "--run", "7", cwd=self.dir, code=1))
        gradc("eval", DIGITS, "--run", "1", "--load", "runs/digits/1", cwd=self.dir, code=2)

    def test_runs_are_listed(self):
        self.line()
        self.assertIn("there are no runs", gradc("runs", cwd=self.dir))
        self.train("--set", "epochs=3")
        self.train("--run", "long")
        self.train("--set", "lr=1e300", code=3)
        lines = gradc("runs", "m", cwd=self.dir).splitlines()
        rows = [l.split() for l in lines[2:]]
        self.assertEqual([r[0] for r in rows], ["1", "long", "2"])
        self.assertIn("finished 3/3 3 val.loss", " ".join(rows[0]))
        self.assertTrue(lines[2].endswith("--set epochs=3"))
        self.assertIn(" * ", lines[3])  # the best of all
        self.assertNotIn(" * ", lines[2])
        self.assertEqual(rows[2][1], "<")
        self.assertIn("diverged", rows[2])
        self.assertEqual(gradc("runs", cwd=self.dir), gradc("runs", "m.grad", cwd=self.dir))
        gradc("runs", "none", cwd=self.dir, code=1)

    def test_one_training_a_folder(self):
        self.line()
        p = self.start("--run", "a", "--set", "epochs=100000000", run="runs/m/a")
        for extra in ([], ["--overwrite"]):
            self.assertIn(f"process {p.pid} trains into this folder", self.train("--run", "a", *extra, code=1))
        self.assertIn("running", gradc("runs", cwd=self.dir))
        self.train()  # another folder is free
        self.assertEqual(self.end(p, signal.SIGKILL)[0], -9)
        self.assertIn("killed", gradc("runs", cwd=self.dir))
        (self.dir / "runs/m/a/last.safetensors.tmp-1-0").write_text("part")
        (self.dir / "w.safetensors.tmp-1-0").write_text("part")
        self.train("--save", "w.safetensors")
        self.assertEqual(self.debris(), [])
        self.train("--run", "a", "--overwrite")

    def test_an_early_end_keeps_what_is_better(self):
        self.line()
        self.train("--run", "a", "--save", "w.safetensors")
        best = tensors(self.dir / "runs/m/a/best.safetensors")
        self.train("--run", "a", "--overwrite", "--set", "epochs=0")
        self.assertEqual(best, tensors(self.dir / "runs/m/a/best.safetensors"))
        self.assertEqual(self.record("runs/m/a")["best"], None)
        for more in ("keep = best(min = val.loss)", ""):
            self.line(more=more, rows=200000)
            p = self.start("--run", "a", "--overwrite", "--save", "w.safetensors", "--set", "batch=1", "--set", "epochs=100", run="runs/m/a")
            code, out = self.end(p, signal.SIGINT)
            self.assertEqual(code, 130, out)
            self.assertIn("w.safetensors was not written", out)
            r = self.record("runs/m/a")
            self.assertEqual((r["status"], r["epochs"]), ("interrupted", 0))
            self.assertEqual(best, tensors(self.dir / "runs/m/a/best.safetensors"))
            self.assertEqual(best, tensors(self.dir / "w.safetensors"))
            self.assertEqual(metadata(self.dir / "runs/m/a/last.safetensors")["gradc.step"], str(r["steps"]))
            self.assertEqual(metadata(self.dir / "runs/m/a/last.safetensors")["gradc.sample"], str(r["steps"]))
        # A metric that is always NaN chooses nothing.
        self.line(more="metric m = sum(f32(p > 1e9)) / sum(i32(p > 1e9))\n  keep = best(max = val.m)")
        self.train("--run", "a", "--overwrite")
        self.assertEqual(best, tensors(self.dir / "runs/m/a/best.safetensors"))
        # Nor does a run that diverges in its first epoch.
        self.line("1e300")
        self.train("--run", "a", "--overwrite", code=3)
        self.assertEqual(best, tensors(self.dir / "runs/m/a/best.safetensors"))
        self.assertEqual(weight(self.dir / "runs/m/a/last.safetensors"), 0)
        self.assertEqual(self.record("runs/m/a")["status"], "diverged")

    def test_metadata_are_of_the_weights(self):
        self.line()
        self.train("--set", "batch=4")
        run = self.dir / "runs/m/1"
        r = self.record("runs/m/1")
        for name in ("best", "last"):
            m = metadata(run / f"{name}.safetensors")
            self.assertEqual((m["gradc.step"], m["gradc.epoch"], m["gradc.sample"], m["gradc.batch"], m["gradc.seed"]), ("60", "19", "0", "4", "0"))
            self.assertEqual((m["gradc.metric"], float(m["gradc.value"])), ("val.loss", r["best"]))
        self.assertEqual((m["gradc.total"], float(m["gradc.best"])), ("60", r["best"]))
        # Rounds of a rising loss: the value in best is that of its own epoch.
        self.line(text=LINE.replace("0.2 if step < 10 else 1e30", "0.2 if step < 10 else -0.5"), lr="jump()")
        self.train()
        best, last = (metadata(self.dir / f"runs/m/2/{n}.safetensors") for n in ("best", "last"))
        self.assertEqual((best["gradc.step"], best["gradc.epoch"], last["gradc.step"]), ("10", "9", "20"))
        self.assertLess(float(best["gradc.value"]), float(last["gradc.value"]))
        self.assertEqual(last["gradc.best"], best["gradc.value"])

    def test_what_cannot_be_written_is_refused_first(self):
        self.line()
        for path in ("none/w.safetensors", "/proc/w.safetensors"):
            self.assertIn("cannot create", self.train("--save", path, code=1))
        self.assertIn("cannot", self.train("--run", "/proc/run", code=1))
        self.assertFalse((self.dir / "runs").exists())
        (self.dir / "runs").write_text("a file")
        self.assertIn("cannot make the folder", self.train(code=1))

    def test_nan_and_damage_are_said(self):
        gradc("train", DIGITS, "-q", "--set", "epochs=1", "--save", "w.safetensors", cwd=self.dir)
        self.assertTrue(sound(self.dir / "w.safetensors"))
        data = bytearray((self.dir / "w.safetensors").read_bytes())
        data[-5] ^= 1
        (self.dir / "w.safetensors").write_bytes(data)
        self.assertIn("checksum", gradc("eval", DIGITS, "--load", "w.safetensors", cwd=self.dir, code=1))
        n = struct.unpack("<Q", data[:8])[0]
        header = data[8 : 8 + n].replace(b"gradc.checksum", b"other.checksum")
        at = 8 + n + json.loads(bytes(header))["dense.weight"]["data_offsets"][0]
        data[8 : 8 + n] = header
        data[at : at + 4] = struct.pack("<f", float("nan"))
        (self.dir / "w.safetensors").write_bytes(data)
        self.assertIn("'dense.weight' holds NaN in 1 of 8192 numbers", gradc("eval", DIGITS, "--load", "w.safetensors", cwd=self.dir, code=3))
        # A parameter that is NaN from the start: training cannot help it, and says so.
        self.line(text=LINE.replace("  return sum(", "  param n: [1] = log(-1)\n  return sum("))
        r = subprocess.run([GRADC, "train", "m.grad", "-q"], cwd=self.dir, capture_output=True, text=True)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertIn("'l.n' holds NaN in 1 of 1 numbers", r.stderr)

    def test_a_diverged_step_is_kept_and_looked_into(self):
        self.line(lr="jump()")
        error = self.train("--run", "a", "--log-format", "json", code=3)
        kept = self.dir / "runs/m/a/bad-step.safetensors"
        self.assertIn("train m.grad -q --log-format json --bad-step runs/m/a/bad-step.safetensors", error)
        t, m = tensors(kept), metadata(kept)
        self.assertEqual(sorted(t), ["__step__/row numbers", "__step__/seed", "__step__/step", "__step__/total", "__step__/x", "__step__/y", "l.w"])
        self.assertTrue(sound(kept))
        # The batch is the rows of the table that it names.
        rows = struct.unpack("<10q", t["__step__/row numbers"][2])
        self.assertEqual(sorted(rows), list(range(10)))
        self.assertEqual(t["__step__/x"][2], struct.pack("<10f", *(r / 10 for r in rows)))
        # Weights are those before the step: a training that stops there has the same.
        self.train("--run", "b", "--max-steps", m["gradc.step"])
        self.assertEqual(tensors(self.dir / "runs/m/b/last.safetensors")["l.w"], t["l.w"])
        said = gradc("train", "m.grad", "--bad-step", kept, cwd=self.dir)
        self.assertRegex(said, rf"^step {m['gradc.step']}: the first operation that gives NaN or infinity is ")
        self.assertEqual(self.train("--run", "c", "--detect-anomaly", code=3).split("error: ")[0], said)
        gradc("eval", "m.grad", "--split", "val", "--load", kept, cwd=self.dir)
        self.assertIn("is no step of this model", gradc("train", "m.grad", "--bad-step", "runs/m/b/last.safetensors", cwd=self.dir, code=4))
        # What was kept of a training goes with it.
        self.line()
        self.train("--run", "a", "--overwrite")
        self.assertFalse(kept.exists())

    def test_the_first_bad_operation_is_named(self):
        def said(body, **more):
            self.line(text=LINE.replace("  return sum(x * w, over=1)", body), **more)
            return self.train("--run", "a", "--overwrite", "--detect-anomaly", code=3)
        # Forward, at the first step; an infinity that a choice leaves out is not it.
        out = said("  a = 1 / (x - x)\n  b = x if x < 9 else a\n  c = sum(b, over=1) - 2\n  return log(c) + sum(x * w, over=1)")
        self.assertRegex(out, r"step 0: .* is log: NaN in 10 of 10 numbers\n  m.grad:7:10: return log\(c\) .*\n  of sub at m.grad:6:7, f32\[B\]: min -2, max -1.1, mean -1.55, 0 NaN, 0 infinite\n")
        # Backward: the root's slope at 0.
        out = said("  return sum(sqrt(x * w), over=1)")
        self.assertRegex(out, r"step 0: .*\n  m.grad:4:14: return sum\(sqrt\(x \* w\), over=1\)\n")
        # In the body of a loop.
        out = said("  h = sum(x * w, over=1) - 3\n  scan t in 4 { h = h + log(h) }\n  return h")
        self.assertRegex(out, r"step 0: .* is log: NaN in 10 of 10 numbers\n  m.grad:5:25: scan t in 4 \{ h = h \+ log\(h\) \}\n  of parameter.*: min -3, max -3, mean -3, 0 NaN")

    def test_weights_of_half_precision(self):
        self.line()
        for name, value in (("half", 1.75), ("brain", -1.75)):
            file = SOURCE / f"tests/data/line_{name}.safetensors"
            self.train("--run", name, "--init-from", file, "--set", "epochs=0")
            self.assertEqual(weight(self.dir / f"runs/m/{name}/last.safetensors"), value)
            self.assertIn("loss", gradc("eval", "m.grad", "--split", "val", "--load", file, cwd=self.dir))
        self.line(text=LINE.replace("x: f32[B, 1]", "x: f64[B, 1]"))
        self.assertIn("l.w is bf16[1], needs f64[1]", gradc("eval", "m.grad", "--split", "val", "--float", "f64", "--load", file, cwd=self.dir, code=4))

    def test_kills_lose_nothing(self):
        """kill -9 at random instants of short trainings, most of whose time goes into saving, until so many
        have died of it."""
        self.line()
        draw = random.Random(1)
        cache = self.dir / "cache"
        self.train("--run", "a", "--save", "w.safetensors", cache=cache)
        began = time.monotonic()
        self.train("--run", "a", "--save", "w.safetensors", "--overwrite", cache=cache)
        took = time.monotonic() - began
        env = dict(os.environ, GRADC_CACHE=str(cache))
        killed = round = 0
        while killed < KILLS:
            self.assertLess(round, 20 * KILLS)
            round += 1
            p = subprocess.Popen([GRADC, "train", "m.grad", "-q", "--run", "a", "--overwrite", "--save", "w.safetensors", "--set", f"seed={round}"], cwd=self.dir, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            time.sleep(draw.uniform(0, took))
            p.kill()
            p.communicate()
            self.assertIn(p.returncode, (-9, 0))
            killed += p.returncode == -9
            took *= 1.02 if p.returncode == -9 else 0.95  # as long as it takes beside what else runs here
            for path in ("runs/m/a/best", "runs/m/a/last", "w"):
                self.assertTrue(sound(self.dir / f"{path}.safetensors"), (round, path))
            self.record("runs/m/a")
        tell(f"{killed} of {round} trainings killed while they ran")
        self.train("--run", "a", "--save", "w.safetensors", "--overwrite", cache=cache)
        self.assertEqual(self.debris(), [])

    def test_failing_calls_lose_nothing(self):
        """Every write, sync and rename fails once; then all from one on, as on a full disk."""
        self.line()
        shim, cache = self.dir / "fail.so", self.dir / "cache"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", shim, HERE / "fail_calls.c", "-ldl"], check=True)
        self.train("--run", "a", "--save", "w.safetensors", cache=cache)
        for everything in (False, True):
            n, failures = 0, 0
            while True:
                n += 1
                self.assertLess(n, 200)
                env = dict(os.environ, GRADC_CACHE=str(cache), LD_PRELOAD=str(shim), FAIL_CALL=str(n))
                # The runtime of the address sanitizer wants to be the first library; here the shim is.
                env["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
                if everything:
                    env["FAIL_ALL"] = "1"
                r = subprocess.run([GRADC, "train", "m.grad", "-q", "--run", "a", "--overwrite", "--save", "w.safetensors"], cwd=self.dir, env=env, capture_output=True, text=True)
                self.assertIn(r.returncode, (0, 1), (n, r.stderr))
                for path in ("runs/m/a/best", "runs/m/a/last", "w"):
                    self.assertTrue(sound(self.dir / f"{path}.safetensors"), (n, path))
                self.record("runs/m/a")
                if "No space left" not in r.stderr:
                    self.assertEqual((r.returncode, r.stderr), (0, ""), n)
                    break
                failures += 1
            self.assertGreater(failures, 15)
            self.assertEqual(self.debris(), [])


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=1)
