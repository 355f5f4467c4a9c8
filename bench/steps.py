"""The twelve training steps of bench/models beside PyTorch's and JAX's best forms: one run, alternating, each pinned to
the same cores; medians, ratios and shares of the machine's peak. See bench/README.md.

usage: steps.py GRADC [--full] [--threads 1,2] [--models a,b] [--rounds N] [--peers eager,compile,jax] [--venv DIR] [--rival GRADC]
"""
import argparse, json, pathlib, re, statistics, sys

from peer_runs import environment, peers_of, pinned, processor

HERE = pathlib.Path(__file__).resolve().parent
QUICK = ["tab_b32_sgd", "mlp_b64_sgd", "lenet_b64_sgd", "gptmini_b16_adam"]
IMAGES = ("lenet", "resnet")  # networks that PyTorch may prefer with channels last


def gradc(tool, model, threads):
    # No --threads: all of them decide how many of the pinned cores a step is worth.
    rounds = 300 if model.startswith("tab") else 60 if model.startswith(("mlp", "lenet")) else 11
    return json.loads(pinned([tool, "bench", HERE / f"models/{model}.grad", "--json", "--rounds", rounds], threads))


def peer(python, name, model, threads):
    """The median of the peer's better layout, ms."""
    script = HERE / ("peers/jax_steps.py" if name == "jax" else "peers/torch_steps.py")
    mode = [] if name == "jax" else [name, threads]
    layouts = [[], ["-cl"]] if name != "jax" and model.startswith(IMAGES) else [[]]
    medians = [re.search(r"med\s+([\d.]+)", pinned([python, script, *mode, model, *l], threads)) for l in layouts]
    return min(float(m.group(1)) for m in medians)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("gradc")
    a.add_argument("--full", action="store_true", help="all twelve steps, not four")
    a.add_argument("--models", type=lambda s: s.split(","), help="these steps")
    a.add_argument("--threads", default="1,2")
    a.add_argument("--rounds", type=int, default=3)
    a.add_argument("--peers", default="eager,compile,jax", help="of eager, compile, jax; empty for none")
    a.add_argument("--venv", type=pathlib.Path, default=HERE / "venv")
    a.add_argument("--rival", help="another gradc, for comparing two builds")
    o = a.parse_args()
    every = sorted(p.stem for p in (HERE / "models").glob("*.grad"))
    models = o.models or (every if o.full else QUICK)
    if unknown := set(models) - set(every):
        sys.exit(f"no such step: {', '.join(sorted(unknown))}; there are {', '.join(every)}")
    peers = peers_of(o.peers)
    python = environment(o.venv, peers)
    columns = ["gradc", *(["rival"] if o.rival else []), *peers]
    print(f"{processor()}; medians of {o.rounds} alternating rounds, ms a step\n")
    print(f"| step | threads | {' | '.join(columns)} | fastest peer / gradc | share of peak | kernels |\n|{'---|' * (len(columns) + 5)}")
    ratios = {}
    for threads in map(int, o.threads.split(",")):
        for model in models:
            times, runs = {c: [] for c in columns}, []
            for _ in range(o.rounds):
                runs.append(gradc(o.gradc, model, threads))
                times["gradc"].append(runs[-1]["step_ms"])
                if o.rival:
                    times["rival"].append(gradc(o.rival, model, threads)["step_ms"])
                for p in peers:
                    times[p].append(peer(python, p, model, threads))
            m = {c: statistics.median(t) for c, t in times.items()}
            share = statistics.median(r["share_of_peak"] for r in runs)
            if peers:
                ratios.setdefault(threads, []).append(min(m[p] for p in peers) / m["gradc"])
            ratio = f"{ratios[threads][-1]:.2f}" if peers else "-"
            print(f"| {model} | {threads} | {' | '.join(f'{m[c]:.4g}' for c in columns)} | {ratio} | {100 * share:.0f} % | {runs[0]['kernels']} |", flush=True)
    for threads, r in ratios.items():
        print(f"\n{threads} thread{'s' if threads > 1 else ''}: geometric mean {statistics.geometric_mean(r):.2f} times the fastest peer's speed")


main()
