"""Tables as people have them: the example, and what gradc new makes of tables. usage: test_tables.py GRADC SOURCE_DIR"""
import csv, datetime, io, json, random, subprocess, sys, unittest

from test_cli import SOURCE, Folder, gradc


def reached(text):
    """The metrics of the last line of a training."""
    words = text.strip().splitlines()[-1].split()
    assert words[0] == "test", text[-300:]
    return dict(zip(words[1::2], map(float, words[2::2])))


class Example(Folder):
    def test_titanic_like(self):
        table = SOURCE / "examples/data/titanic_like.csv"
        subprocess.run([sys.executable, SOURCE / "tests/data/titanic_like.py", self.dir / "again.csv"], check=True)
        self.assertEqual((self.dir / "again.csv").read_bytes(), table.read_bytes())
        model = SOURCE / "examples/titanic_like.grad"
        said = gradc("train", model, "--save", "w.safetensors", cwd=self.dir)
        self.assertIn("x: 279 missing, filled by the median of their column", said)
        # scikit-learn's better of boosted trees and logistic regression has 0.7867 (tests/data/titanic_like.py).
        self.assertGreaterEqual(reached(said)["accuracy"], 0.7867 - 0.01)
        # Raw rows, in another order of columns, with what training has not seen.
        (self.dir / "in.csv").write_text("sex,class,age,fare,booked,alone,port,deck\nfemale,first,,80,1912-03-01,no,Paris,\nmale,third,30,?,1912-03-01,yes,,\n")
        rows = list(csv.DictReader(io.StringIO(gradc("predict", model, "--load", "w.safetensors", "--input", "in.csv", cwd=self.dir))))
        self.assertEqual([r["survives"] for r in rows], ["1", "0"])
        gradc("eval", model, "--load", "w.safetensors", cwd=self.dir)


class New(Folder):
    def write(self, columns, rows, sep=","):
        with open(self.dir / "t.csv", "w", newline="") as f:
            w = csv.writer(f, delimiter=sep)
            w.writerows([columns, *rows])

    def learn(self, target, *says, code=0):
        """What is said, and what the model reaches on its test rows. Prediction takes the table itself."""
        for f in ("t.grad", "w.safetensors"):
            (self.dir / f).unlink(missing_ok=True)
        said = gradc("new", "t.csv", f"--target={target}", cwd=self.dir, code=code)
        for part in says:
            self.assertIn(part, said)
        if code:
            return None
        result = reached(gradc("train", "t.grad", "--save", "w.safetensors", cwd=self.dir))
        rows = csv.DictReader(io.StringIO(gradc("predict", "t.grad", "--load", "w.safetensors", "--input", "t.csv", cwd=self.dir)))
        return result, [r["prediction"] for r in rows]

    def test_texts_are_classes(self):
        r = random.Random(1)
        rows = [(f"{x:.2f}", c, "big, red" if x + (c == "B") > 0.6 else "small") for x, c in ((r.random(), r.choice("AB")) for _ in range(600))]
        self.write(["x", "group", "kind"], rows, ";")
        result, names = self.learn("kind", "target kind: 2 classes, for it holds texts: big, red", "group: 2 kinds, embedded")
        self.assertGreater(result["accuracy"], 0.93)
        self.assertEqual(set(names), {"big, red", "small"})

    def test_numbers_that_are_classes(self):
        r = random.Random(2)
        xs = [(r.gauss(0, 1), r.gauss(0, 1)) for _ in range(400)]
        self.write(["a", "b", "y"], [(a, b, 1 if a + b > 0 else -1) for a, b in xs])
        result, names = self.learn("y", "2 classes, for it holds -1 and 1", "too few for a validation split")
        self.assertGreater(result["accuracy"], 0.93)
        self.assertEqual(set(names), {"-1", "1"})
        self.write(["a", "b", "y"], [(a, b, 1 + (a > 0) + 2 * (b > 0)) for a, b in xs])
        result, names = self.learn("y", "4 classes, for it holds numbers from 1 on", "if these are amounts")
        self.assertGreater(result["accuracy"], 0.9)
        self.assertEqual(set(names), set("1234"))
        self.write(["a", "b", "y"], [(a, b, "no" if a > b else "YES") for a, b in xs])
        result, names = self.learn("y", "2 classes, for it holds truth values")
        self.assertGreater(result["accuracy"], 0.93)

    def test_amounts_with_missing_cells_and_dates(self):
        r = random.Random(3)
        day = datetime.date(2020, 1, 1)
        rows = []
        for i in range(800):
            a, d, c = r.gauss(10, 3), r.randrange(500), r.choice(["north", "south", ""])
            y = 100 + 5 * (a if i % 7 else 10) + 0.1 * d + (20 if c == "north" else 0) + (30 if i % 7 == 0 else 0)
            rows.append((i + 1, a if i % 7 else r.choice(["", "NA"]), day + datetime.timedelta(d), c, f"id{i}", f"{y:.1f}" if i % 50 else ""))
        self.write(["row", "a", "when", "side", "code", "y"], rows)
        result, values = self.learn("y", "rows without y: 16 of 800, left out", "left out row: numbers its rows", "left out code: text, 800 kinds in 800 rows", "a: missing in 115 of 800 rows", "when: dates", "side: 2 kinds, embedded; missing cells")
        self.assertGreater(result["r2"], 0.95)
        self.assertEqual(len(values), 800)

    def test_only_categories_and_one_column(self):
        r = random.Random(4)
        rows = [(c, d, c + d) for c, d in ((r.choice("abc"), r.choice("xy")) for _ in range(300))]
        self.write(["relu", "y", "h"], rows)  # names that the file uses for something else
        result, _ = self.learn("h", "6 classes")
        self.assertEqual(result["accuracy"], 1)
        self.write(["a*", "y"], [(i % 9, 3 * (i % 9)) for i in range(300)])
        self.assertGreater(self.learn("y")[0]["r2"], 0.98)

    def test_a_rare_class_is_trained(self):
        rows = [(i % 10, "odd" if i % 2 else "even") for i in range(60)] + [(99, "rare")]
        self.write(["a", "y"], rows)
        self.learn("y", "3 classes")
        data = (self.dir / "w.safetensors").read_bytes()
        metadata = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        self.assertEqual(json.loads(metadata["gradc.vocabulary.y"]), ["even", "odd", "rare"])

    def test_many_columns_are_named_by_ranges(self):
        r = random.Random(5)
        self.write([f"p{i:02}" for i in range(30)] + ["y"], [(*(v := [r.random() for _ in range(30)]), "ab"[v[7] > 0.5]) for _ in range(600)])
        result, _ = self.learn("y")
        self.assertGreater(result["accuracy"], 0.85)
        self.assertIn('columns("p00..p29")', (self.dir / "t.grad").read_text())

    def test_what_is_left_out_and_refused(self):
        rows = [(i * i % 31, 7, "-" if i == 3 else i * 3 % 101, "", "1e35" if i else "2", i % 2) for i in range(100)]
        self.write(["a", "same", "mixed", "empty", "huge", "y"], rows)
        self.learn("y", "left out same: constant", "left out mixed: text, 100 kinds in 100 rows; numbers but for 1 cells, the first at t.csv:5:", "left out empty: nothing but missing cells", "left out huge: numbers beyond 1e18")
        self.learn("same", "the same in every row", code=1)
        self.learn("empty", "0 rows with a target are too few", code=1)
        self.write(["a", "y"], [(i, f"t{i}") for i in range(100)])
        self.learn("y", "has 100 different texts in 100 rows, which are no classes", code=1)
        self.write(["a", "y"], [(i * 7 % 10, "a" if i % 2 else "b") for i in range(4)])
        self.learn("y", "4 rows with a target are too few", code=1)
        self.write(["a", "y"], [("x", i % 2) for i in range(40)])
        self.learn("y", "no column is left to learn from", code=1)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
