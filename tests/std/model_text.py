"""Samples of model text: a small model around an expression, what it is given, what NumPy, SciPy or JAX say of it."""

import pathlib
import re
import sys

import jax
import jax.numpy as jnp
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "ops"))
from sample_text import line, out, type_of  # noqa: E402

random = np.random.default_rng(7)
TRAIN = (
    "data d {{ train = csv(\"none.csv\", {fields}) }}\n"
    "layer gradient{{}}(p: [...], g: [...], lr, step) -> p {{ p = g }}\n"  # the parameter after a step is its gradient
    "train t on d {{ loss = {loss}\n {more}optimizer = {optimizer}; lr = {lr}; batch = 16 }}"
)


def sample(kind, name, text, given, want, compare):
    out.append(f"{kind} {name}")
    out.extend("text " + t for t in text.splitlines())
    out.extend(line("in " + n, np.asarray(a)) for n, a in given.items())
    out.extend(line("out " + n, np.asarray(r)) for n, r in want.items())
    out.append(f"compare {compare}\n")


def some(*shape, low=-2.0, high=2.0):
    return np.round(random.uniform(low, high, shape), 3)


def input_type(a):
    t = type_of(a)
    return t[: t.index("[") + 1] + ", ".join(["B"] + [str(n) for n in a.shape[1:]]) + "]"


def formals(inputs):
    return ", ".join(f"{n}: {input_type(a)}" for n, a in inputs.items())


def columns(name, a):
    if a.ndim == 1:
        return f'column("{name}", {type_of(a)[:3]})'
    typed = [] if a.dtype.kind == "f" else [type_of(a)[:3]]
    return "columns(" + ", ".join([f'"{name}{i}"' for i in range(a.shape[1])] + typed) + ")"


def value(name, body, inputs, results, state={}, compare="near 1e-13 1e-15", before="", kind="predict"):
    """The named results of a model with these statements; the first axis of every input is the batch."""
    results = results if isinstance(results, dict) else {"r": results}
    results = {n: np.asarray(r) for n, r in results.items()}
    body = body if re.match(r"\w+(\[.*?\])?(, \w+)* [-+*/]?= |if |repeat |scan |param |const |h: ", body) else f"r = {body}"
    body = body.replace("\n", "\n  ")
    text = f"{before}model t({formals(inputs)}) -> ({', '.join(results)}) {{\n  {body}\n}}"
    sample(kind, name, text, {**inputs, **state}, results, compare)


def trained(name, body, inputs, params, loss, f, data={}, compare="near 1e-12 1e-14", paths={}, more="", before="",
            held={}, stored={}):
    """The loss of one step and its gradients. `f(params, inputs and data)` is the loss by JAX. `params` are declared in
    the model, but those with a path, which layers own; `held` is what else is given: states, step; `stored` what states hold after the step."""
    declared = "".join(f"param {n}: [{', '.join(map(str, p.shape))}] = 0\n" for n, p in params.items() if n not in paths)
    fields = ", ".join(f"{n} = {columns(n, a)}" for n, a in {**inputs, **data}.items())
    text = (
        f"{before}model t({formals(inputs)}) -> (r: [...]) {{\n{declared}{body}\n}}\n"
        + TRAIN.format(fields=fields, loss=loss, more=more, optimizer="gradient{}", lr=1)
    )
    params = {n: jnp.asarray(p) for n, p in params.items()}
    want, grads = jax.value_and_grad(f)(params, {**inputs, **data})
    state = {paths.get(n, n): np.asarray(p) for n, p in params.items()}
    after = {paths.get(n, n): np.asarray(g) for n, g in grads.items()}
    sample("train", name, text, {**inputs, **data, **held, **state}, {"loss": np.asarray(want), **after, **stored}, compare)


def both(name, expression, f, a, statements="", compare="near 1e-12 1e-14"):
    """The values of a function at a (the gradient of k) and its gradient, through sum(f(a) * k)."""
    k = some(*np.asarray(f(a)).shape, low=0.5)
    z = np.zeros(1)
    trained(name, f"{statements}r = sum(({expression}) * k) + 0 * z[0]", {"z": z}, {"a": a, "k": k}, "mean(z) * 0 + r",
            lambda p, _: jnp.sum(f(p["a"]) * p["k"]), compare=compare)
