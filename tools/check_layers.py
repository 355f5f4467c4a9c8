"""Compares the #include lines of every folder with the layer table of docs/architecture.md; prints what breaks it."""
import pathlib, re, sys

LIBRARY = ["support", "ir", "frontend", "passes", "codegen", "runtime", "pictures", "driver"]
ALLOWED = {
    "support": {"support"},
    "ir": {"ir", "support"},
    "frontend": {"frontend", "ir", "support"},
    "passes": {"passes", "ir", "support"},
    "codegen": {"codegen", "ir", "support"},
    "runtime": {"runtime"},
    "pictures": {"pictures", "runtime"},
    "driver": {"driver", "frontend", "passes", "codegen", "runtime", "pictures", "ir", "support"},
    "tools": set(LIBRARY) | {"tools"},
    "tests": set(LIBRARY) | {"agree", "fuzz", "layouts", "model", "ops", "twelve"},
}
ALSO = {"codegen": {"runtime/abi.h", "runtime/program.h"}}
root = pathlib.Path(__file__).resolve().parent.parent
bad = 0
for folder, allowed in ALLOWED.items():
    for path in sorted((root / folder).rglob("*")):
        if path.suffix not in (".h", ".cpp"):
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            m = re.match(r'\s*#include\s+(["<])([^">]+)[">]', line)
            if not m:
                continue
            name, quoted = m.group(2), m.group(1) == '"'
            top = name.split("/")[0]
            llvm = top in ("llvm", "llvm-c") and folder != "codegen"
            wrong = quoted and top not in allowed and name not in ALSO.get(folder, set())
            if llvm or wrong:
                print(f"{path.relative_to(root)}:{number}: {folder}/ may not include {name}")
                bad += 1
sys.exit(1 if bad else 0)
