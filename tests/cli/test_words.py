"""The command line keeps its word: doctor, cache, completion, the man page, wrong values, closed streams.
usage: test_words.py GRADC SOURCE_DIR"""
import itertools, os, pathlib, re, shutil, subprocess, sys, time, unittest

from test_cli import DIGITS, GRADC, SOURCE, Folder, gradc

IR = "func @f(%x: f32[8]) -> (y: f32[8]) {\n  %y = tanh(%x)\n  return %y\n}\n"


def table():
    """Command to its options and choices, read from --help as a person reads it."""

    def read(path):
        text = gradc(*path, "--help")
        options = set(re.findall(r"^  (-\S+?)(?:,(--\S+))? ", text, re.M))
        names = {n for pair in options for n in pair if n}
        children = re.findall(r"^  (\w+) ", text.split("Subcommands:")[1], re.M) if "Subcommands:" in text else []
        found[" ".join(path)] = (names, children)
        for c in children:
            read([*path, c])

    found = {}
    read([])
    return found


class Doctor(Folder):
    def run_doctor(self, *args, code=0, **env):
        r = subprocess.run([GRADC, "doctor", *args], cwd=self.dir, env=dict(os.environ, GRADC_CACHE=str(self.dir / "cache"), **env), capture_output=True, text=True, timeout=60)
        self.assertEqual(r.returncode, code, r.stderr)
        return {l.split("  ")[0]: l.split("  ", 1)[1].strip() for l in r.stdout.splitlines() if "  " in l}, r.stderr

    def test_says_what_the_system_says(self):
        said, _ = self.run_doctor("--quick")
        cores = int(said["cores"].split(" of ")[0])
        self.assertTrue(1 <= cores <= len(os.sched_getaffinity(0)))  # less under a quota
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                self.assertEqual(said["processor"], line.split(":", 1)[1].strip())
                break
        flags = pathlib.Path("/proc/cpuinfo").read_text().split()
        for feature in ("avx2", "fma", "avx512f"):
            self.assertEqual(feature in said["features"].split(), feature in flags)
        self.assertEqual(int(said["lanes"].split()[0]), 16 if "avx512f" in flags else 8 if "avx2" in flags else int(said["lanes"].split()[0]))
        self.assertEqual(said["cache folder"], f"{self.dir}/cache: 0 entries, 0 B, can be written")
        self.assertEqual(list((self.dir / "cache").iterdir()), [])
        self.assertIn("LLVM 19", said["gradc"])
        self.assertNotIn("multiply-add", said)

    def test_measures(self):
        start = time.monotonic()
        said, _ = self.run_doctor()
        self.assertLess(time.monotonic() - start, 10)  # under 2 s on an idle machine
        one, every = re.match(r"([\d.]+) Gflop/s on one core, ([\d.]+) on \d+", said["multiply-add"]).groups()
        self.assertGreater(float(one), 1)
        self.assertGreater(float(every), 1)
        rates = [float(x) for x in re.findall(r"(?:L1|L2|memory) ([\d.]+) \(", said["reading"])]
        self.assertEqual(len(rates), 3)
        self.assertGreater(min(rates), 0.1)
        self.kept_rates_are_what_predictions_go_by(float(one), rates)

    def kept_rates_are_what_predictions_go_by(self, gops, rates):
        kept = self.dir / "cache/rates"
        name, numbers = kept.read_text().splitlines()
        for told, number in zip((gops, rates[1], rates[2]), numbers.split()):
            self.assertAlmostEqual(told, float(number), delta=0.11)

        def limits(text):
            kept.write_text(text)
            said = gradc("compile", SOURCE / "examples/digits.grad", "--data", SOURCE / "examples", "--emit=schedule", cache=self.dir / "cache")
            return [w for l in said.splitlines()[1:] for w in ("arithmetic", "memory") if f" {w} " in l]

        plain = limits("")
        self.assertEqual(set(limits(f"{name}\n1e8 1 1\n")), {"memory"})
        self.assertLess(limits(f"{name}\n1 1e8 1e8\n").count("memory"), plain.count("memory"))
        for bad in (f"another\n1e8 1 1\n", f"{name}\n1e8 -1 1\n", f"{name}\nnan 1 1\n", f"{name}\n1e8 1\n", "\0" * 100):
            self.assertEqual(limits(bad), plain)

    def test_says_what_is_wrong(self):
        (self.dir / "cache").write_text("a file in the way")
        self.assertIn("cannot be made or opened: Not a directory", self.run_doctor("--quick", code=1)[1])
        (self.dir / "cache").unlink()
        (self.dir / "cache").mkdir()
        (self.dir / "cache").chmod(0o777)
        self.assertIn("others may write to it", self.run_doctor("--quick", code=1)[1])
        (self.dir / "cache").chmod(0o700)
        self.assertIn("GRADC_DATA names nowhere", self.run_doctor("--quick", code=1, GRADC_DATA="nowhere")[1])
        self.run_doctor("--quick", GRADC_DATA=".")


class Cache(Folder):
    def test_counts_and_clears_its_own_files_alone(self):
        cache = self.dir / "cache"
        show = lambda *args: gradc("cache", *args, cache=cache)
        self.assertIn("entries  0", show())
        self.assertFalse(cache.exists())
        gradc("train", DIGITS, "-q", "--set", "epochs=1", "--run", self.dir / "run", cache=cache)
        (entry,) = cache.iterdir()
        size = entry.stat().st_size
        others = ["notes.txt", "0" * 32 + ".o.x", "0" * 31 + ".o", "0" * 32 + ".oo"]
        for name in others:
            (cache / name).write_text("mine")
        (cache / ("a" * 32 + ".o.123")).write_text("part")
        (cache / ("b" * 32 + ".o")).mkdir()
        os.symlink("notes.txt", cache / ("c" * 32 + ".o"))
        self.assertIn(f"entries  1\nsize     {(size + 4) / 1024:.1f} kB\nparts    1,", show())
        self.assertIn("removed  1 of 1 entries", show("--clear"))
        self.assertEqual({f.name for f in cache.iterdir()}, {*others, "b" * 32 + ".o", "c" * 32 + ".o"})
        self.assertIn("off", gradc("cache"))

    def test_what_was_not_used_for_longest_makes_room(self):
        cache = self.dir / "cache"
        cache.mkdir(mode=0o700)
        for age, digit in ((3, "b"), (2, "c"), (1, "a")):
            file = cache / (digit * 32 + ".o")
            with open(file, "w") as f:
                f.truncate(200 << 20)
            os.utime(file, (10**9 - age, 10**9 - age))
        gradc("train", DIGITS, "-q", "--set", "epochs=1", "--run", self.dir / "run", cache=cache)
        left = {f.name[0] for f in cache.iterdir() if f.stat().st_size == 200 << 20}
        self.assertEqual((left, len(list(cache.iterdir()))), ({"a", "c"}, 3))


class Completion(unittest.TestCase):
    script = None

    def complete(self, *words):
        """What a real bash offers for the last word, cut as bash cuts: '=' stands alone."""
        cut = list(itertools.chain.from_iterable(re.findall(r"=|[^=]+", w) or [""] for w in words))
        code = f'{gradc("completion", "bash")}\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _gradc; printf "%s\\n" "${{COMPREPLY[@]}}"'
        r = subprocess.run(["bash", "-c", code, "bash", "gradc", *cut], capture_output=True, text=True)
        self.assertEqual((r.returncode, r.stderr), (0, ""))
        return r.stdout.split()

    def test_the_scripts_parse(self):
        for shell, command in (("bash", ["bash", "-n"]), ("zsh", ["zsh", "-n"]), ("fish", ["fish", "-n"])):
            text = gradc("completion", shell)
            if shutil.which(shell):
                r = subprocess.run(command, input=text, capture_output=True, text=True)
                self.assertEqual((r.returncode, r.stderr), (0, ""), shell)

    def test_bash_completes(self):
        self.assertEqual(self.complete("tr"), ["train"])
        self.assertEqual(self.complete("co"), ["compile", "completion"])
        self.assertEqual(self.complete("data", ""), ["inspect"])
        self.assertEqual(self.complete("completion", ""), ["bash", "zsh", "fish"])
        self.assertEqual(self.complete("train", "--thr"), ["--threads"])
        self.assertEqual(self.complete("train", "m.grad", "--float", ""), ["f32", "f64"])
        self.assertEqual(self.complete("train", "--float="), ["f32", "f64"])
        self.assertEqual(self.complete("train", "--float=f6"), ["f64"])
        self.assertEqual(self.complete("opt", "--from=nu"), ["numerics"])
        self.assertEqual(self.complete("train", ""), [])  # left to bash: files
        self.assertEqual(self.complete("train", "--save", ""), [])
        self.assertNotIn("--rounds", self.complete("train", "-"))
        for command, (options, children) in table().items():
            words = command.split()
            self.assertEqual(set(self.complete(*words, "-")), options, command)
            self.assertEqual(set(self.complete(*words, "")) - {"bash", "zsh", "fish"}, set(children), command)

    def test_zsh_and_fish_have_every_command_and_option(self):
        zsh, fish = gradc("completion", "zsh"), gradc("completion", "fish")
        for command, (options, _) in table().items():
            if not command:
                continue
            body = re.search(rf"^_gradc_{command.replace(' ', '_')}\(\) {{\n(.*?)^}}", zsh, re.M | re.S).group(1)
            last = command.split()[-1]
            self.assertRegex(fish, rf"(?m) -a {last} -d ")
            lines = [l for l in fish.splitlines() if f"__fish_seen_subcommand_from {last}'" in l or f"__fish_seen_subcommand_from {last};" in l]
            for o in options:
                if command != "data":  # which only leads on
                    self.assertIn(f"*{o}", body, command)
                flag = f" -s {o[1:]} " if len(o) == 2 else f" -l {o[2:]} "
                self.assertTrue(any(flag in l for l in lines), (command, o))


class ManPage(unittest.TestCase):
    def test_it_has_every_command_and_option(self):
        page = gradc("man")
        self.assertTrue(page.startswith(".TH GRADC 1 "))
        plain = page.replace("\\-", "-")
        for command, (options, children) in table().items():
            if not command or children:
                continue
            body = re.search(rf"^\.SS {command}\n(.*?)(?=^\.S)", plain, re.M | re.S).group(1)
            for o in options:
                self.assertIn(f"\\fB{o}\\fR", body, command)
        for line in page.splitlines():
            if line.startswith("."):
                self.assertRegex(line, r"^\.(TH|SH|SS|TP|B|RI|I|br)\b")
        if shutil.which("groff"):
            r = subprocess.run(["groff", "-man", "-Tascii", "-ww"], input=page, capture_output=True, text=True)
            self.assertEqual((r.returncode, r.stderr), (0, ""))
            self.assertIn("gradc data inspect [options] file", re.sub(".\b", "", r.stdout))


class Words(Folder):
    def test_values_that_do_not_fit_are_wrong_usage(self):
        (self.dir / "f.ir").write_text(IR)
        for why, *args in (
            ("foo not in {", "check", DIGITS, "--without", "foo"),
            ("--header requires -c", "compile", DIGITS, "--header", "m.h"),
            ("--prefix requires -c", "compile", DIGITS, "--prefix", "p_"),
            ("excludes", "compile", DIGITS, "-c", "--emit", "llvm"),
            ("--emit=foo", "compile", DIGITS, "--emit", "foo"),
            ("--emit=foo", "compile", "f.ir", "--function", "f", "--emit", "foo"),
            ("no graph pass 'x'", "compile", "f.ir", "--function", "f", "--emit", "graph-after=x"),
            ("no graph pass 'x'", "compile", DIGITS, "--emit", "graph-after=x"),
            ("--header is for model files", "compile", "f.ir", "-c", "--header", "m.h"),
            ("-D is for model files", "compile", "f.ir", "-D", "a=1"),
            ("--set is for model files", "bench", "f.ir", "--set", "a=1"),
            ("--kernels is for model files", "bench", "f.ir", "--kernels"),
            ("excludes", "bench", DIGITS, "--kernels", "--json"),
            ("--plans is for model files", "bench", "f.ir", "--plans"),
            ("excludes", "bench", DIGITS, "--kernels", "--plans"),
            ("--seconds requires --plans", "bench", DIGITS, "--seconds", "1"),
            ("--limit requires --plans", "bench", DIGITS, "--limit", "1"),
            ("--float is for model files", "compile", "f.ir", "--float", "f64"),
            ("--data is for model files", "compile", "f.ir", "--data", "."),
            ("the value is empty", "train", DIGITS, "--save", ""),
            ("the value is empty", "render", DIGITS, "-o", ""),
            ("the value is empty", "check", ""),
            ("not in {bash", "completion", "tcsh"),
            ("NAME=VALUE", "check", DIGITS, "-D", "hidden"),
            ("not expected", "cache", "all"),
            ("subcommand is required", "data"),
        ):
            self.assertIn(why, gradc(*args, cwd=self.dir, code=2), args)
        self.assertEqual([f.name for f in self.dir.iterdir()], ["f.ir"])
        self.assertIn("numerics=done", gradc("compile", "f.ir", "--function", "f", "--emit", "graph-after=fold", cwd=self.dir))

    def test_constants_that_cannot_be(self):
        for value in ("-1", "1.5", '"x"', "true", str(2**63 - 1)):
            gradc("check", DIGITS, "-D", f"hidden={value}", code=1)
        for value in ("", "1e400", "nan", "(", "a", "1;2", "1 2", "\x01", str(2**64)):
            gradc("check", DIGITS, "-D", f"hidden={value}", code=2)

    def test_fields_that_cannot_be(self):
        fields = ("lr", "batch", "epochs", "seed", "keep", "stop", "optimizer", "foo", "")
        for field, value in itertools.product(fields, ("-1", "1.5", "", str(10**20), "nan", '"x"', "true", "(")):
            r = subprocess.run([GRADC, "check", DIGITS, "--set", f"{field}={value}"], env=dict(os.environ, GRADC_CACHE=""), capture_output=True, text=True)
            self.assertIn(r.returncode, (0, 1, 2), (field, value, r.stderr))
            self.assertEqual(r.returncode != 0, r.stderr.find("error: ") >= 0, (field, value))

    def test_files_that_are_none(self):
        (self.dir / "folder").mkdir()
        (self.dir / "empty").write_text("")
        (self.dir / "noise").write_bytes(bytes(range(256)) * 8)
        (self.dir / "f.ir").write_text(IR)
        for path in ("folder", "empty", "noise", "nowhere", "/dev/zero", "folder/x", "noise/x"):
            for args in (
                ["check", path],
                ["compile", path],
                ["data", "inspect", path],
                ["new", path, "--target", "y", "-o", "out"],
                ["eval", DIGITS, "--load", path],
                ["predict", DIGITS, "--load", path, "--input", "empty"],
                ["run", "f.ir", "--function", "f", "--inputs", path, "-o", "out"],
            ):
                self.assertIn("error: ", gradc(*args, cwd=self.dir, code=1), args)
        self.assertFalse((self.dir / "out").exists())

    def test_a_file_that_may_not_be_read(self):
        path = self.dir / "m.grad"
        path.write_text(pathlib.Path(DIGITS).read_text())
        path.chmod(0)
        self.dir.chmod(0o755)
        nobody = {"user": 65534} if os.geteuid() == 0 else {}  # root reads everything
        try:
            r = subprocess.run([GRADC, "check", path], env=dict(os.environ, GRADC_CACHE=""), capture_output=True, text=True, **nobody)
        except PermissionError:
            self.skipTest("nobody but root runs the tool where it lies")
        self.assertEqual(r.returncode, 1)
        self.assertIn("Permission denied", r.stderr)

    def test_a_closed_standard_output(self):
        (self.dir / "f.ir").write_text(IR)
        commands = (
            ["render", DIGITS], ["check", DIGITS], ["compile", DIGITS], ["compile", DIGITS, "-c"], ["--help"], ["--version"], ["man"],
            ["completion", "bash"], ["doctor", "--quick"], ["cache"], ["opt", "f.ir"], ["data", "inspect", SOURCE / "examples/data/digits.csv"],
        )  # fmt: skip
        for args, redirect in itertools.product(commands, (">&-", ">/dev/full", "<&- >&-")):
            r = self.shell(args, redirect)
            self.assertEqual(r.returncode, 1, (args, redirect))
            self.assertIn("error: cannot write to standard output", r.stderr)

    def shell(self, args, redirect):
        env = dict(os.environ, GRADC_CACHE=str(self.dir / "cache"))
        return subprocess.run(["sh", "-c", f'"$@" {redirect}', "sh", GRADC, *map(str, args)], cwd=self.dir, env=env, capture_output=True, text=True, timeout=60)

    def test_what_is_written_to_a_file_stays_clean_of_messages(self):
        right = gradc("render", DIGITS)
        for redirect in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
            self.assertEqual(self.shell(["render", DIGITS, "-o", "out"], redirect).returncode, 0)
            self.assertEqual((self.dir / "out").read_text(), right)
        (self.dir / "bad.grad").write_text("model {")
        r = self.shell(["check", "bad.grad"], "<&- >&- 2>&-")
        self.assertEqual(r.returncode, 1)
        self.assertEqual((self.dir / "bad.grad").read_text(), "model {")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
