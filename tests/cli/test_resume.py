"""Trainings that stop and go on, begin with other weights, and end early. usage: test_resume.py GRADC SOURCE_DIR [TEST]..."""
import csv, json, math, os, pathlib, random, signal, struct, subprocess, sys, time, unittest

from test_cli import GRADC, Folder, gradc, metadata, tell, tensors, write_tensors, SOURCE
from test_predict import npy

KILLS = int(os.environ.get("GRADC_KILLS", "25"))

# Dropout, momentum, a schedule, a shifted metric, keep and stop; 61 rows, so that the last batch is short.
TABLE = """model m(x: f32[B, 3]) -> (p: [B]) {
  p = x |> Standardize{} |> Dense{8} |> tanh |> Dropout{0.3} |> Dense{1} |> squeeze(over=1)
}
data rows {
  all = csv("rows.csv", x = columns("a", "b", "c"), y = column("y"))
  train, val, test = all |> shuffle(seed=0) |> split(70%, 15%, 15%)
}
train m on rows {
  loss = mse(p, y)
  metric r2 = r2(p, y)
  optimizer = adam{}
  lr = cosine(2e-2, 0, warmup=7)
  keep = best(max = val.r2)
  batch = 8; epochs = EPOCHS; seed = 3
}
"""
# States that batches change.
NORM = TABLE.replace("Standardize{} |> Dense{8}", "Dense{8} |> BatchNorm{}").replace("adam{}", "sgd{momentum = 0.9}").replace("  keep = best(max = val.r2)\n", "  stop = patience(30, min = val.loss)\n")
# Validations within epochs, of which some stop it; numbered weights; a layer that does not train.
EVERY = (TABLE.replace("keep = best(max = val.r2)", "keep = [best(max = val.r2), every(5, last = 3)]; validate = every(4); stop = patience(60, min = val.loss)")
         .replace("Dense{8}", 'Dense{8} as "encoder" |> LayerNorm{}').replace("adam{}", 'adam{}; freeze = ["enc*.weight", "encoder.bias"]'))
# Updates of several batches, averaged weights, rates by layer; 6 batches an epoch, so that updates reach over its end.
UPDATES = EVERY.replace("adam{};", 'adamw{weight_decay = 0.1 if matches(param.path, "*.weight") else 0}; accumulate = 4; ema = 0.9; clip = norm(1);').replace(
    "cosine(2e-2, 0, warmup=7)", 'cosine(2e-2 if param.path == "dense.bias" else 1e-2, 0, warmup=3)')
# Pictures that change in every epoch, which stops may part.
PICTURES = (TABLE.replace("x: f32[B, 3]", "x: u8[B, 6, 5]").replace("x |> Standardize{}", "f32(x) / 255 |> flatten")
            .replace('csv("rows.csv", x = columns("a", "b", "c"), y = column("y"))', 'npy(x = "x.npy", y = "y.npy")')
            .replace("15%)\n", "15%)\n  train = train |> augment(x = [random_shift(2), random_flip()])\n"))
# Two updates a step, one with momentum and the other with slots of two kinds; chosen by the loss of one of them.
STEPS = (TABLE.replace("Dense{8} |> tanh", 'Dense{8} as "first" |> tanh').replace("Dense{1}", 'Dense{1} as "second" |> BatchNorm{}')
         .replace("loss = mse(p, y)", """step a { params = first; loss = mse(p, y); optimizer = sgd{momentum = 0.9} }
  step b { params = [second, batch_norm]; loss = mse(p, y) + 0.1 * mean(p**2); lr = 1e-2 }""").replace("val.r2", "val.b.loss").replace("max =", "min ="))
# Batches of rows of about one length, each as long as it needs.
BUCKETS = """model m(x: i32[B, T <= 9], n: i32[B]) -> (p: [B]) {
  h = x |> Embed{6, 3} |> Bi{GRU, 4}(n) |> Dropout{0.2}
  p = sum(h, over=1) / reshape(f32(n), [B, 1]) |> BatchNorm{} |> Dense{1} |> squeeze(over=1)
}
data rows {
  all = csv("words.csv", x = letters("word", length=9), n = length("word"), y = column("y")) |> buckets(n = [3, 5, 9])
  train, val, test = all |> shuffle(seed=1) |> split(70%, 15%, 15%)
}
""" + TABLE[TABLE.index("train m on"):]
# Neither chooses nor stops; whole epochs have one batch.
PLAIN = TABLE.replace("  keep = best(max = val.r2)\n", "").replace("batch = 8", "batch = 64")

# A rate that a metric lowers, within epochs too, and metrics of all rows, of which one chooses.
PLATEAU = (EVERY.replace("cosine(2e-2, 0, warmup=7)", "plateau(2e-2, max = val.area, factor = 0.5, patience = 1, cooldown = 1, low = 1e-3)")
           .replace("metric r2 = r2(p, y)", "metric r2 = r2(p, y)\n  metric area = auc(p, f64(y > 0))").replace("val.r2", "val.area"))
# All of that by what the training steps measured, without a split to validate.
TRAINED = (PLATEAU.replace("plateau(2e-2, max = val.area", "plateau(2e-2, min = train.loss").replace("patience = 1, cooldown = 1", "patience = 0")
           .replace("max = val.area", "max = train.r2").replace("min = val.loss", "min = train.loss").replace("validate = every(4); ", "")
           .replace("  metric area = auc(p, f64(y > 0))\n", "").replace("train, val, test", "train, test").replace("70%, 15%, 15%", "80%, 20%"))
# All parameters at once, whose slots are theirs together.
WHOLE = TABLE.replace("adam{}", "lbfgs{history = 3}").replace("cosine(2e-2, 0, warmup=7)", "0.05").replace("batch = 8", "batch = 21")

# A state that goes on from batch to batch, and validations while it does.
CARRY = """model m(x: i32[B, 6]) -> (logits: [B, 6, 5]) {
  state h: [B, 4] = 0.5 carry
  cell = GRUCell{4}
  e = x |> Embed{5, 3} |> Dropout{0.2}
  scan t in 6 { h = cell(e[:, t], h); y[:, t] = h }
  logits = y |> Dense{5}
}
data text { train, val, test = chars("t.txt") |> split(60%, 20%, 20%) |> windows(6) }
train m on text {
  loss = cross_entropy(logits, y)
  metric r2 = r2(logits[:, 0, 0], logits[:, 5, 1])
  optimizer = adam{}
  lr = 1e-2
  keep = [best(min = val.loss), every(5, last = 3)]; validate = every(3)
  batch = 4; epochs = EPOCHS; seed = 3
}
"""


class Resume(Folder):
    def setUp(self):
        super().setUp()
        self.cache = self.dir / "cache"
        draw = random.Random(5)
        (self.dir / "t.txt").write_text("".join(random.Random(6).choices("abcde", k=400)))
        rows = [[draw.uniform(-1, 1) for _ in range(3)] for _ in range(61)]
        (self.dir / "rows.csv").write_text("a,b,c,y\n" + "".join(f"{a:.4f},{b:.4f},{c:.4f},{a * b + math.sin(3 * c):.4f}\n" for a, b, c in rows))
        words = ["".join(draw.choices("abcde", k=draw.randint(1, 9))) for _ in range(61)]
        (self.dir / "words.csv").write_text("word,y\n" + "".join(f"{w},{w.count('a') - w.count('b') / 2}\n" for w in words))
        (self.dir / "x.npy").write_bytes(npy("|u1", (61, 6, 5), bytes(draw.randrange(256) for _ in range(61 * 30))))
        (self.dir / "y.npy").write_bytes(npy("<f4", (61,), struct.pack("<61f", *(draw.uniform(-1, 1) for _ in range(61)))))

    def model(self, text=TABLE, epochs=8):
        (self.dir / "m.grad").write_text(text.replace("EPOCHS", str(epochs)))

    def run_(self, *args, threads=1, code=0):
        env = dict(os.environ, GRADC_CACHE=str(self.cache))
        r = subprocess.run([GRADC, "train", "m.grad", "--threads", str(threads), *map(str, args)], cwd=self.dir, env=env, capture_output=True, text=True, timeout=300)
        self.assertEqual(r.returncode, code, (args, r.stdout, r.stderr))
        return r.stdout, r.stderr

    def weights(self, run, name="last"):
        return tensors(self.dir / f"runs/m/{run}/{name}.safetensors")

    def step(self, run, name="last"):
        return int(metadata(self.dir / f"runs/m/{run}/{name}.safetensors")["gradc.step"])

    def same(self, a, b):
        """Weights, slots, states, and what the files say of them."""
        for name in ("last", "best"):
            self.assertEqual(self.weights(a, name), self.weights(b, name), name)
            one, two = (metadata(self.dir / f"runs/m/{r}/{name}.safetensors") for r in (a, b))
            for m in (one, two):
                m.pop("gradc.run"), m.pop("gradc.checksum")
            self.assertEqual(one, two, name)
        self.assertEqual(self.epochs(a), self.epochs(b))
        a, b = (json.loads((self.dir / f"runs/m/{r}/run.json").read_text()) for r in (a, b))
        for key in ("status", "steps", "epochs", "best", "best_step", "results"):
            self.assertEqual(a[key], b[key], key)

    def epochs(self, run):
        """The rows of both metrics files without their times, which must agree."""
        lines = (self.dir / f"runs/m/{run}/metrics.jsonl").read_text().splitlines()
        rows = [json.loads(l) for l in lines]
        table = list(csv.DictReader((self.dir / f"runs/m/{run}/metrics.csv").read_text().splitlines()))
        ends = [r["epoch"] for r in rows if r["event"] == "epoch"]
        self.assertEqual(ends, list(range(1, len(ends) + 1)))
        self.assertEqual([r["step"] for r in rows], sorted({r["step"] for r in rows}))
        for r, t in zip(rows, table, strict=True):
            self.assertEqual(list(t), [k for k in r if k != "event"])
            self.assertEqual([float(v) for v in t.values()], [float(v) for k, v in r.items() if k != "event"])
        return [{k: v for k, v in r.items() if not k.endswith("_ms")} for r in rows]

    def test_any_stop_gives_the_same_bits(self):
        draw = random.Random(2)
        for text in (TABLE, NORM, EVERY, UPDATES, PICTURES, BUCKETS, STEPS, PLAIN, CARRY, PLATEAU, TRAINED, WHOLE):
            self.model(text)
            result = self.run_("-q", "--run", "whole", "--overwrite")[0]
            total = self.step("whole")
            per_epoch = total // 8
            for stops in ([1], [per_epoch], [max(1, per_epoch - 1), 1], [draw.randrange(1, total) for _ in range(3)], [2] * 5, [total - 1]):
                self.run_("-q", "--run", "parts", "--overwrite", "--max-steps", stops[0])
                done = stops[0]
                for n in stops[1:]:
                    self.assertEqual(self.step("parts"), min(done, total))
                    self.run_("-q", "--resume=parts", "--max-steps", n, threads=draw.choice([1, 2]))
                    done += n
                self.assertEqual(self.run_("-q", "--resume=parts", threads=2)[0], result, stops)
                self.same("whole", "parts")
            # What is finished stays as it is, and says its result again.
            self.assertEqual(self.run_("-q", "--resume=parts")[0], result)
            self.same("whole", "parts")

    def test_every_program_goes_on(self):
        """examples/*.grad on their data: five steps, and seven more at another number of threads, are twelve."""
        root = pathlib.Path(os.environ.get("GRADC_DATA", SOURCE / "../shared/data"))
        env = dict(os.environ, GRADC_CACHE=str(self.cache), GRADC_DATA=str(root))

        def train(*args):
            r = subprocess.run([GRADC, "train", file, "-q", "--batch", "8", "--set", "steps=12", *args], cwd=self.dir, env=env, capture_output=True, text=True)
            self.assertEqual(r.returncode, 0, (file, r.stderr))

        trained = 0
        for file in sorted((SOURCE / "examples").glob("*.grad")):
            if not root.exists() and '"data/' not in file.read_text():
                continue
            begin = ["--from-scratch"] if "\ninit " in file.read_text() else []
            train(*begin, "--run", "./whole", "--overwrite", "--threads", "2")
            train(*begin, "--run", "./parts", "--overwrite", "--threads", "2", "--max-steps", "5")
            train("--resume=./parts", "--threads", "1")
            whole, parts = (tensors(self.dir / run / "last.safetensors") for run in ("whole", "parts"))
            self.assertEqual(whole, parts, file)
            trained += 1
        self.assertGreaterEqual(trained, 15 if root.exists() else 2)

    def test_kills_give_the_same_bits(self):
        """Signals at random instants until the training has ended; with GRADC_KILLS SIGKILL alone."""
        draw = random.Random(3)
        env = dict(os.environ, GRADC_CACHE=str(self.cache))
        ends = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGHUP: 129}
        choices = [signal.SIGKILL] if "GRADC_KILLS" in os.environ else list(ends)
        killed = 0
        for text in (TABLE, NORM, EVERY.replace("every(5,", "every(minutes = 0.001,").replace("patience(60", "patience(100000")):
            self.model(text, epochs=3000)
            began = time.monotonic()
            self.run_("-q", "--run", "whole", "--overwrite")
            took = time.monotonic() - began
            self.run_("-q", "--run", "parts", "--overwrite", "--max-steps", 1)
            seen = set()
            for _ in range(KILLS):
                p = subprocess.Popen([GRADC, "train", "m.grad", "-q", "--resume=parts", "--threads", draw.choice("12")], cwd=self.dir, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                how = draw.choice(choices)
                time.sleep(draw.uniform(0.05, 0.3 * took))
                p.send_signal(how)
                p.communicate(timeout=100)
                # A signal may come before the first step, or after the last.
                self.assertIn(p.returncode, (ends[how], -how, 0))
                seen.add(p.returncode)
                killed += p.returncode == -9
                if p.returncode == 0 and -9 not in seen:  # faster than the whole one was beside what ran then
                    took /= 2
                    self.run_("-q", "--run", "parts", "--overwrite", "--max-steps", 1)
            self.assertIn(-9, seen)
            self.run_("-q", "--resume=parts")
            self.same("whole", "parts")
        tell(f"{killed} trainings killed while they ran, and resumed")

    def numbered(self, run):
        return sorted(p.name for p in (self.dir / f"runs/m/{run}").glob("step-*"))

    def test_numbered_weights(self):
        self.model(EVERY, epochs=4)
        self.run_("-q", "--run", "whole", "--set", "keep=[best(max = val.r2), every(5)]")
        self.assertEqual(self.numbered("whole"), [f"step-{n:08}.safetensors" for n in (5, 10, 15, 20)])
        # Only files of this training go; what lies there from elsewhere stays, with any name.
        self.run_("-q", "--run", "parts", "--set", "keep=every(2)", "--max-steps", 6)
        stays = self.numbered("parts")
        self.run_("-q", "--run", "parts", "--overwrite", "--max-steps", 13)
        (self.dir / "runs/m/parts/step-00000003.safetensors").write_text("mine")
        (self.dir / "runs/m/parts/step-x").write_text("mine")
        self.run_("-q", "--resume=parts", "--max-steps", 4)
        self.run_("-q", "--resume=parts")
        self.assertEqual(self.numbered("parts"), sorted([*stays, "step-00000003.safetensors", "step-x", *self.numbered("whole")[1:]]))
        for name in ("step-00000010", "step-00000015", "step-00000020"):
            self.assertEqual(self.weights("whole", name), self.weights("parts", name))
        # Each is a place to go on from; at step 15 the weights of step 12 are the best so far.
        self.run_("-q", "--resume=runs/m/whole/step-00000015.safetensors", "--run", "third")
        self.assertEqual(self.weights("third"), self.weights("whole"))

    def test_validations_within_epochs_stop_it(self):
        self.model(EVERY.replace("patience(60, min", "patience(2, max").replace("validate = every(4)", "validate = every(1)"))
        self.run_("-q", "--run", "a")
        rows = [json.loads(l) for l in (self.dir / "runs/m/a/metrics.jsonl").read_text().splitlines()]
        self.assertEqual([r["step"] for r in rows], list(range(1, len(rows) + 1)))
        best = stopped = waited = 0
        for r in rows:
            self.assertEqual(stopped, 0)
            better = r["step"] == 1 or r["val.loss"] > best
            best, waited = (r["val.loss"], 0) if better else (best, waited + 1)
            stopped = waited >= 2
        self.assertTrue(stopped)
        self.assertEqual((self.step("a"), rows[-1]["event"]), (rows[-1]["step"], "validation"))
        # It has ended, and says its result again.
        self.assertEqual(self.run_("-q", "--resume=a")[0], self.run_("-q", "--run", "b")[0])
        self.same("a", "b")
        # What validation costs no step: the weights are those without it.
        self.model(EVERY.replace("; stop = patience(60, min = val.loss)", ""))
        self.run_("-q", "--run", "with")
        self.model(EVERY.replace("; validate = every(4); stop = patience(60, min = val.loss)", ""))
        self.run_("-q", "--run", "without")
        self.assertEqual(self.weights("with"), self.weights("without"))
        rows = [(self.dir / f"runs/m/{r}/metrics.jsonl").read_text().splitlines() for r in ("with", "without")]
        ends = [[{k: v for k, v in e.items() if k == "step" or "." in k} for e in map(json.loads, r) if e["event"] == "epoch"] for r in rows]
        self.assertEqual(*ends)

    def test_frozen_weights(self):
        self.model(EVERY)
        self.run_("-q", "--run", "first", "--max-steps", 1)
        self.run_("-q", "--run", "a")
        one, two = self.weights("first"), self.weights("a")
        still = {name for name in one if one[name] == two[name]}
        self.assertEqual({n for n in still if not n.startswith("standardize")}, {"encoder.weight", "encoder.bias"})
        self.assertFalse([n for n in two if n.startswith("__opt__") and "encoder" in n])
        self.assertTrue([n for n in two if n.startswith("__opt__") and "head" in n or "dense" in n])
        def operations():
            line = gradc("summary", "m.grad", cwd=self.dir).split("operations ")[1].split()
            return int(line[0].replace(",", "")), int(line[4].replace(",", ""))

        forward, step = operations()
        self.model(EVERY.replace('; freeze = ["enc*.weight", "encoder.bias"]', ""))
        self.assertEqual(operations()[0], forward)
        self.assertLess(step, operations()[1])
        # A training that froze others does not go on.
        self.model(EVERY.replace('freeze = ["enc*.weight", "encoder.bias"]', 'freeze = "encoder.bias"'))
        self.assertIn("__opt__/m/encoder.weight", self.run_("--resume=a", code=4)[1])

    def test_what_does_not_fit_is_refused(self):
        self.model()
        self.assertIn("runs/m/latest: there is no such run", self.run_("--resume", code=1)[1])
        self.run_("-q", "--run", "a", "--max-steps", 9)
        before = {p.name: p.read_bytes() for p in (self.dir / "runs/m/a").iterdir() if p.name != ".lock"}
        for args, words in (
            (["--set", "batch=4"], "batch 8 (now 4)"),
            (["--set", "seed=4"], "seed 3 (now 4)"),
            (["--limit-train", 30], "rows 42 (now 30)"),
        ):
            for what in ("a", "runs/m/a/last.safetensors"):
                self.assertIn(words, self.run_(f"--resume={what}", *args, code=4)[1])
        for old, new, words in (
            ("Dense{8}", "Dense{9}", "dense.weight is f32[3, 8], needs f32[3, 9]"),
            ("adam{}", "sgd{momentum = 0.9}", "unexpected __opt__/v/dense.bias"),
            ("Dense{8}", "Dense{8} |> BatchNorm{}", "missing"),
        ):
            self.model(TABLE.replace(old, new))
            for what in ("a", "runs/m/a/last.safetensors"):
                self.assertIn(words, self.run_(f"--resume={what}", code=4)[1])
        self.model()
        self.run_("--resume=a", "--run", "b", code=2)
        (self.dir / "w.safetensors").write_bytes(before["last.safetensors"][:-3])
        self.run_("--resume=w.safetensors", code=1)
        write_tensors(self.dir / "w.safetensors", self.weights("a"))
        self.assertIn("no training can go on from it", self.run_("--resume=w.safetensors", code=1)[1])
        # Nothing of the run has changed, and no other one began.
        self.assertEqual(before, {p.name: p.read_bytes() for p in (self.dir / "runs/m/a").iterdir() if p.name != ".lock"})
        self.assertEqual(sorted(p.name for p in (self.dir / "runs/m").iterdir()), ["a", "latest"])
        # Another rate is allowed, and said.
        self.assertIn("+   lr ", self.run_("--resume", "--set", "train.lr=1e-3", "-q")[1].replace("  + ", "+ "))
        self.model(BUCKETS)
        self.run_("-q", "--run", "buckets", "--max-steps", 9)
        for ends, now in (("[3, 6, 9]", "3 6 9"), ("[9]", "none")):
            self.model(BUCKETS.replace("[3, 5, 9]", ends))
            self.assertIn(f"buckets 3 5 9 (now {now})", self.run_("--resume=buckets", code=4)[1])

    def test_a_file_goes_on_in_another_folder(self):
        self.model()
        self.run_("-q", "--run", "whole")
        self.run_("-q", "--run", "a", "--max-steps", 20)
        before = self.weights("a")
        self.run_("-q", "--resume=runs/m/a/last.safetensors", "--run", "b")
        self.same("whole", "b")
        self.assertEqual(before, self.weights("a"))
        # Without the best of before the choice begins anew, and says so.
        (self.dir / "last.safetensors").write_bytes((self.dir / "runs/m/a/last.safetensors").read_bytes())
        self.assertIn("the choice begins anew", self.run_("-q", "--resume=last.safetensors")[1])
        # A best found after the last checkpoint is gone on from.
        self.run_("-q", "--run", "late", "--max-steps", 3)
        late = self.dir / "runs/m/late/last.safetensors"
        early = late.read_bytes()
        self.run_("-q", "--resume=late", "--max-steps", 12)
        step = self.step("late", "best")
        self.assertGreater(step, 3)
        late.write_bytes(early)
        self.assertIn(f"after step {step} ", self.run_("--resume=late")[0])
        self.same("whole", "late")

    def test_metrics_may_change(self):
        for steps in (6, 9):  # at the end of an epoch, and within one
            self.model()
            self.run_("-q", "--run", "a", "--overwrite", "--max-steps", steps)
            self.model(TABLE.replace("  metric r2", "  metric size = mean(p * p)\n  metric r2"))
            err = self.run_("-q", "--resume")[1]
            self.assertEqual("the metrics are others than in" in err, steps == 9)
            self.assertIn("+   metric size = mean(p * p)", err)
            self.run_("-q", "--run", "b", "--overwrite")
            self.assertEqual(self.weights("a"), self.weights("b"))
            self.model(TABLE.replace("  metric r2 = r2(p, y)\n", "").replace("max = val.r2", "min = val.loss"))
            self.run_("-q", "--run", "a", "--overwrite", "--max-steps", steps)
            self.model()
            self.run_("-q", "--resume=a")

    def test_the_command_that_is_told_goes_on(self):
        self.model()
        self.run_("-q", "--run", "whole", "--set", "train.lr=cosine(1e-2, 0, warmup=3)")
        for extra in (["--run", "a"], ["--run=./own"], []):
            err = self.run_("-q", "--set", "train.lr=cosine(1e-2, 0, warmup=3)", "--max-steps", 11, *extra)[1]
            command = err.split("go on with: ")[1].strip()
            r = subprocess.run(command, shell=True, cwd=self.dir, capture_output=True, text=True, env=dict(os.environ, GRADC_CACHE=str(self.cache)))
            self.assertEqual((r.returncode, r.stderr), (0, ""), command)
        for run in ("a", "1"):
            self.same("whole", run)
        self.assertEqual(tensors(self.dir / "own/last.safetensors"), self.weights("whole"))

    def start(self, *args, **more):
        env = dict(os.environ, GRADC_CACHE=str(self.cache))
        p = subprocess.Popen([GRADC, "train", "m.grad", "--run", "a", "--overwrite", *args], cwd=self.dir, env=env, text=True, stderr=subprocess.PIPE, **({"stdout": subprocess.PIPE} | more))
        record = self.dir / "runs/m/a/run.json"
        while not record.exists() or json.loads(record.read_text())["pid"] != p.pid:
            self.assertIsNone(p.poll())
            time.sleep(0.005)
        return p

    def test_signals(self):
        self.model(epochs=100000000)
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)):
            p = self.start("-q")
            p.send_signal(number)
            if number == signal.SIGHUP:  # as a closing terminal does
                p.send_signal(number)
            err = p.communicate(timeout=60)[1]
            self.assertEqual(p.returncode, code, err)
            self.assertRegex(err, r"interrupted after step \d+; go on with: .*gradc train m.grad -q --resume=a\n")
            self.assertEqual(json.loads((self.dir / "runs/m/a/run.json").read_text())["steps"], self.step("a"))
        # nohup
        p = self.start("-q", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        p.send_signal(signal.SIGHUP)
        time.sleep(0.2)
        self.assertIsNone(p.poll())
        # Twice: whether the first came so far or not, the end is at once or clean, and says where it stands.
        p.send_signal(signal.SIGINT)
        p.send_signal(signal.SIGINT)
        err = p.communicate(timeout=60)[1]
        self.assertEqual(p.returncode, 130)
        self.assertIn("go on with: ", err)

    def test_a_second_interrupt_ends_at_once(self):
        """The first is held up by a step that takes its time."""
        rows = "".join(f"{i % 7},{i % 5},{i % 3},{i % 2}\n" for i in range(40000))
        (self.dir / "rows.csv").write_text("a,b,c,y\n" + rows)
        slow = TABLE.replace("Dense{8}", "Dense{4000} |> tanh |> Dense{2000}").replace("batch = 8", "batch = 20000")
        self.model(slow, epochs=1000)
        p = self.start("-q")
        p.send_signal(signal.SIGINT)
        time.sleep(0.1)
        p.send_signal(signal.SIGINT)
        err = p.communicate(timeout=60)[1]
        self.assertEqual(p.returncode, 130)
        self.assertEqual(err, "ended at once; nothing was saved yet\n")

    def test_a_reader_that_goes_away_ends_nothing(self):
        self.model(epochs=2000)
        read, write = os.pipe()
        p = self.start(stdout=write)
        os.close(write), os.close(read)
        err = p.communicate(timeout=60)[1]
        self.assertEqual(json.loads((self.dir / "runs/m/a/run.json").read_text())["status"], "finished", err)
        self.assertEqual((p.returncode, self.step("a")), (1, 12000))
        self.assertIn("cannot write to standard output", err)

    def test_weights_from_elsewhere(self):
        self.model()
        self.run_("-q", "--run", "a")
        w = self.weights("a", "best")
        own = {k: v for k, v in w.items() if not k.startswith("__opt__/")}
        # Fresh slots, the given weights: as they are before the first step.
        self.run_("-q", "--run", "b", "--init-from", "runs/m/a", "--set", "epochs=0")
        b = self.weights("b")
        for k, v in b.items():
            self.assertEqual(v[2], bytes(len(v[2])) if k.startswith("__opt__/") else own[k][2], k)
        # As PyTorch names and turns them.
        def turned(t):
            (n, m), data = t[1], t[2]
            return (t[0], [m, n], b"".join(data[4 * (i * m + j) : 4 * (i * m + j) + 4] for j in range(m) for i in range(n)))
        names = [k for k in own if k.endswith(".weight")]
        theirs = {f"net.{i}.weight": turned(own[k]) for i, k in enumerate(names)}
        lines = "".join(f"{k} = transpose(net.{i}.weight)  # turned\n" for i, k in enumerate(names))
        for i, k in enumerate(k for k in own if not k.endswith(".weight")):
            theirs[f"rest.{i}"] = own[k]
            lines += f"\n{k} = rest.{i}\n"
        write_tensors(self.dir / "torch.safetensors", theirs)
        (self.dir / "names").write_text(lines)
        err = self.run_("-q", "--init-from", "torch.safetensors", code=4)[1]
        for word in ("missing standardize.mu, ", "unexpected net.0.weight", "--allow-partial", "--map"):
            self.assertIn(word, err)
        self.run_("-q", "--run", "c", "--init-from", "torch.safetensors", "--map", "names", "--set", "epochs=0")
        self.assertEqual(self.weights("c"), b)
        # A part of them, said.
        del theirs["net.0.weight"]
        theirs["other"] = ("F32", [1], bytes(4))
        write_tensors(self.dir / "torch.safetensors", theirs)
        self.assertIn("names:1: torch.safetensors has no 'net.0.weight'", self.run_("--init-from", "torch.safetensors", "--map", "names", code=1)[1])
        (self.dir / "names").write_text("\n".join(lines.split("\n")[1:]))
        self.assertIn("missing " + names[0] + "; unexpected other", self.run_("--init-from", "torch.safetensors", "--map", "names", code=4)[1])
        err = self.run_("-q", "--run", "d", "--init-from", "torch.safetensors", "--map", "names", "--allow-partial", "--set", "epochs=0")[1]
        self.assertIn("not taken: missing " + names[0] + "; unexpected other", err)
        d = self.weights("d")
        self.assertEqual({k for k in own if d[k] != own[k]}, {names[0]})
        self.assertEqual(sorted(p.name for p in (self.dir / "runs/m").iterdir()), ["a", "b", "c", "d", "latest"])

    def test_init_in_the_file(self):
        self.model()
        self.run_("-q", "--run", "a")
        own = {k: v for k, v in self.weights("a", "best").items() if not k.startswith("__opt__/")}
        begin = lambda form, text=TABLE: self.model(text.replace("train m on", f"init m from {form}\ntrain m on"))
        begin('"runs/m/a"')
        self.run_("-q", "--run", "b", "--set", "epochs=0")
        self.run_("-q", "--run", "c", "--set", "epochs=0", "--from-scratch")
        self.model()
        self.run_("-q", "--run", "given", "--set", "epochs=0", "--init-from", "runs/m/a")
        self.run_("-q", "--run", "new", "--set", "epochs=0")
        self.assertEqual(self.weights("b"), self.weights("given"))
        self.assertEqual(self.weights("c"), self.weights("new"))
        self.assertNotEqual(self.weights("b"), self.weights("c"))
        # The command line stands above the file; a run that goes on has its own weights.
        begin('"nowhere"')
        self.assertIn("m.grad:8:13: error: cannot find the weights 'nowhere'", self.run_("-q", code=1)[1])
        self.run_("-q", "--run", "d", "--set", "epochs=0", "--init-from", "runs/m/a")
        self.assertEqual(self.weights("b"), self.weights("d"))
        begin('"runs/m/a"')
        self.run_("-q", "--run", "whole")
        self.run_("-q", "--run", "parts", "--max-steps", 7)
        self.run_("-q", "--resume=parts")
        self.same("whole", "parts")
        # Averaged weights begin as the file's do, the raw ones too.
        begin('"runs/m/a"', TABLE.replace("adam{}", "adam{}; ema = 0.9"))
        self.run_("-q", "--run", "e", "--set", "epochs=0")
        e = self.weights("e")
        self.assertEqual({k: e[k] for k in own}, own)
        raw = {k.removeprefix("__opt__/raw-weight/"): v for k, v in e.items() if k.startswith("__opt__/raw-weight/")}
        self.assertEqual({k: own[k] for k in raw}, raw)
        self.assertEqual(len(raw), 4)
        # What does not fit is refused, or told.
        other = TABLE.replace("Dense{1}", 'Dense{1} as "head"')
        begin('"runs/m/a"', other)
        err = self.run_("-q", code=4)[1]
        for word in ("missing head.weight, head.bias", "unexpected dense_2.bias, dense_2.weight", "--allow-partial"):
            self.assertIn(word, err)
        for form, more in (('"runs/m/a"', ["--allow-partial"]), ('"runs/m/a" partial', [])):
            begin(form, other)
            self.assertIn("not taken: missing head.weight", self.run_("-q", "--run", "f", "--overwrite", "--set", "epochs=0", *more)[1])
            f = self.weights("f")
            self.assertEqual({k for k in f if k in own and f[k] == own[k]}, {k for k in own if not k.startswith("dense_2")})
        self.model()
        self.assertIn("there are none", self.run_("--allow-partial", code=2)[1])
        self.run_("--from-scratch", "--init-from", "runs/m/a", code=2)
        self.run_("--from-scratch", "--resume=a", code=2)

    def test_accumulated_and_averaged_weights(self):
        self.model(UPDATES)
        self.run_("-q", "--run", "a", "--max-steps", 3)
        self.run_("-q", "--run", "b", "--max-steps", 4)
        a, b = self.weights("a"), self.weights("b")
        raw = "__opt__/raw-weight/"
        for k in b:
            if k.startswith("__opt__/gradient-sum/"):
                self.assertEqual(b[k][2], bytes(len(b[k][2])))
                self.assertNotEqual(a[k][2], bytes(len(a[k][2])))
            elif k.startswith(raw):  # the first update's weights are the first average
                self.assertEqual(b[k], b[k.removeprefix(raw)])
                self.assertEqual(a[k], a[k.removeprefix(raw)])
                self.assertNotEqual(a[k], b[k])
        self.assertEqual([a[k] for k in a if k.startswith("encoder.")], [b[k] for k in b if k.startswith("encoder.")])
        self.assertFalse([k for k in a if "encoder" in k and k.startswith("__opt__")])
        # What eval reads is the average.
        self.run_("-q", "--resume=b")
        line = gradc("eval", "m.grad", "--run", "b", cwd=self.dir, cache=self.cache)
        w = self.weights("b", "best")
        for k in list(w):
            if k.startswith(raw):
                self.assertNotEqual(w[k], w[k.removeprefix(raw)])
                w[k] = ("F32", w[k][1], bytes(len(w[k][2])))
        write_tensors(self.dir / "w.safetensors", w)
        self.assertEqual(line.split()[1:], gradc("eval", "m.grad", "--load", "w.safetensors", cwd=self.dir, cache=self.cache).split()[1:])

    def test_rates_that_a_metric_lowers(self):
        self.model(PLATEAU.replace("patience(60", "patience(600"), epochs=12)
        told = [line for line in self.run_("--run", "a")[0].splitlines() if line.startswith("lr ")]
        rows = self.epochs("a")
        # The rule by hand, over the values that were measured.
        rate, best, bad, cooling, lowered = 2e-2, -math.inf, 0, 0, []
        for r in rows:
            better = r["val.area"] > best * (1 + 1e-4)
            best, bad = (r["val.area"], 0) if better else (best, bad + 1)
            if cooling:
                cooling, bad = cooling - 1, 0
            if bad > 1:
                rate, bad, cooling = max(rate / 2, 1e-3), 0, 1
                lowered.append((rate, r["step"]))
        lowered = [l for i, l in enumerate(lowered) if i == 0 or l[0] < lowered[i - 1][0]]
        self.assertGreater(len(lowered), 1)
        self.assertEqual(told, [f"lr {rate:.4g} after step {step}: val.area did not become better" for rate, step in lowered])
        self.assertEqual(float.fromhex(metadata(self.dir / "runs/m/a/last.safetensors")["gradc.plateaus"].split()[0]), rate)
        self.assertNotIn("train.area", rows[0])
        # What it remembers is refused where it is none, and missed where it is not there.
        state = self.dir / "runs/m/a/last.safetensors"
        data = state.read_bytes()
        n = struct.unpack("<Q", data[:8])[0]
        header = json.loads(data[8 : 8 + n])
        for value, code, words in (("0x1p-4 nan 1", 1, "gradc.plateaus is no list of rates and counts"), ("", 0, "plateau begins anew")):
            header["__metadata__"]["gradc.plateaus"] = value
            header["__metadata__"].pop("gradc.checksum", None)
            text = json.dumps(header).encode()
            (self.dir / "w.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data[8 + n :])
            self.assertIn(words, self.run_("-q", "--resume=w.safetensors", "--run", "b", "--overwrite", code=code)[1])

    def test_rules_on_what_training_steps_measured(self):
        """Known where an epoch ends, and not by validations within it."""
        for text in (TRAINED, TRAINED.replace("train, test", "train, val").replace("every(5, last = 3)]", "every(5, last = 3)]; validate = every(2)")):
            self.model(text, epochs=12)
            out = self.run_("--run", "a", "--overwrite")[0].splitlines()
            rows = [r for r in self.epochs("a") if r["event"] == "epoch"]
            self.assertEqual(len(rows), 12)
            rate, best, lowered = 2e-2, math.inf, []
            for r in rows:
                if r["train.loss"] >= best * (1 - 1e-4) and rate > 1e-3:
                    rate = max(rate / 2, 1e-3)
                    lowered.append(f"lr {rate:.4g} after step {r['step']}: train.loss did not become better")
                best = min(best, r["train.loss"])
            self.assertGreater(len(lowered), 0)
            self.assertEqual([line for line in out if line.startswith("lr ")], lowered)
            chosen = max(rows, key=lambda r: r["train.r2"])
            self.assertEqual(self.step("a", "best"), chosen["step"])
            self.assertEqual(metadata(self.dir / "runs/m/a/best.safetensors")["gradc.metric"], "train.r2")
            record = json.loads((self.dir / "runs/m/a/run.json").read_text())
            self.assertEqual((record["metric"], record["best"], record["best_step"]), ("train.r2", chosen["train.r2"], chosen["step"]))
            self.assertIn("train.r2", gradc("runs", cwd=self.dir, cache=self.cache))
            marked = [int(line.split()[1].split("/")[0]) for line in out if line.split("  left")[0].endswith("*")]
            self.assertEqual(marked[-1], rows.index(chosen) + 1)
        # Stopped by the loss of its steps alone.
        self.model(TRAINED.replace("patience(60, min", "patience(2, max"), epochs=12)
        self.run_("-q", "--run", "b")
        self.assertLess(len(self.epochs("b")), 12)
        self.model(TRAINED.replace("max = train.r2", "max = val.r2"), epochs=12)
        self.assertIn("keep, stop and plateau read metrics of 'val', and the data has no such split; write train, val",
                      self.run_("-q", "--run", "c", code=1)[1])

    def test_eval_says_which_windows_are_left_out(self):
        self.model(CARRY, epochs=1)
        told = [line.strip() for line in self.run_("--run", "a")[0].splitlines() if "left out" in line]
        env = dict(os.environ, GRADC_CACHE=str(self.cache))
        r = subprocess.run([GRADC, "eval", "m.grad", "--run", "a"], cwd=self.dir, env=env, capture_output=True, text=True, timeout=300)
        self.assertEqual(len(r.stdout.splitlines()), 1)
        self.assertTrue(told)
        self.assertEqual([line for line in r.stderr.splitlines() if "left out" in line], told)
        self.assertRegex(told[-1], r"^test: [1-3] of \d+ windows are left out, which fill no batch of 4 rows$")

    def test_json_log(self):
        self.model(epochs=3)
        events = [json.loads(l) for l in self.run_("--log-format=json", "--run", "a")[0].splitlines()]
        self.assertEqual([e["event"] for e in events], ["start", "epoch", "epoch", "epoch", "end"])
        self.assertEqual((events[0]["run"], events[0]["train_rows"]), ("runs/m/a", 42))
        self.assertEqual([{k: v for k, v in e.items() if not k.endswith("_ms")} for e in events[1:4]], self.epochs("a"))
        record = json.loads((self.dir / "runs/m/a/run.json").read_text())
        for name, value in record["results"].items():
            self.assertEqual(events[-1][name], value)
        self.assertEqual((events[-1]["status"], events[-1]["step"]), ("finished", 18))
        # A file that lost its end, and rows of others: whole rows of what was done stay.
        self.run_("-q", "--run", "b", "--max-steps", 13)
        for name in ("metrics.csv", "metrics.jsonl"):
            f = self.dir / "runs/m/b" / name
            f.write_text(f.read_text() + 'junk\n{"epoch": -1e300, "step": 1}\n' + f.read_text().splitlines()[-1].replace("2", "3")[:9])
        self.run_("-q", "--resume=b")
        self.assertEqual(self.epochs("b"), self.epochs("a"))

    def test_parts_and_limits(self):
        self.model()
        out = self.run_("--dry-run", "--save", "w.safetensors")[0]
        self.assertIn("nothing was written", out)
        self.assertFalse((self.dir / "runs").exists() or (self.dir / "w.safetensors").exists())
        self.run_("-q", "--run", "a", "--limit-train", 17)
        self.assertEqual((self.step("a"), metadata(self.dir / "runs/m/a/last.safetensors")["gradc.rows"]), (8 * 3, "17"))
        # Three rows are learnt by heart by a model without dropout.
        self.model(TABLE.replace("Dropout{0.3}", "tanh"), epochs=60)
        out = self.run_("--run", "b", "--overfit", 3)[0].strip().splitlines()
        self.assertIn("train 42  val 3  test 3", out[1])
        self.assertLess(float(out[-1].split("loss ")[1].split()[0]), 0.01)
        self.model(epochs=100000000)
        began = time.monotonic()
        self.assertIn("stopped after step", self.run_("-q", "--run", "c", "--max-time", "0.3s")[1])
        self.assertLess(time.monotonic() - began, 20)
        for bad in ("3x", "-1", "0", "h", "s3", ""):
            self.run_("--max-time", bad, code=2)
        self.model()
        self.run_("-q", "--run", "d")
        values = [gradc("eval", "m.grad", "--run", "d", *split, cwd=self.dir, cache=self.cache) for split in ([], ["--split", "test"], ["--split", "val"], ["--split", "train"])]
        self.assertEqual([v.split()[0] for v in values], ["test", "test", "val", "train"])
        self.assertEqual(values[0], values[1])
        self.assertEqual(len(set(values)), 3)
        gradc("eval", "m.grad", "--split", "all", cwd=self.dir, code=2)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=1)
