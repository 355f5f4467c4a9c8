"""The twelve training steps of bench/models beside JAX's, alternating, each pinned to its cores; medians.

usage: steps.py GRADC [--jax ../shared/peers/jax_steps.py] [--threads 1,2] [--models a,b] [--rounds N] [--rival GRADC]
"""
import argparse, json, pathlib, re, statistics, subprocess, sys

HERE = pathlib.Path(__file__).resolve().parent


def gradc(tool, model, threads, cores):
    command = ["taskset", "-c", cores, tool, "bench", HERE / f"models/{model}.grad", "--threads", threads, "--json", "--rounds"]
    rounds = 300 if model.startswith("tab") else 60 if model.startswith(("mlp", "lenet")) else 11
    out = subprocess.run([*map(str, command), str(rounds)], capture_output=True, text=True, check=True)
    return json.loads(out.stdout)


def jax(script, model, cores):
    out = subprocess.run(["taskset", "-c", cores, sys.executable, script, model], capture_output=True, text=True, check=True)
    return float(re.search(r"med\s+([\d.]+)", out.stdout).group(1))


def main():
    a = argparse.ArgumentParser()
    a.add_argument("gradc")
    a.add_argument("--jax", help="a script that prints `med MS` for a model's name")
    a.add_argument("--rival", help="another gradc, for comparing two builds")
    a.add_argument("--threads", default="1,2")
    a.add_argument("--models", default=",".join(sorted(p.stem for p in (HERE / "models").glob("*.grad"))))
    a.add_argument("--rounds", type=int, default=3)
    o = a.parse_args()
    cpu = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), "?")
    print(f"{cpu}; medians of {o.rounds} alternating rounds, ms a step\n")
    print("| step | threads | gradc | rival | jax | jax / gradc | share of peak | kernels |\n|---|---|---|---|---|---|---|---|")
    for threads in map(int, o.threads.split(",")):
        cores = ",".join(map(str, range(threads)))
        for model in o.models.split(","):
            runs, rival, peer = [], [], []
            for _ in range(o.rounds):
                runs.append(gradc(o.gradc, model, threads, cores))
                if o.rival:
                    rival.append(gradc(o.rival, model, threads, cores)["step_ms"])
                if o.jax:
                    peer.append(jax(o.jax, model, cores))
            ms = statistics.median(r["step_ms"] for r in runs)
            share = statistics.median(r["share_of_peak"] for r in runs)
            cell = lambda list_: f"{statistics.median(list_):.4g}" if list_ else "-"
            ratio = f"{statistics.median(peer) / ms:.2f}" if peer else "-"
            print(f"| {model} | {threads} | {ms:.4g} | {cell(rival)} | {cell(peer)} | {ratio} | {100 * share:.0f} % | {runs[0]['kernels']} |", flush=True)


main()
