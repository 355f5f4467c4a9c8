"""Fuzzes each parser in turn, from texts of this repository. usage: run.py FUZZ [--seconds N] [--only PARSER]
[--out FOLDER]; see README.md."""
import argparse, gzip, json, pathlib, re, struct, subprocess, sys, tempfile

SOURCE = pathlib.Path(__file__).resolve().parents[2]
FAULTS = SOURCE / "../shared/faults/cases"  # more seeds where they are
PARSERS = "json run characters tokenizer wav cifar gzip npy npz png jpeg idx safetensors csv schedule kernel graph groups step model".split()


def files(*patterns):
    for pattern in patterns:
        for root in (SOURCE, FAULTS):
            yield from (p.read_bytes() for p in sorted(root.glob(pattern)) if p.is_file() and p.stat().st_size <= 1 << 16)


def parts(texts, begin):
    """From each line that begins so to the next '}' in the first column."""
    for text in texts:
        yield from re.findall(rb"^" + begin + rb"[^\n]*\n.*?^\}\n", text, re.M | re.S)


def idx(code, shape, data):
    return bytes([0, 0, code, len(shape)]) + b"".join(struct.pack(">I", n) for n in shape) + data


def safetensors(tensors, **metadata):
    header, data = {"__metadata__": metadata}, b""
    for name, (kind, shape, raw) in tensors.items():
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def seeds(parser):
    steps = list(files(*(f"tests/passes/{p}/*.in" for p in "pad plan schedule barriers memory".split())))
    if parser == "model":
        return files("examples/*.grad", "frontend/std/*.grad", "tests/errors/cases/*.grad", "*/*.grad")
    if parser == "graph":
        return files(*(f"tests/passes/{p}/*.in" for p in "inline simplify differentiate hoist algebra prune numerics fold fuse".split()), "*/*.ir", "examples/ir/*.ir")
    if parser == "groups":
        return files("tests/passes/lower/*.in")
    if parser == "step":
        return steps
    if parser in ("kernel", "schedule"):
        return parts(steps, parser.encode() + b" @")
    if parser == "csv":
        return files("*/*.csv", "examples/data/*.csv")
    if parser == "idx":
        return [idx(8, [2, 3], b"abcdef"), idx(11, [2], b"\xff\xfe\0\5"), idx(13, [1, 1, 1], b"\0\0\x80\x3f"), idx(14, [0, 8], b""), *files("*/*idx*")]
    if parser in ("png", "jpeg"):
        return files("tests/readers/pictures/*." + {"png": "png", "jpeg": "jpg"}[parser])
    if parser == "tokenizer":
        return files("tests/readers/tokenizers/*.json")
    if parser in ("npy", "npz", "wav"):
        return files(f"tests/readers/files/*.{parser}")
    if parser == "cifar":
        return [bytes([1]) + bytes(3072), bytes([1, 2]) + bytes(3072)]
    if parser == "gzip":
        return [gzip.compress(b"abc" * 9, mtime=0), gzip.compress(b"", mtime=0) + gzip.compress(b"x", mtime=0), gzip.compress(bytes(4096), 0, mtime=0), b"plain"]
    if parser == "run":
        return [b'{"status": "finished", "command": ["gradc", "train"], "steps": 12, "best": 0.25, "maximize": true, "results": {"val.loss": 1e-3, "x": null}, "seconds": {"all": 2}}']
    if parser == "characters":
        return ["a\nb\u00e4\u20ac\U0001f600".encode(), *files("README.md")]
    if parser == "safetensors":
        few = {"w": ("F32", [2, 2], bytes(16)), "h": ("F16", [3], b"\0\x3c\1\0\0\x7e"), "b": ("BF16", [1], b"\x80\x3f"), "i": ("I64", [], bytes(8)), "e": ("F64", [0, 4], b""), "t": ("BOOL", [2], b"\0\1")}
        moment = {"step": "7", "epochs": "2", "value": "0.5", "sums": "0x1p-3 nan", "shifts": "", "best": "1e-3", "stop_best": "-0x1.8p+1", "best_step": "6", "wait": "1"}
        return [safetensors(few, a="b", k='v "\n'), safetensors({}, **{"gradc." + k: v for k, v in moment.items()}), *files("*/*.safetensors", "tests/data/*.safetensors")]
    return [b'{"a": [1, -2.5e1, true, null, {}], "b\\u00e4\\n": "\\ud83d\\ude00"}', b"[[[]]]", *files("*/*.json")]


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("fuzz")
    a.add_argument("--seconds", type=float, default=300)
    a.add_argument("--only", choices=PARSERS)
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--out", default="findings")
    o = a.parse_args()
    worst = 0
    for parser in [o.only] if o.only else PARSERS:
        with tempfile.TemporaryDirectory() as folder:
            past = SOURCE / "tests/fuzz/corpus" / parser
            texts = {*seeds(parser), *(p.read_bytes() for p in past.glob("*"))}
            for i, text in enumerate(sorted(texts)):
                (pathlib.Path(folder) / str(i)).write_bytes(text)
            worst = max(worst, subprocess.run([o.fuzz, parser, folder, "--seconds", str(o.seconds), "--seed", str(o.seed), "--out", o.out]).returncode)
    return worst


if __name__ == "__main__":
    sys.exit(main())
