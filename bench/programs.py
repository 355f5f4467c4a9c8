"""Programs of examples/ beside the same training in PyTorch and JAX: ms a step, its data's loading included.
See bench/README.md.

usage: programs.py GRADC [--full] [--only a,b] [--threads 1,2] [--rounds N] [--peers eager,compile,jax] [--data DIR] [--venv DIR]
"""
import argparse, json, pathlib, statistics, subprocess, sys, tempfile

from peer_runs import environment, peers_of, pinned, processor

HERE = pathlib.Path(__file__).resolve().parent
# Steps of an epoch, and epochs: of programs with short epochs all of these, with several of which the first one warms up.
STEPS = {
    "lenet": (400, 1), "resnet": (24, 1), "autoencoder": (400, 1), "vae": (800, 1), "charlstm": (40, 1), "gpt": (60, 1),
    "speech_words": (76, 4), "speech_ctc": (76, 3), "pinn": (157, 40), "gan": (200, 1), "finetune": (10, 20),
    "titanic_like": (33, 40),
}  # fmt: skip
LONGEST = {"lenet": 859, "resnet": 140, "autoencoder": 859, "vae": 859, "charlstm": 490, "gpt": 980, "gan": 937}  # steps of a whole epoch
JAX = json.loads(subprocess.run([sys.executable, HERE / "peers/programs/names.py"], capture_output=True, text=True).stdout) if False else None


def amount(name, full):
    steps, epochs = STEPS[name]
    if full and epochs == 1:
        return min(LONGEST[name], 5 * steps // 2), 1
    return steps, epochs * 2 if full else epochs


main()
