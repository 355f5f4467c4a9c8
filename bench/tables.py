"""Ten tables that `gradc new` was not written for: the model that it writes, trained as it stands, beside scikit-learn's
better of a linear model and boosted trees, on rows that neither saw. Prints a line a table.

usage: tables.py GRADC (needs scikit-learn and NumPy)"""
import csv
import datetime
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from sklearn import datasets
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

draw = np.random.default_rng(11)


def of_bunch(name, names=False):
    d = getattr(datasets, f"load_{name}")()
    columns = [str(c).replace(" ", "_").replace("(", "").replace(")", "").replace("/", "_") for c in getattr(d, "feature_names", range(d.data.shape[1]))]
    y = [str(d.target_names[t]) for t in d.target] if names else [repr(v.item()) for v in d.target]
    return columns, [[repr(float(v)) for v in row] for row in d.data], y


def numbers(x, y):
    return [f"f{i}" for i in range(x.shape[1])], [[f"{v:.5f}" for v in row] for row in x], y


def friedman():
    x, y = datasets.make_friedman1(2000, 10, noise=1.0, random_state=3)
    return numbers(x, [f"{v:.4f}" for v in y])


def signs():
    x, y = datasets.make_classification(3000, 20, n_informative=8, n_redundant=4, class_sep=0.8, random_state=4)
    return numbers(x, [str(2 * v - 1) for v in y])


def grades():
    x, y = datasets.make_classification(4000, 12, n_informative=8, n_classes=4, random_state=5)
    return numbers(x, [str(v + 1) for v in y])


def rents():
    """Dates, towns, missing cells; a price."""
    columns, rows, y = ["built", "town", "rooms", "area", "balcony"], [], []
    towns = {"Bonn": 8.0, "Ulm": 9.5, "Jena": 7.0, "Trier": 6.5, "Kiel": 8.5, "Gera": 4.0}
    for _ in range(3000):
        day = datetime.date(1950, 1, 1) + datetime.timedelta(days=int(draw.integers(0, 26000)))
        town, area = draw.choice(list(towns)), float(draw.uniform(20, 140))
        rooms, balcony = max(1, round(area / 28 + draw.normal(0, 0.5))), bool(draw.random() < 0.4)
        price = area * towns[town] * (0.8 + 0.3 * (day.year - 1950) / 70) + 60 * balcony + 30 * rooms + draw.normal(0, 25)
        rows.append([day.isoformat(), town, str(rooms) if draw.random() > 0.1 else "", f"{area:.1f}" if draw.random() > 0.05 else "NA", "yes" if balcony else "no"])
        y.append(f"{price:.2f}")
    return columns, rows, y


def loans():
    """Categories with commas, missing numbers, a rare class of texts."""
    columns, rows, y = ["job", "purpose", "income", "debt", "age"], [], []
    jobs = {"nurse": 0.2, "clerk, junior": -0.4, "smith": 0.0, "pilot": 0.8}
    for _ in range(4000):
        job, purpose = draw.choice(list(jobs)), draw.choice(["car", "house", "other"])
        income, debt, age = float(draw.lognormal(10, 0.4)), float(draw.lognormal(8, 0.8)), int(draw.integers(19, 75))
        score = 1.5 + jobs[job] + (income - 22000) / 9000 - debt / 2500 + (purpose == "house") * 0.7 - 0.0006 * (age - 45) ** 2
        rows.append([job if draw.random() > 0.04 else "?", purpose, f"{income:.0f}" if draw.random() > 0.08 else "", f"{debt:.0f}", str(age)])
        y.append("paid" if score + draw.logistic(0, 0.7) > 0 else "failed")
    return columns, rows, y


TABLES = {
    "iris": lambda: of_bunch("iris", True), "wine": lambda: of_bunch("wine"), "breast_cancer": lambda: of_bunch("breast_cancer", True),
    "digits": lambda: of_bunch("digits"), "diabetes": lambda: of_bunch("diabetes"), "friedman": friedman, "signs": signs,
    "grades": grades, "rents": rents, "loans": loans,
}  # fmt: skip
REAL = {"diabetes", "friedman", "rents"}


def write(path, columns, rows):
    with open(path, "w", newline="") as f:
        csv.writer(f).writerows([columns, *rows])


def scikit(columns, train, y, test, z, real):
    def cell(v):
        if v in ("", "NA", "?"):
            return None
        for read in (float, lambda t: float(datetime.date.fromisoformat(t).toordinal())):
            try:
                return read(v)
            except ValueError:
                pass
        return v

    cooked = [[cell(v) for v in row] for row in train + test]
    texts = [i for i in range(len(columns)) if any(isinstance(r[i], str) for r in cooked)]
    plain = [i for i in range(len(columns)) if i not in texts]
    table = np.array([[("none" if v is None else v) if i in texts else (np.nan if v is None else v) for i, v in enumerate(r)] for r in cooked], dtype=object)
    a, b = table[: len(train)], table[len(train) :]

    def prepared(scale):
        steps = [SimpleImputer(strategy="median", add_indicator=True)] + ([StandardScaler()] if scale else [])
        return ColumnTransformer([("n", make_pipeline(*steps), plain), ("t", OneHotEncoder(handle_unknown="ignore", sparse_output=False), texts)])

    models = [Ridge(1.0), HistGradientBoostingRegressor(random_state=0)] if real else [LogisticRegression(max_iter=5000), HistGradientBoostingClassifier(random_state=0)]
    want, have = (np.array(y, float), np.array(z, float)) if real else (np.array(y), np.array(z))
    return [make_pipeline(prepared(i == 0), m).fit(a, want).score(b, have) for i, m in enumerate(models)]


def main():
    gradc = pathlib.Path(sys.argv[1]).resolve()
    print("| table | rows | columns | gradc new | linear | boosted trees | gradc - better |\n|---|---|---|---|---|---|---|")
    for name, make in TABLES.items():
        columns, rows, y = make()
        order = np.random.default_rng(1).permutation(len(rows))
        held = len(rows) // 5
        test, train = [rows[i] for i in order[:held]], [rows[i] for i in order[held:]]
        z, y = [y[i] for i in order[:held]], [y[i] for i in order[held:]]
        with tempfile.TemporaryDirectory() as folder:
            at = pathlib.Path(folder)
            write(at / "t.csv", [*columns, "target"], [[*r, v] for r, v in zip(train, y)])
            write(at / "new.csv", columns, test)
            for command in (["new", "t.csv", "--target=target"], ["train", "t.grad", "-q"], ["predict", "t.grad", "--input", "new.csv", "-o", "out.csv"]):
                p = subprocess.run([gradc, *command], cwd=at, capture_output=True, text=True)
                if p.returncode:
                    sys.exit(f"{name}: {command[0]}: {p.stderr}")
            got = list(csv.DictReader((at / "out.csv").open()))
        if name in REAL:
            column = next(c for c in got[0] if c not in ("file",))
            have, want = np.array([float(r[column]) for r in got]), np.array(z, float)
            ours = 1 - ((have - want) ** 2).sum() / ((want - want.mean()) ** 2).sum()
        else:
            column = next(c for c in got[0] if {r[c] for r in got} <= set(y) and len({r[c] for r in got}) > 1)
            ours = np.mean([r[column] == v for r, v in zip(got, z)])
        linear, trees = scikit(columns, train, y, test, z, name in REAL)
        print(f"| {name} | {len(train)} | {len(columns)} | {ours:.3f} | {linear:.3f} | {trees:.3f} | {ours - max(linear, trees):+.3f} |", flush=True)


main()
