"""Writes examples/data/titanic_like.csv: passengers of a ship that never sailed, as messy as tables are.
usage: titanic_like.py [FILE]; the bytes depend on nothing but this script.
       titanic_like.py --peers: what scikit-learn reaches on the rows of examples/titanic_like.grad; of 1.9.1
       LogisticRegression 0.7833, GradientBoostingClassifier 0.7867, HistGradientBoostingClassifier 0.7367"""
import csv, datetime, math, pathlib, random, sys

ROWS = 1500


def passenger(r, i):
    female, cabin_class = r.random() < 0.36, r.choices([1, 2, 3], [24, 21, 55])[0]
    age = min(80, max(0.5, r.gauss([38, 30, 25][cabin_class - 1], 13)))
    port = r.choices(["Southampton", "Cherbourg, Manche", "Queenstown"], [70, 20, 10])[0]
    fare = math.exp(r.gauss([4.2, 2.9, 2.3][cabin_class - 1], 0.5))
    booked = datetime.date(1912, 1, 1) + datetime.timedelta(days=int(r.triangular(0, 100, 90)))
    deck = r.choice("ABCDE") if cabin_class == 1 and r.random() < 0.8 else r.choice("DEFG") if r.random() < 0.15 else ""
    alone = r.random() < 0.6
    # A smooth part, what trees find at once (children first), and a hint in what is missing.
    z = 2.6 * female - 1.1 * (cabin_class - 2) + 1.8 * (age < 12) - 0.02 * (age - 30) - 0.4 * alone
    z += 0.6 * (port[0] == "C") + 0.8 * (deck != "") - 0.01 * (booked - datetime.date(1912, 3, 1)).days - 1.3
    known_age = r.random() < (0.92 if z > 0 else 0.72)
    name = f'{r.choice(["Braund", "Cumings", "O" + chr(39) + "Dwyer", "Behr"])}, {"Mrs." if female else "Mr."} "{r.choice("JKLM")}." No {i}'
    return {
        "passenger": i,
        "name": name,
        "class": ["first", "second", "third"][cabin_class - 1],
        "sex": "female" if female else "male",
        "age": f"{age:.1f}" if known_age else r.choice(["", "NA", "?"]),
        "fare": f"{fare:.2f}" if r.random() < 0.98 else "",
        "port": port if r.random() < 0.99 else "",
        "deck": deck,
        "booked": booked.isoformat(),
        "alone": "yes" if alone else "no",
        "survived": "yes" if r.random() < 1 / (1 + math.exp(-1.5 * z)) else "no",
    }


def main(path):
    r = random.Random(1912)
    rows = [passenger(r, i) for i in range(1, ROWS + 1)]
    with open(path, "w", newline="") as f:
        w = csv.DictWriter(f, list(rows[0]), lineterminator="\n")
        w.writeheader()
        w.writerows(rows)


def peers(path):
    import numpy as np
    from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression

    rows = list(csv.DictReader(open(path, newline="")))
    train, test = slice(0, len(rows) * 7 // 10), slice(len(rows) * 8 // 10, None)
    columns = [[datetime.date.fromisoformat(r["booked"]).toordinal() for r in rows], [r["alone"] == "yes" for r in rows]]
    for c in ("age", "fare"):
        v = np.array([float(r[c]) if r[c] not in ("", "NA", "?") else np.nan for r in rows])
        columns += [np.where(np.isnan(v), np.nanmedian(v[train]), v), np.isnan(v)]
    for c in ("sex", "class", "port", "deck"):
        columns += [[r[c] == k for r in rows] for k in sorted({r[c] for r in rows})]
    x, y = np.array(columns, float).T, np.array([r["survived"] == "yes" for r in rows])
    x = (x - x[train].mean(0)) / (x[train].std(0) + 1e-9)
    for m in (LogisticRegression(max_iter=1000), GradientBoostingClassifier(random_state=0), HistGradientBoostingClassifier(random_state=0)):
        print(type(m).__name__, round(m.fit(x[train], y[train]).score(x[test], y[test]), 4))


if __name__ == "__main__":
    table = pathlib.Path(__file__).resolve().parents[2] / "examples/data/titanic_like.csv"
    if sys.argv[1:] == ["--peers"]:
        peers(table)
    else:
        main(sys.argv[1] if len(sys.argv) > 1 else table)
