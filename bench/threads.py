"""Steps with one thread, all, the default and 1,024, idle and beside a busy neighbour. See bench/README.md.

usage: threads.py GRADC [--rounds N] [--seconds S] [--models a,b] [--threads 1,2,default,1024]
"""
import argparse, json, os, pathlib, subprocess, sys

HERE = pathlib.Path(__file__).resolve().parent
# Each name with a batch of its own; 0 keeps the file's. From 3 microseconds to about a second.
STEPS = [("examples/diabetes", 0), ("examples/breast_cancer", 0), ("bench/models/tab_b32_adam", 0), ("examples/digits", 0), ("bench/models/tab_b32_sgd", 1024), ("bench/models/mlp_b64_sgd", 0), ("bench/models/mlp_b256_adam", 0), ("bench/models/mlp_b256_sgd", 4096), ("bench/models/mlp_b256_sgd", 32768)]


class Neighbour:
    """A busy loop that may run on the last of our cores alone."""

    def __enter__(self):
        core = max(os.sched_getaffinity(0))
        self.p = subprocess.Popen([sys.executable, "-c", "while True: pass"], preexec_fn=lambda: os.sched_setaffinity(0, {core}))

    def __exit__(self, *_):
        self.p.kill()
        self.p.wait()


def mean_ms(tool, model, batch, threads, rounds):
    command = [tool, "bench", HERE.parent / f"{model}.grad", "--json", "--rounds", rounds]
    command += ["--batch", batch] if batch else []
    command += ["--threads", threads] if threads != "default" else []
    return json.loads(subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True).stdout)["mean_ms"]


def main():
    a = argparse.ArgumentParser()
    a.add_argument("gradc")
    a.add_argument("--rounds", type=int, default=3)
    a.add_argument("--seconds", type=float, default=1, help="about how long the steps of one measurement take with one thread")
    a.add_argument("--models", default="", help="only these, by the last part of their names")
    a.add_argument("--threads", default="1,2,default,1024")
    o = a.parse_args()
    threads = o.threads.split(",")
    print("| step | batch | neighbour | one thread, ms |" + "".join(f" {t} |" for t in threads if t != "1") + "\n|---|---|---|---|" + "---|" * (len(threads) - 1))
    for model, batch in STEPS:
        name = model.split("/")[-1]
        if o.models and name not in o.models.split(","):
            continue
        rounds = max(20, min(200000, int(o.seconds * 1e3 / mean_ms(o.gradc, model, batch, 1, 20))))
        for busy in [False, True]:
            times = {t: [] for t in threads}
            for _ in range(o.rounds):
                for t in threads:
                    # What costs a multiple already costs it in fewer steps.
                    n = max(20, rounds // 20) if t not in ("1", "default") else rounds
                    if busy:
                        with Neighbour():
                            times[t].append(mean_ms(o.gradc, model, batch, t, n))
                    else:
                        times[t].append(mean_ms(o.gradc, model, batch, t, n))
            one = min(times["1"])
            ratios = "".join(f" {min(v) / one:.2f} to {max(v) / one:.2f} |" for t, v in times.items() if t != "1")
            print(f"| {name} | {batch or 'own'} | {'busy' if busy else '-'} | {one:.4f} |{ratios}", flush=True)


main()
