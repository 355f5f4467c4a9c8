"""Programs of examples/ beside the same training in PyTorch and JAX: ms a step, loading and changing its data included,
parameters, and the mean loss of the last epoch that was run. See bench/README.md.

usage: programs.py GRADC [--full] [--only a,b] [--threads 1,2 [--choose]] [--rounds N] [--peers eager,compile,jax] [--data DIR] [--venv DIR]
"""
import argparse, json, pathlib, statistics, sys, tempfile

from peer_runs import environment, peers_of, pinned, processor

HERE = pathlib.Path(__file__).resolve().parent
# Steps of an epoch, and epochs. Where an epoch is short it is whole, and the first of several warms up; of a long one
# these are the first steps, with --full at most so many as stand third.
STEPS = {
    "lenet": (400, 1, 859), "resnet": (24, 1, 140), "autoencoder": (400, 1, 859), "vae": (800, 1, 859),
    "charlstm": (40, 1, 490), "gpt": (60, 1, 980), "speech_words": (76, 4, 76), "speech_ctc": (76, 3, 76),
    "pinn": (157, 40, 157), "gan": (200, 1, 937), "finetune": (10, 20, 10), "titanic_like": (33, 40, 33),
}  # fmt: skip
SETTINGS = {"finetune": ["--from-scratch"]}  # instead of weights of another run; the steps are the same
# torch.compile takes no gradient within a loss; the CTC loss is not written in JAX.
MISSING = {("compile", "pinn"), ("compile", "gan"), ("jax", "speech_ctc")}


def amount(name, full):
    steps, epochs, most = STEPS[name]
    return (min(most, 5 * steps // 2), 1) if full and epochs == 1 else (steps, 2 * epochs if full else epochs)


def gradc(o, name, threads, steps, epochs):
    """What a training of the file itself says: ms a step without validation, losses, parameters, rows, planned steps."""
    file = HERE.parent / f"examples/{name}.grad"
    rows = [] if epochs > 1 else ["--limit-train", steps * batch_of(file)]
    with tempfile.TemporaryDirectory() as folder:
        command = [o.gradc, "train", file, "--data", o.data, "--log-format=json", "--max-steps", steps * epochs]
        command += [] if o.choose else ["--threads", threads]
        lines = pinned([*command, *rows, "--run", f"{folder}/run", *SETTINGS.get(name, [])], threads).splitlines()
        record = json.loads(pathlib.Path(f"{folder}/run/run.json").read_text())
    events = [json.loads(l) for l in lines]
    start, ends = events[0], [e for e in events if e["event"] == "epoch"]
    if len(ends) != epochs:
        sys.exit(f"{name}: {len(ends)} epochs of {steps} steps, not {epochs}: programs.py does not fit the file")
    losses = [v for k, v in ends[-1].items() if k.startswith("train.") and k.endswith("loss")]
    ms = statistics.mean(e["train_ms"] for e in (ends[1:] or ends))
    return {"ms": ms, "losses": losses, "parameters": start["parameters"], "batch": start["batch"], "rows": start["train_rows"], "total": record["planned_steps"]}


def batch_of(file):
    return int(file.read_text().split("batch = ")[1].split(";")[0])


def peer(python, which, name, threads, steps, epochs, data, like):
    script = "jax_train.py" if which == "jax" else "torch_train.py"
    mode = [] if which == "jax" else [which, threads]
    size = ["--steps", steps, "--epochs", epochs, "--batch", like["batch"], "--rows", like["rows"], "--total", like["total"]]
    return json.loads(pinned([python, HERE / "peers/programs" / script, *mode, name, *size, "--data", data], threads).splitlines()[-1])


def measure(o, python, name, threads):
    """For each column what its rounds gave."""
    runs, (steps, epochs) = {}, amount(name, o.full)
    for _ in range(o.rounds):
        ours = gradc(o, name, threads, steps, epochs)
        runs.setdefault("gradc", []).append(ours)
        for which in o.peers:
            if (which, name) not in MISSING:
                runs.setdefault(which, []).append(peer(python, which, name, threads, steps, epochs, o.data, ours))
    return runs


def row(name, threads, runs, columns):
    """A line of the table, and how many times as long as Gradc the fastest peer takes."""
    ms = {c: statistics.median(r["ms"] for r in runs[c]) for c in columns if c in runs}
    losses = ", ".join("/".join(f"{l:.3g}" for l in runs[c][-1]["losses"]) if c in runs else "-" for c in columns)
    counts = {r[-1]["parameters"] for r in runs.values()}
    counts = f"{counts.pop():,}" if len(counts) == 1 else " != ".join(f"{c:,}" for c in counts)
    spread = max(r["ms"] for r in runs["gradc"]) / min(r["ms"] for r in runs["gradc"])
    ratio = min(v for c, v in ms.items() if c != "gradc") / ms["gradc"] if len(ms) > 1 else None
    cells = [f"{ms[c]:.3g}" if c in ms else "-" for c in columns]
    print(f"| {name} | {threads} | {' | '.join(cells)} | {f'{ratio:.2f}' if ratio else '-'} | {spread:.2f} | {counts} | {losses} |", flush=True)
    return ratio


def main():
    a = argparse.ArgumentParser()
    a.add_argument("gradc")
    a.add_argument("--full", action="store_true", help="two and a half times as many steps, three rounds")
    a.add_argument("--only", type=lambda s: s.split(","), default=list(STEPS), help="these programs")
    a.add_argument("--threads", default="1,2")
    a.add_argument("--choose", action="store_true", help="Gradc decides how many of the cores pay: on an idle machine")
    a.add_argument("--rounds", type=int)
    a.add_argument("--peers", type=peers_of, default=["eager", "jax"], help="of eager, compile, jax (eager,jax); empty for none")
    a.add_argument("--data", type=pathlib.Path, default=HERE.parents[1] / "shared/data")
    a.add_argument("--venv", type=pathlib.Path, default=HERE / "venv")
    o = a.parse_args()
    o.rounds = o.rounds or (3 if o.full else 2)
    if unknown := set(o.only) - set(STEPS):
        sys.exit(f"no such program: {', '.join(sorted(unknown))}; there are {', '.join(STEPS)}")
    python = environment(o.venv, o.peers)
    columns, ratios = ["gradc", *o.peers], {}
    print(f"{processor()}; medians of {o.rounds} alternating rounds, ms a step\n")
    print(f"| program | threads | {' | '.join(columns)} | fastest peer / gradc | gradc's most / least | parameters | losses |\n|{'---|' * (len(columns) + 6)}")
    for threads in map(int, o.threads.split(",")):
        for name in o.only:
            ratio = row(name, threads, measure(o, python, name, threads), columns)
            ratios.setdefault(threads, []).extend([ratio] if ratio else [])
    for threads, r in ratios.items():
        if r:
            print(f"\n{threads} thread{'s' if threads > 1 else ''}: geometric mean {statistics.geometric_mean(r):.2f} times the fastest peer's speed, least {min(r):.2f}")


main()
