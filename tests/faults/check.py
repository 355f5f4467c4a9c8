#!/usr/bin/env python3
"""check.py GRADC FAULTS: runs the collected faults (../shared/faults, where it stands beside the project) and compares
those that fail with expected.txt beside this file: a new one is a regression, one that passes leaves the list."""
import pathlib, subprocess, sys, tempfile, venv

SKIPPED = 77

# The cases say --run run for the folder ./run, whatever is in it: as it was before runs had folders of their own.
AS_THE_CASES_SPEAK = """#!/bin/sh
before=
for word; do
  shift
  if [ "$before" = --run ]; then set -- "$@" "./$word" --overwrite; else set -- "$@" "$word"; fi
  before=$word
done
exec '%s' "$@"
"""


def interpreter(folder):
    """A Python that has what the cases need: this one, or one of a virtual environment made here."""
    for python in [sys.executable, str(folder / "bin" / "python")]:
        if subprocess.run([python, "-c", "import numpy, safetensors"], capture_output=True).returncode == 0:
            return python
        if python == sys.executable and not folder.exists():
            venv.create(folder, with_pip=True)
            subprocess.run([str(folder / "bin" / "pip"), "install", "-q", "numpy", "safetensors"], check=True)
    sys.exit("numpy and safetensors are not to be had")


def main():
    gradc, faults = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2])
    if not (faults / "run").exists():
        print(f"skipped: there is no {faults / 'run'}")
        sys.exit(SKIPPED)
    here = pathlib.Path(__file__).resolve().parent
    lines = (here / "expected.txt").read_text().splitlines()
    expected = {line.split()[0] for line in lines if line and not line.startswith("#")}
    python = interpreter(gradc.parent / "faults-venv")
    with tempfile.TemporaryDirectory() as folder:
        spoken = pathlib.Path(folder) / "gradc"
        spoken.write_text(AS_THE_CASES_SPEAK % gradc)
        spoken.chmod(0o755)
        p = subprocess.run([python, str(faults / "run"), str(spoken)], capture_output=True, text=True)
    print(p.stdout)
    failed = {line.split(":")[0] for line in p.stdout.splitlines() if ": " in line}
    for name in sorted(failed - expected):
        print(f"new: {name}")
    for name in sorted(expected - failed):
        print(f"passes now, take it off the list: {name}")
    sys.exit(failed != expected or " passed, " not in p.stdout)


if __name__ == "__main__":
    main()
