"""The test lines of the examples for the seeds 1 to 5, beside classical baselines on the same split.

usage: quality.py GRADC [--no-mnist]. Data is looked for as gradc does (GRADC_DATA, ../shared/data).
"""
import pathlib, statistics, subprocess, sys, tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent


def value(path, seed, folder):
    command = [sys.argv[1], "train", "-q", str(ROOT / path), "--set", f"seed={seed}", "--run", folder, "--overwrite"]
    out = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return float(out.stdout.split()[-1])


with tempfile.TemporaryDirectory() as folder:
    names = ["digits", "breast_cancer", "diabetes"] + ([] if "--no-mnist" in sys.argv else ["mnist"])
    for name in names:
        v = [value(f"examples/{name}.grad", seed, folder) for seed in range(1, 6)]
        print(f"{name:14} mean {statistics.mean(v):.4f}  least {min(v):.4f}  {v}", flush=True)
    for name in ("logistic", "least_squares"):
        print(f"{name:14} {value(f'bench/baselines/{name}.grad', 1, folder):.4f}", flush=True)
