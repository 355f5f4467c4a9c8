#!/usr/bin/env python3
"""scale.py GRADC [OTHER]: how compile time grows with the size of a model, in seconds, medians of alternating runs.

Each case is made here and compiled to step text (or to an object file with -c) without a cache. With a second
binary the two alternate in one run and the ratio is printed."""
import pathlib, statistics, subprocess, sys, tempfile, time

LIMIT = 60  # seconds that a case may take


def residual(blocks):
    head = "const d = 64, h = 256\nlayer Block{}(x: [n, d]) -> [n, d] {\n"
    head += "  return x + (x |> LayerNorm{} |> Dense{h} |> gelu |> Dense{d})\n}\n"
    head += "model m(x: f32[B, d]) -> (p: [B]) {\n  h = x\n"
    head += f"  repeat i in {blocks} {{ h = Block{{}}(h) }}\n  p = sum(h, over=1)\n}}\n"
    return head + train("d = 64", 64, "adam{}")


def dense(layers):
    return ("model m(x: f32[B, 16]) -> (p: [B]) {\n  h = x\n"
            f"  repeat i in {layers} {{ h = relu(Dense{{16}}(h)) }}\n  p = sum(h, over=1)\n}}\n" + train("", 16, "sgd{}"))


def train(_, columns, optimizer):
    names = ",".join(f'"c{i}"' for i in range(columns))
    return (f'data rows {{ train = csv("r.csv", x = columns({names}), y = column("y")) }}\n'
            f"train m on rows {{ loss = mse(p, y)\n optimizer = {optimizer}\n lr = 0.001\n batch = 32 }}\n")


def elementwise(nodes):
    lines = ["func @f[B <= 64](%x: f32[B,64]) -> (y: f32[B,64]) {", "  %n0 = tanh(%x)"]
    for i in range(1, nodes):
        lines.append(f"  %n{i} = {('tanh', 'sin', 'neg', 'abs')[i % 4]}(%n{i - 1})")
    return "\n".join(lines) + f"\n  return %n{nodes - 1}\n}}\n"


CASES = {
    "2 residual blocks, -c": ("m.grad", residual(2), ["-c", "-o", "o.o"]),
    "12 residual blocks, -c": ("m.grad", residual(12), ["-c", "-o", "o.o"]),
    "48 residual blocks, -c": ("m.grad", residual(48), ["-c", "-o", "o.o"]),
    "2 residual blocks": ("m.grad", residual(2), ["-o", "o.step"]),
    "48 residual blocks": ("m.grad", residual(48), ["-o", "o.step"]),
    "500 Dense layers": ("m.grad", dense(500), ["-o", "o.step"]),
    "5,000 Dense layers": ("m.grad", dense(5000), ["-o", "o.step"]),
    "10,000 elementwise nodes": ("f.ir", elementwise(10000), ["--function", "f", "-o", "o.step"]),
    "100,000 elementwise nodes": ("f.ir", elementwise(100000), ["--function", "f", "-o", "o.step"]),
}


def run(gradc, name, text, arguments):
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, name).write_text(text)
        names = ",".join(f"c{i}" for i in range(64)) + ",y"
        pathlib.Path(folder, "r.csv").write_text(names + "\n" + "\n".join([",".join(["0.5"] * 65)] * 64) + "\n")
        start = time.time()
        try:
            p = subprocess.run([gradc, "compile", name, *arguments], cwd=folder, capture_output=True, text=True, timeout=LIMIT)
        except subprocess.TimeoutExpired:
            return float("inf")
        if p.returncode:
            print(p.stderr[:400], file=sys.stderr)
            return float("nan")
        return time.time() - start


def main():
    tools = [str(pathlib.Path(a).resolve()) for a in sys.argv[1:3]] or sys.exit(__doc__)
    for case, (name, text, arguments) in CASES.items():
        times = [[] for _ in tools]
        for _ in range(3):
            for t, tool in zip(times, tools):
                if not t or t[-1] < 10:
                    t.append(run(tool, name, text, arguments))
        medians = [statistics.median(t) for t in times]
        line = "  ".join(f"{m:8.3f}" for m in medians)
        print(f"{case:28} {line}" + (f"  {medians[0] / medians[1]:6.2f}" if len(medians) > 1 else ""), flush=True)


if __name__ == "__main__":
    main()
