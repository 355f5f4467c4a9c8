"""Gradc beside PyTorch and JAX: one run, alternating, medians, the same pinned threads. See bench/README.md.

usage: compare.py GRADC [--rounds N] [--threads 1,2] [--models a,b] [--no-compile] [--venv DIR]
"""
import argparse, json, os, pathlib, platform, statistics, subprocess, sys

HERE = pathlib.Path(__file__).resolve().parent
MODELS = ["tab_b32_sgd", "tab_b32_adam", "mlp_b64_sgd", "mlp_b64_adam", "mlp_b256_sgd", "mlp_b256_adam"]


def environment(folder):
    python = folder / "bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([folder / "bin/pip", "install", "-q", "torch", "jax", "numpy"], check=True)
    return python


class Worker:
    """A peer in a process of its own, pinned to the cores."""

    def __init__(self, command, cores):
        env = dict(os.environ, OMP_NUM_THREADS=str(len(cores)))
        self.p = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env, preexec_fn=lambda: os.sched_setaffinity(0, cores))

    def time(self, model, threads):
        self.p.stdin.write(f"{model} {threads}\n")
        self.p.stdin.flush()
        line = self.p.stdout.readline()
        if not line:
            sys.exit(f"a peer ended: {self.p.args}")
        return float(line)


def gradc(tool, model, threads, cores):
    command = [tool, "bench", HERE / f"models/{model}.grad", "--threads", threads, "--json", "--rounds", 300 if "tab" in model else 60]
    out = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True, preexec_fn=lambda: os.sched_setaffinity(0, cores))
    return json.loads(out.stdout)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("gradc")
    a.add_argument("--rounds", type=int, default=7)
    a.add_argument("--threads", default="1,2")
    a.add_argument("--models", default=",".join(MODELS))
    a.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    a.add_argument("--venv", type=pathlib.Path, default=HERE / "venv")
    o = a.parse_args()
    python = environment(o.venv)
    cpu = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), platform.machine())
    versions = subprocess.run([python, "-c", "import torch, jax; print('torch', torch.__version__, 'jax', jax.__version__)"], capture_output=True, text=True).stdout.strip()
    print(f"{cpu}; {versions}; medians of {o.rounds} alternating rounds, ms a step\n")
    print("| step | threads | gradc | eager | compile | jax | ratio to eager | to the fastest | share of peak |\n|---|---|---|---|---|---|---|---|---|")
    for threads in map(int, o.threads.split(",")):
        cores = set(sorted(os.sched_getaffinity(0))[:threads])
        peers = {"eager": Worker([python, HERE / "peers/torch_worker.py", "eager"], cores), "jax": Worker([python, HERE / "peers/jax_worker.py"], cores)}
        if not o.no_compile:
            peers["compile"] = Worker([python, HERE / "peers/torch_worker.py", "compile"], cores)
        for model in o.models.split(","):
            times, share = {k: [] for k in ["gradc", *peers]}, []
            for _ in range(o.rounds):
                j = gradc(o.gradc, model, threads, cores)
                times["gradc"].append(j["step_ms"])
                share.append(j["share_of_peak"])
                for name, w in peers.items():
                    times[name].append(w.time(model, threads))
            m = {k: statistics.median(v) for k, v in times.items()}
            best = min(v for k, v in m.items() if k != "gradc")
            cell = lambda k: f"{m[k]:.4f}" if k in m else "-"
            print(f"| {model} | {threads} | {m['gradc']:.4f} | {cell('eager')} | {cell('compile')} | {cell('jax')} | {m['eager'] / m['gradc']:.2f} | {best / m['gradc']:.2f} | {100 * statistics.median(share):.0f} % |", flush=True)
        for w in peers.values():
            w.p.kill()


main()
