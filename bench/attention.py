"""Attention, forward and backward, from 64 to 4,096 tokens: gradc with and without its tasks, beside JAX; ms, the
arithmetic rate and the memory for temporaries. 4,096 tokens a step, 8 heads of 64, f32.

usage: attention.py GRADC [--causal] [--lengths 64,256,1024,4096] [--threads N] [--rounds N] [--no-jax]
"""
import argparse, json, re, subprocess, sys, tempfile

TOKENS, HEADS, WIDTH = 4096, 8, 64

IR = """func @loss[B <= {b} plan {b}](%q: f32[B,{t},{h},{d}], %k: f32[B,{t},{h},{d}], %v: f32[B,{t},{h},{d}]) -> (loss: f32[]) {{
  %all = einsum(%q, %k) {{spec="bihc,bjhc->bhij"}}
{mask}  %top = reduce_max(%s) {{axes=[3]}}
  %stop = stop_gradient(%top)
  %tops = broadcast(%stop) {{dims=[0,1,2], shape=[B,{h},{t},{t}]}}
  %less = sub(%s, %tops)
  %e = exp(%less)
  %total = reduce_sum(%e) {{axes=[3]}}
  %totals = broadcast(%total) {{dims=[0,1,2], shape=[B,{h},{t},{t}]}}
  %a = div(%e, %totals)
  %y = einsum(%a, %v) {{spec="bhij,bjhc->bihc"}}
  %z = mul(%y, %y)
  %loss = reduce_sum(%z) {{axes=[0,1,2,3]}}
  return %loss
}}

func @f[B <= {b} plan {b}](%q: f32[B,{t},{h},{d}], %k: f32[B,{t},{h},{d}], %v: f32[B,{t},{h},{d}]) -> (loss: f32[], dq: f32[B,{t},{h},{d}], dk: f32[B,{t},{h},{d}], dv: f32[B,{t},{h},{d}]) {{
  %all: (f32[], f32[B,{t},{h},{d}], f32[B,{t},{h},{d}], f32[B,{t},{h},{d}]) = value_and_grad(%q, %k, %v) {{function=@loss, wrt=[0,1,2]}}
  %loss = get(%all) {{index=0}}
  %dq = get(%all) {{index=1}}
  %dk = get(%all) {{index=2}}
  %dv = get(%all) {{index=3}}
  return %loss, %dq, %dk, %dv
}}
"""

MASK = """  %row = iota() {{axis=0, dtype=i32, shape=[{t},{t}]}}
  %column = iota() {{axis=1, dtype=i32, shape=[{t},{t}]}}
  %before = le(%column, %row)
  %mask = broadcast(%before) {{dims=[2,3], shape=[B,{h},{t},{t}]}}
  %low = constant() {{dtype=f32, shape=[B,{h},{t},{t}], value=-inf}}
  %s = select(%mask, %all, %low)
"""


def text(length, causal):
    sizes = {"b": TOKENS // length, "t": length, "h": HEADS, "d": WIDTH}
    ir = IR if causal else IR.replace("%all = einsum", "%s = einsum")
    return ir.format(mask=MASK.format(**sizes) if causal else "", **sizes)


def gradc(tool, file, threads, rounds, *without):
    cores = ",".join(map(str, range(threads)))
    out = subprocess.run(["taskset", "-c", cores, tool, "bench", file, "--function", "f", "--threads", str(threads), "--rounds", str(rounds), "--json", *without], capture_output=True, text=True, check=True)
    text = subprocess.run([tool, "opt", file, "--function", "f", "--after", "memory", *without], capture_output=True, text=True, check=True).stdout
    return json.loads(out.stdout)["step_ms"], int(re.search(r"^step .* scratch=(\d+)", text, re.M)[1])


def jax_ms(length, threads, rounds, causal):
    code = f"""
import jax, jax.numpy as np, time, statistics
def loss(q, k, v):
    y = jax.nn.dot_product_attention(q, k, v, scale=1.0, is_causal={causal})
    return (y * y).sum()
q, k, v = (jax.random.normal(jax.random.key(i), ({TOKENS // length}, {length}, {HEADS}, {WIDTH})) * 0.1 for i in range(3))
f = jax.jit(jax.value_and_grad(loss, (0, 1, 2)))
jax.block_until_ready(f(q, k, v))
t = []
for _ in range({rounds}):
    s = time.perf_counter(); jax.block_until_ready(f(q, k, v)); t.append(time.perf_counter() - s)
print(1e3 * statistics.median(t))
"""
    cores = ",".join(map(str, range(threads)))
    return float(subprocess.run(["taskset", "-c", cores, sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("gradc")
    a.add_argument("--lengths", default="64,256,1024,4096")
    a.add_argument("--threads", type=int, default=1)
    a.add_argument("--rounds", type=int, default=11)
    a.add_argument("--causal", action="store_true", help="each place reads those before it; Gop/s as if it read all")
    a.add_argument("--no-jax", action="store_true")
    o = a.parse_args()
    print("| tokens | gradc, ms | Gop/s | temporaries, MB | without tasks, ms | temporaries, MB | JAX, ms | jax / gradc |\n|---|---|---|---|---|---|---|---|")
    for length in map(int, o.lengths.split(",")):
        with tempfile.NamedTemporaryFile("w", suffix=".ir") as f:
            f.write(text(length, o.causal))
            f.flush()
            ms, bytes_ = gradc(o.gradc, f.name, o.threads, o.rounds)
            plain, plain_bytes = gradc(o.gradc, f.name, o.threads, o.rounds, "--without", "block", "--without", "recompute")
        peer = None if o.no_jax else jax_ms(length, o.threads, o.rounds, o.causal)
        rate = 6 * 2 * TOKENS * length * HEADS * WIDTH / ms / 1e6  # two products forward, four backward
        print(f"| {length:,} | {ms:.1f} | {rate:.0f} | {bytes_ / 1e6:.0f} | {plain:.1f} | {plain_bytes / 1e6:.0f} | {peer or 0:.1f} | {(peer or 0) / ms:.2f} |", flush=True)


main()
