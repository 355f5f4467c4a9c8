"""An example program trained by PyTorch as bench/programs.py asks; one line of JSON: parameters, ms a step, losses.

usage: torch_train.py MODE THREADS NAME [--steps N] [--epochs N] [--batch N] [--rows N] [--total N] [--data DIR]
MODE: eager, or compile (torch.compile of loss and gradient; the optimiser is fused in both)
"""
import argparse, json, time

import torch

import data, torch_pictures, torch_sequences, torch_tables

PROGRAMS = {**torch_pictures.PROGRAMS, **torch_sequences.PROGRAMS, **torch_tables.PROGRAMS}


def compiled(program):
    program.loss = torch.compile(program.loss, dynamic=False)
    return program


def make(o, channels_last=False):
    torch.manual_seed(1)
    program = PROGRAMS[o.name](o)
    program.channels_last = channels_last
    if channels_last:
        program.model.to(memory_format=torch.channels_last)
    return compiled(program) if o.mode == "compile" else program


def train_epoch(program, o, step, untimed=0):
    """The mean loss, and the ms of a step without the first `untimed`."""
    losses, start = [], time.perf_counter()
    for batch in program.batches(o.rows, o.batch):
        if len(losses) == untimed:
            start = time.perf_counter()
        program.set_rate(data.rate(o.name, step + len(losses), o.total))
        losses.append(program.step(program.prepare(batch)))
        if len(losses) == o.steps:
            break
    ms = 1e3 * (time.perf_counter() - start) / max(1, len(losses) - untimed)
    return torch.stack(losses).double().mean(0), ms, len(losses)


def faster_layout(o):
    """Whether channels last is faster here: networks of pictures may prefer it."""
    brief = argparse.Namespace(**{**vars(o), "steps": 12})
    times = [train_epoch(make(brief, last), brief, 0, untimed=4)[1] for last in (False, True)]
    return times[1] < times[0]


def main():
    a = argparse.ArgumentParser()
    a.add_argument("mode", choices=["eager", "compile"])
    a.add_argument("threads", type=int)
    o = data.arguments(a)
    torch.set_num_threads(o.threads)
    program = make(o, o.name in torch_pictures.PROGRAMS and faster_layout(o))
    # One epoch: its first steps warm up. Several: the first one does.
    step, times = 0, []
    for epoch in range(o.epochs):
        loss, ms, done = train_epoch(program, o, step, untimed=min(8, o.steps // 2) if o.epochs == 1 else 0)
        step += done
        times.append(ms)
    timed = times[1:] or times
    print(json.dumps({"parameters": program.parameters(), "ms": sum(timed) / len(timed), "losses": loss.reshape(-1).tolist(), "steps": step, "channels_last": program.channels_last}))


main()
