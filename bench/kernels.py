#!/usr/bin/env python3
"""Kernels alone, in a sweep: what share of the machine each reaches, as tables sorted by share.

usage: kernels.py GRADC [--threads 1] [--quick|--full] [--only KIND] [--seed N]

Contractions and convolutions: share of the multiply-add peak. All others: the time that a copy (of what is read and
written) and a read or write (of what is read or written beyond that) of as many bytes take, or the arithmetic at the
rate of multiply-adds if that takes more, over the time measured. All in one run, pinned.
Beside contractions, alternating, what this Python has of: the OpenBLAS of numpy, oneDNN (`pip install onednn-cpu-gomp`),
`torch.mm`. The first two are called without Python.
"""
import argparse, importlib.util, json, math, os, pathlib, statistics, subprocess, sys, tempfile, time

import kernel_cases

HERE = pathlib.Path(__file__).resolve().parent
MEDIANS = 3  # of runs, each the median of many calls; one where 11 calls take
LONG_MS = 20  # each
RUN_MS = 50  # that a run takes about
SAMPLE_NS = 5000  # for which the time is asked once, of several calls
NOISY = 1.05
ARITHMETIC = ("contraction", "convolution")


class Server:
    """A process that answers lines with numbers."""

    def __init__(self, command, **environment):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment})

    def ask(self, *words):
        print(*words, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"{self.process.args} gave no answer to {words}")
        return float(answer)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def serve_torch():
    """Milliseconds of a product, the median of `rounds` calls, for each line `role m n k rounds`."""
    import torch
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    for line in sys.stdin:
        role, *numbers = line.split()
        m, n, k, rounds = map(int, numbers)
        a, b, c = torch.rand((k, m) if role == "TN" else (m, k)) - 0.5, torch.rand((n, k) if role == "NT" else (k, n)) - 0.5, torch.empty((m, n))
        a, b = a.T if role == "TN" else a, b.T if role == "NT" else b
        times, calls = [], 1
        for r in range(-5, rounds):
            start = time.perf_counter_ns()
            for _ in range(calls):
                torch.mm(a, b, out=c)
            took = time.perf_counter_ns() - start
            times.append(took / calls)
            if r == -1:  # as gradc does it
                calls = math.ceil(SAMPLE_NS / max(took, 10))
        print(statistics.median(times[5:]) / 1e6, flush=True)


def peers_here():
    """(name, library, symbol), of torch the name alone: what of them this Python has."""
    found = []
    numpy = importlib.util.find_spec("numpy")
    if numpy:
        libraries = sorted((pathlib.Path(numpy.origin).parent.parent / "numpy.libs").glob("*openblas*.so*"))
        found += [("OpenBLAS", str(l), "scipy_cblas_sgemm64_" if "64" in l.name else "scipy_cblas_sgemm") for l in libraries[:1]]
    found += [("oneDNN", str(l), "dnnl_sgemm") for l in sorted(pathlib.Path(sys.prefix, "lib").glob("libdnnl.so"))]
    return found + ([("torch.mm", "", "")] if importlib.util.find_spec("torch") else [])


class Bench:
    def __init__(self, tool, threads, folder):
        allowed = sorted(os.sched_getaffinity(0))
        if threads > len(allowed):
            sys.exit(f"{threads} threads, and only {len(allowed)} cores may be used")
        self.tool, self.threads, self.folder = tool, threads, folder
        self.pin = ["taskset", "-c", ",".join(map(str, allowed[-threads:]))]
        helper = folder / "machine"
        subprocess.run([os.environ.get("CXX", "c++"), "-O3", "-march=native", "-std=c++20", "-pthread", HERE / "machine.cpp", "-o", helper], check=True)
        self.machine = Server([*self.pin, helper])
        products = folder / "products"
        subprocess.run([os.environ.get("CXX", "c++"), "-O2", "-std=c++20", HERE / "products.cpp", "-o", products, "-ldl"], check=True)
        count = {f"{library}_NUM_THREADS": str(threads) for library in ("OPENBLAS", "OMP", "MKL")}
        self.peers = {name: Server([*self.pin, *([products, library, symbol] if library else [sys.executable, __file__, "--serve-torch"])], **count)
                      for name, library, symbol in peers_here()}
        self.peaks = []
        self.level_sizes = cache_sizes()

    def close(self):
        for server in (self.machine, *self.peers.values()):
            server.close()

    def measure_peak(self):
        self.peaks.append(self.machine.ask("peak", self.threads))

    def time(self, case, rounds):
        path = self.folder / "case.ir"
        path.write_text(case.text)
        command = [*self.pin, self.tool, "bench", path, "--function", "f", "--threads", self.threads, "--json", "--rounds", rounds]
        out = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        if out.returncode:
            raise RuntimeError(f"{case.name}: {out.stderr.strip()[:300]}")
        return json.loads(out.stdout)["step_ms"]

    def best_ms(self, case):
        """What copying and reading or writing as many bytes take here and now."""
        moved, beyond = 2 * min(case.read, case.written), abs(case.read - case.written)
        ms = moved / self.machine.ask("copy", self.threads, case.read + case.written) / 1e6
        if beyond:
            rate = self.machine.ask("read" if case.read > case.written else "write", self.threads, case.read + case.written)
            ms += beyond / rate / 1e6
        return ms

    def measure(self, case):
        estimate = max(self.time(case, 11), 1e-4)
        rounds = min(max(int(RUN_MS / estimate), 11), 20000)
        ours, theirs, bound = [], {name: [] for name in self.peers if case.blas}, []
        for _ in range(MEDIANS if estimate < LONG_MS else 1):
            ours.append(self.time(case, rounds))
            for name, times in theirs.items():
                times.append(self.peers[name].ask(*case.blas, rounds))
            if not case.operations:
                bound.append(self.best_ms(case))
        # Of the machine's rates the best: a moment that a neighbour spoiled must not flatter the kernel.
        return {"case": case, "ms": statistics.median(ours), "peers": {name: statistics.median(times) for name, times in theirs.items()},
                "bound_ms": min(bound) if bound else None}

    def level(self, case):
        each = (case.read + case.written) / self.threads
        return next((name for name, size in self.level_sizes if each <= size), "memory")


def cache_sizes():
    """(name, bytes) of the data caches of the first core, ascending."""
    out = {}
    for index in pathlib.Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        if (index / "type").read_text().strip() != "Instruction":
            size = (index / "size").read_text().strip()
            out[f"L{(index / 'level').read_text().strip()}"] = int(size[:-1]) * {"K": 1 << 10, "M": 1 << 20}[size[-1]]
    return sorted(out.items())


def geometric_mean(values):
    return math.exp(statistics.fmean(map(math.log, values))) if values else float("nan")


def arithmetic_ms(case, peak):
    return case.slots / (peak / 2) / 1e6


def share(row, peak):
    case = row["case"]
    return case.operations / row["ms"] / 1e6 / peak if case.operations else max(row["bound_ms"], arithmetic_ms(case, peak)) / row["ms"]


def is_stem(case):
    return int(case.name.split(" to ")[0].split()[-1]) < 16


def mean_lines(kind, rows, peak):
    if kind not in ARITHMETIC:
        return [f"Geometric mean of {len(rows)}: {100 * geometric_mean([share(r, peak) for r in rows]):.0f} %."]
    groups = {"below 4 Mflop": [r for r in rows if r["case"].operations < 4e6],
              "from 4 Mflop": [r for r in rows if r["case"].operations >= 4e6]}
    if kind == "convolution":
        groups = {f"{role}, {what}": [r for r in rows if r["case"].name.startswith(role) and is_stem(r["case"]) == stem]
                  for what, stem in (("16 channels and more", False), ("stems", True)) for role in ("forward", "input gradient", "weight gradient")}
    out = []
    for name, group in groups.items():
        if group:
            line = f"Geometric mean {name}, {len(group)}: {100 * geometric_mean([share(r, peak) for r in group]):.1f} % of the peak"
            beside = {peer: geometric_mean([r["peers"][peer] / r["ms"] for r in group]) for peer in group[0]["peers"]}
            if len(beside) > 1:
                beside["the best of them for each"] = geometric_mean([min(r["peers"].values()) / r["ms"] for r in group])
            out.append("; ".join([line] + [f"{ratio:.2f} times as fast as {peer}" for peer, ratio in beside.items()]) + ".")
    return out


def table(bench, kind, rows, peak):
    rows = sorted(rows, key=lambda r: share(r, peak))
    beside = rows[0]["peers"]
    unit, of = ("Gflop/s", "peak") if kind in ARITHMETIC else ("GB/s", "bound")
    head = ["case", "µs", unit, f"share of the {of}", *(["bound by"] if of == "bound" else []), *(["best peer", "µs", "peer / gradc"] if beside else [])]
    print(f"\n## {kind}\n\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for r in rows:
        c = r["case"]
        cells = [c.name, f"{1000 * r['ms']:.4g}", f"{(c.operations or c.read + c.written) / r['ms'] / 1e6:.1f}", f"{100 * share(r, peak):.1f} %"]
        cells += ["arithmetic" if arithmetic_ms(c, peak) > r["bound_ms"] else bench.level(c)] if of == "bound" else []
        if beside:
            best = min(r["peers"], key=r["peers"].get)
            cells += [best, f"{1000 * r['peers'][best]:.4g}", f"{r['peers'][best] / r['ms']:.2f}"]
        print(f"| {' | '.join(cells)} |")
    print("\n" + "  \n".join(mean_lines(kind, rows, peak)))


def report(bench, results, floor):
    peak = max(bench.peaks)
    for kind in kernel_cases.KINDS:
        rows = [r for r in results if r["case"].kind == kind]
        if rows:
            table(bench, kind, rows, peak)
    slowest = sorted(results, key=lambda r: share(r, peak))[:10]
    print("\n## The slowest ten\n")
    for r in slowest:
        print(f"- {r['case'].kind}, {r['case'].name}: {100 * share(r, peak):.1f} %")
    print(f"\nPeak {peak:.1f} Gflop/s, the highest of {len(bench.peaks)} measured in this run, the lowest {min(bench.peaks):.1f}. "
          f"A call of an empty kernel takes {1000 * floor:.3f} µs, which every time holds.")
    if max(bench.peaks) / min(bench.peaks) > NOISY:
        print("**The machine is noisy**: its peaks differ by more than 5 %; these figures are low by as much or more.")


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("gradc", type=pathlib.Path)
    a.add_argument("--threads", type=int, default=1)
    size = a.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="12 listed shapes, 12 random ones, few sizes of the rest (default)")
    size.add_argument("--full", action="store_true", help="everything, many minutes")
    a.add_argument("--only", choices=kernel_cases.KINDS)
    a.add_argument("--seed", type=int, default=1, help="of the random shapes")
    o = a.parse_args()
    chosen = [c for c in kernel_cases.cases(not o.full, o.seed) if o.only in (None, c.kind)]
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(o.gradc.resolve(), o.threads, pathlib.Path(folder))
        cpu = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), "?")
        print(f"{cpu}, {o.threads} threads on cores {bench.pin[-1]}, {len(chosen)} cases, seed {o.seed}; beside {', '.join(bench.peers) or 'nothing: this Python has none of the peers'}")
        one = kernel_cases.f32(1)
        floor = bench.time(kernel_cases.Case("", "empty", kernel_cases.function([("x", one)], [f"y: {one}"], ["%y = neg(%x)", "%y"])), 20000)
        results, failed = [], []
        for i, case in enumerate(chosen):
            if i % 10 == 0:
                bench.measure_peak()
            if sys.stderr.isatty():
                print(f"\r\033[K{i + 1} of {len(chosen)}: {case.name}", end="", file=sys.stderr, flush=True)
            try:
                results.append(bench.measure(case))
            except RuntimeError as e:
                failed.append(str(e))
        bench.measure_peak()
        report(bench, results, floor)
        bench.close()
    for problem in failed:
        print(f"FAILED {problem}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve-torch"]:
        serve_torch()
    else:
        sys.exit(main())
