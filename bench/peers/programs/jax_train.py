"""An example program trained by JAX as bench/programs.py asks; one line of JSON: parameters, ms a step, losses.

usage: jax_train.py NAME [--steps N] [--epochs N] [--batch N] [--rows N] [--total N] [--data DIR]
"""
import argparse, json, math, time

import jax, jax.numpy as jnp, numpy as np
from jax import lax

import data, jax_pictures, jax_sequences, jax_tables
from jax_program import one_update

PROGRAMS = {**jax_pictures.PROGRAMS, **jax_sequences.PROGRAMS, **jax_tables.PROGRAMS}


def orders(program, o, random):
    """The rows of each batch of an epoch, i32 [steps, batch]; a last batch that is short begins again."""
    if program.order:
        return program.order(o)
    rows = random.permutation(o.rows).astype(np.int32)
    return np.resize(rows, (math.ceil(o.rows / o.batch), o.batch))[: o.steps]


def calls(program, o):
    """A function of state, first step, rates, data, rows of several batches and key, for as many steps."""
    step = program.step or one_update(program)

    def scan(state, first, rates, data, rows, key):
        def body(state, x):
            return step(state, first + x[2], x[0], data, x[1], jax.random.fold_in(key, x[2]))

        return lax.scan(body, state, (rates, rows, jnp.arange(len(rates))))

    single = jax.jit(lambda state, n, rate, data, rows, key: step(state, n, rate, data, rows, jax.random.fold_in(key, n)), donate_argnums=0)

    def loop(state, first, rates, data, rows, key):
        losses = []
        for i in range(len(rates)):
            state, loss = single(state, np.int32(first + i), rates[i], data, rows[i], key)
            losses.append(np.asarray(loss))  # which waits: calls that are queued slow each other down
        return state, np.stack(losses)

    return jax.jit(scan, donate_argnums=0) if program.scanned else loop


def main():
    o = data.arguments(argparse.ArgumentParser())
    program, random = PROGRAMS[o.name](o), np.random.default_rng(2)
    parameters = program.parameters()
    state, call, key = (program.params, program.update[0](program.params), program.aux), calls(program, o), jax.random.key(3)
    arrays = jax.tree_util.tree_map(jnp.asarray, program.data)

    def run(state, first, rows):
        rates = np.array([data.rate(o.name, first + i, o.total) for i in range(len(rows))], np.float32)
        return call(state, np.int32(first) if program.scanned else first, rates, arrays, rows, key)

    # One epoch: its first steps warm up. Several: the first one does.
    step, times, losses = 0, [], []
    for epoch in range(o.epochs):
        start, rows, losses = time.perf_counter(), orders(program, o, random), []
        if o.epochs == 1:
            warm = min(8, o.steps // 2)
            state, l = run(state, 0, rows[:warm])
            losses.append(np.asarray(l))
            start, step, rows = time.perf_counter(), warm, rows[warm:]
        state, l = run(state, step, rows)
        losses.append(np.asarray(jax.block_until_ready((state, l))[1]))
        times.append(1e3 * (time.perf_counter() - start) / len(rows))
        step += len(rows)
    timed = times[1:] or times
    print(json.dumps({"parameters": parameters, "ms": sum(timed) / len(timed), "losses": np.concatenate(losses).mean(0).reshape(-1).tolist(), "steps": step}))


main()
