"""Writes the MNIST training step 784-512-256-10 with cross-entropy and SGD with momentum as graph IR.
usage: gen_mlp.py [sgd|adam] > mnist_sgd.ir   (the files in this folder were made by it)"""
import sys

DIMS = [784, 512, 256, 10]
MAX, PLAN = 256, 64
opt = sys.argv[1] if len(sys.argv) > 1 else "sgd"
slots = ["v"] if opt == "sgd" else ["m", "v"]
layers = range(1, len(DIMS))


def params():
    return [(f"w{l}", f"f32[{DIMS[l-1]},{DIMS[l]}]", f"[{DIMS[l-1]},{DIMS[l]}]") for l in layers] + [
        (f"b{l}", f"f32[{DIMS[l]}]", f"[{DIMS[l]}]") for l in layers
    ]


def loss():
    args = ", ".join(f"%{n}: {t}" for n, t, _ in params())
    print(f"func @loss[B <= {MAX} plan {PLAN}]({args}, %x: f32[B,784], %y: i32[B]) -> (loss: f32[]) {{")
    h = "x"
    for l in layers:
        d = DIMS[l]
        print(f'  %m{l} = einsum(%{h}, %w{l}) {{spec="bi,ij->bj"}}')
        print(f"  %c{l} = broadcast(%b{l}) {{dims=[1], shape=[B,{d}]}}")
        print(f"  %z{l} = add(%m{l}, %c{l})")
        h = f"z{l}"
        if l + 1 < len(DIMS):
            print(f"  %zero{l} = constant() {{value=0.0, dtype=f32, shape=[B,{d}]}}")
            print(f"  %on{l} = gt(%z{l}, %zero{l})")
            print(f"  %h{l} = select(%on{l}, %z{l}, %zero{l})")
            h = f"h{l}"
    n = DIMS[-1]
    print(f"""  %top = reduce_max(%{h}) {{axes=[1]}}
  %stop = stop_gradient(%top)
  %topb = broadcast(%stop) {{dims=[0], shape=[B,{n}]}}
  %s = sub(%{h}, %topb)
  %e = exp(%s)
  %total = reduce_sum(%e) {{axes=[1]}}
  %lse = log(%total)
  %class = iota() {{shape=[B,{n}], axis=1, dtype=i32}}
  %yb = broadcast(%y) {{dims=[0], shape=[B,{n}]}}
  %hit = eq(%class, %yb)
  %zeros = constant() {{value=0.0, dtype=f32, shape=[B,{n}]}}
  %chosen = select(%hit, %s, %zeros)
  %picked = reduce_sum(%chosen) {{axes=[1]}}
  %nll = sub(%lse, %picked)
  %sum = reduce_sum(%nll) {{axes=[0]}}
  %n = dim() {{value=[B], dtype=f32}}
  %loss = div(%sum, %n)
  return %loss
}}
""")


def const(name, value, shape):
    print(f"  %{name} = constant() {{value={value}, dtype=f32, shape={shape}}}")


def update(n, shape):
    print(f"  %rate_{n} = broadcast(%rate) {{dims=[], shape={shape}}}")
    if opt == "sgd":
        const(f"mu_{n}", 0.9, shape)
        print(f"  %old_{n} = mul(%v_{n}, %mu_{n})\n  %vn_{n} = add(%old_{n}, %g_{n})")
        print(f"  %d_{n} = mul(%vn_{n}, %rate_{n})")
    else:
        for slot, keep in (("m", 0.9), ("v", 0.999)):
            const(f"k{slot}_{n}", keep, shape)
            const(f"j{slot}_{n}", 1 - keep, shape)
            print(f"  %o{slot}_{n} = mul(%{slot}_{n}, %k{slot}_{n})")
            g = f"g_{n}"
            if slot == "v":
                print(f"  %gg_{n} = mul(%g_{n}, %g_{n})")
                g = f"gg_{n}"
            print(f"  %a{slot}_{n} = mul(%{g}, %j{slot}_{n})\n  %{slot}n_{n} = add(%o{slot}_{n}, %a{slot}_{n})")
        const(f"eps_{n}", 1e-8, shape)
        print(f"  %c1_{n} = broadcast(%c1) {{dims=[], shape={shape}}}\n  %c2_{n} = broadcast(%c2) {{dims=[], shape={shape}}}")
        print(f"  %mh_{n} = mul(%mn_{n}, %c1_{n})\n  %vh_{n} = mul(%vn_{n}, %c2_{n})\n  %r_{n} = sqrt(%vh_{n})")
        print(f"  %den_{n} = add(%r_{n}, %eps_{n})\n  %q_{n} = div(%mh_{n}, %den_{n})\n  %d_{n} = mul(%q_{n}, %rate_{n})")
    print(f"  %new_{n} = sub(%{n}, %d_{n})")


def step():
    p = params()
    args = [f"%{n}: {t}" for n, t, _ in p] + [f"%{s}_{n}: {t}" for s in slots for n, t, _ in p]
    extra = ["%x: f32[B,784]", "%y: i32[B]", "%lr: f64[]"] + ([] if opt == "sgd" else ["%i1: f64[]", "%i2: f64[]"])
    outs = [f"{t} into %{n}" for n, t, _ in p] + [f"{t} into %{s}_{n}" for s in slots for n, t, _ in p]
    print(f"func @train_step[B <= {MAX} plan {PLAN}]({', '.join(args + extra)})\n    -> (loss: f32[], {', '.join(outs)}) {{")
    names = ", ".join(f"%{n}" for n, _, _ in p)
    types = ", ".join(t for _, t, _ in p)
    wrt = ",".join(str(i) for i in range(len(p)))
    print(f"  %all: (f32[], {types}) = value_and_grad({names}, %x, %y) {{function=@loss, wrt=[{wrt}]}}")
    print("  %loss = get(%all) {index=0}\n  %rate = convert(%lr) {dtype=f32}")
    if opt != "sgd":
        print("  %c1 = convert(%i1) {dtype=f32}\n  %c2 = convert(%i2) {dtype=f32}")
    for i, (n, _, shape) in enumerate(p):
        print(f"  %g_{n} = get(%all) {{index={i+1}}}")
        update(n, shape)
    results = [f"%new_{n}" for n, _, _ in p] + [f"%{s}n_{n}" for s in slots for n, _, _ in p]
    print(f"  return %loss, {', '.join(results)}\n}}")


loss()
step()
