"""The kernels of bench/kernels.py as IR text: each case is one function @f and what it must do at least."""
import dataclasses, math, pathlib, random, re

HERE = pathlib.Path(__file__).resolve().parent
SHAPES = HERE.parent.parent / "shared/prototypes/shapes.h"


@dataclasses.dataclass
class Case:
    kind: str
    name: str
    text: str
    operations: float = 0  # 2 a multiply-add; 0: measured by bytes
    slots: float = 0  # of arithmetic, for all elements; see SLOTS
    read: int = 0  # bytes that must be read and written once
    written: int = 0
    blas: tuple = ()  # (role, m, n, k) where a library multiplies matrices too


# Instructions that an element takes, of which a core does as many as multiply-adds: those of the generated code, without
# loads, stores and copies. A maximum keeps NaN and the order of zeros; a division takes as long as five.
SLOTS = dict(add=1, mul=1, fma=1, select=1, max=5, div=5, sqrt=9, exp=24, tanh=26, sigmoid=33, erf=26)


def slots(elements, **counts):
    return elements * sum(SLOTS[name] * n for name, n in counts.items())


def f32(*shape):
    return f"f32[{','.join(map(str, shape))}]"


def function(parameters, results, lines):
    """`lines` end with what is returned."""
    head = ", ".join(f"%{name}: {type_}" for name, type_ in parameters)
    body = "".join(f"  {line}\n" for line in lines[:-1])
    return f"func @f({head}) -> ({', '.join(results)}) {{\n{body}  return {lines[-1]}\n}}\n"


def contraction(role, m, n, k):
    a, b = {"NN": (f32(m, k), f32(k, n)), "NT": (f32(m, k), f32(n, k)), "TN": (f32(k, m), f32(k, n))}[role]
    spec = {"NN": "ij,jk->ik", "NT": "ij,kj->ik", "TN": "ji,jk->ik"}[role]
    text = function([("a", a), ("b", b)], [f"c: {f32(m, n)}"], [f'%c = einsum(%a, %b) {{spec="{spec}"}}', "%c"])
    return Case("contraction", f"{role} {m}x{n}x{k}", text, 2.0 * m * n * k, blas=(role, m, n, k))


def contractions(seed, limit):
    listed = re.findall(r"\{(\d+),(\d+),(\d+)\}", SHAPES.read_text()) if SHAPES.exists() else []
    shapes = [tuple(map(int, s)) for s in listed]
    draw = random.Random(seed)
    if limit:
        small = [s for s in shapes if 2 * math.prod(s) <= 5e8]
        shapes = draw.sample(small, min(limit, len(small)))
    cases = [contraction(role, *s) for s in shapes for role in ("NN", "NT", "TN")]
    wanted = len(cases) + (limit or 200)
    while len(cases) < wanted:
        s = [round(math.exp(draw.uniform(math.log(8), math.log(2048)))) for _ in range(3)]
        if 2 * s[0] * s[1] * s[2] <= 1e9:
            cases.append(contraction(draw.choice(["NN", "NT", "TN"]), *s))
    return cases


# Images channels last, 3x3 windows, padding 1, as the standard library's Conv2d gives them to the compiler.
def convolution(batch, size, channels, filters, stride):
    out = (size - 1) // stride + 1
    x, w, y = f32(batch, size, size, channels), f32(3, 3, channels, filters), f32(batch, out, out, filters)
    window = f"axes=[1,2], dilation=[1,1], stride=[{stride},{stride}], window=[3,3]"
    views = ["%p = pad(%x) {high=[0,1,1,0], interior=[0,0,0,0], low=[0,1,1,0], value=0.0}", f"%v = windows(%p) {{{window}}}"]
    extents = f"extents=[{size + 2},{size + 2}]"
    strides = f"limit=[{batch},{size + 1},{size + 1},{channels}], start=[0,1,1,0], stride=[1,1,1,1]"
    texts = {
        "forward": function([("x", x), ("w", w)], [f"y: {y}"], views + ['%y = einsum(%v, %w) {spec="abcdef,cefg->abdg"}', "%y"]),
        "input gradient": function(
            [("g", y), ("w", w)], [f"d: {x}"],
            ['%t = einsum(%g, %w) {spec="abdg,cefg->abcdef"}', f"%p = overlap_add(%t) {{{window}, {extents}}}",
             f"%d = slice(%p) {{{strides}}}", "%d"]),
        "weight gradient": function(
            [("x", x), ("g", y)], [f"d: {w}"], views + ['%d = einsum(%v, %g) {spec="abcdef,abdg->cefg"}', "%d"]),
    }
    name = f"{batch}x{size}x{size}, {channels} to {filters}, stride {stride}"
    operations = 2.0 * batch * out * out * filters * 9 * channels
    return [Case("convolution", f"{role} {name}", text, operations) for role, text in texts.items()]


def convolutions(quick):
    layers = [(1, 16, 32), (3, 16, 32), (3, 64, 32), (16, 16, 32), (16, 32, 32), (32, 32, 16), (64, 64, 16), (128, 128, 8)]
    if quick:
        layers = [(3, 16, 32), (16, 16, 32), (64, 64, 16)]
    return [c for channels, filters, size in layers for s in (1, 2) for c in convolution(32, size, channels, filters, s)]


def rows(name, n, d, lines, forward_slots, backward_slots, extra=(), scalar=False):
    """Forward, and backward as the gradient of sum(y * g), or of y where it is a number a row, by %x."""
    x, y = f32(n, d), f32(n) if scalar else f32(n, d)
    params = [("x", x), *extra]
    types = ", ".join(f"%{p}: {t}" for p, t in [*params, ("g", y)])
    names = ", ".join(f"%{p}" for p, _ in [*params, ("g", y)])
    body = "".join(f"  {line}\n" for line in lines)
    axes = "0" if scalar else "0,1"
    text = (f"func @loss({types}) -> (s: f32[]) {{\n{body}  %yg = mul(%y, %g)\n  %s = reduce_sum(%yg) {{axes=[{axes}]}}\n  return %s\n}}\n"
            f"func @f({types}) -> (d: {x}) {{\n  %a = value_and_grad({names}) {{function=@loss, wrt=[0]}}\n"
            "  %d = get(%a) {index=1}\n  return %d\n}\n")
    more = 4 * sum(n if t.startswith("i32") else d for _, t in extra)
    out = 4 * (n if scalar else n * d)
    forward = function(params, [f"y: {y}"], [*lines, "%y"])
    return [Case("row kernel", f"{name} {n}x{d}, forward", forward, 0, slots(n * d, **forward_slots), 4 * n * d + more, out),
            Case("row kernel", f"{name} {n}x{d}, backward", text, 0, slots(n * d, **backward_slots), 4 * n * d + more + out, 4 * n * d)]


def softmax_lines(n, d):
    over = f"{{dims=[0], shape=[{n},{d}]}}"
    return ["%m = reduce_max(%x) {axes=[1]}", "%top = stop_gradient(%m)", f"%mb = broadcast(%top) {over}", "%z = sub(%x, %mb)",
            "%e = exp(%z)", "%t = reduce_sum(%e) {axes=[1]}", f"%tb = broadcast(%t) {over}", "%y = div(%e, %tb)"]


def cross_entropy_lines(n, d):
    return [*softmax_lines(n, d)[:-2], "%l = log(%t)", f"%c = iota() {{axis=1, dtype=i32, shape=[{n},{d}]}}",
            f"%yb = broadcast(%labels) {{dims=[0], shape=[{n},{d}]}}", "%hit = eq(%c, %yb)",
            f"%zero = constant() {{dtype=f32, shape=[{n},{d}], value=0.0}}", "%pick = select(%hit, %z, %zero)",
            "%chosen = reduce_sum(%pick) {axes=[1]}", "%y = sub(%l, %chosen)"]


def norm_lines(n, d, centred):
    over, under = f"{{dims=[0], shape=[{n},{d}]}}", f"{{dims=[1], shape=[{n},{d}]}}"
    number = lambda v: f"constant() {{dtype=f32, shape=[{n}], value={v}}}"
    mean = ["%s0 = reduce_sum(%x) {axes=[1]}", "%mu = mul(%s0, %k)", f"%mub = broadcast(%mu) {over}", "%z = sub(%x, %mub)"]
    z = "%z" if centred else "%x"
    lines = [f"%k = {number(1 / d)}", *(mean if centred else []), f"%sq = mul({z}, {z})", "%s1 = reduce_sum(%sq) {axes=[1]}",
             "%var = mul(%s1, %k)", f"%eps = {number(1e-5)}", "%ve = add(%var, %eps)", "%r = rsqrt(%ve)",
             f"%rb = broadcast(%r) {over}", f"%h = mul({z}, %rb)", f"%wb = broadcast(%w) {under}"]
    if centred:
        return [*lines, "%hw = mul(%h, %wb)", f"%bb = broadcast(%b) {under}", "%y = add(%hw, %bb)"]
    return [*lines, "%y = mul(%h, %wb)"]


def row_kernels(quick):
    out = []
    for n, d in [(64, 1000)] if quick else [(32, 128), (64, 1000), (1024, 768), (2048, 65), (8192, 1024)]:
        # exp of what is less than the maximum, and its sum; then y, and backward y (g - sum of y g)
        shifted = dict(max=1, add=2, exp=1)
        out += rows("softmax", n, d, softmax_lines(n, d), {**shifted, "div": 1}, {**shifted, "add": 4, "div": 1, "mul": 2})
        out += rows("cross-entropy", n, d, cross_entropy_lines(n, d), {**shifted, "add": 3, "select": 2},
                    {**shifted, "add": 3, "select": 2, "div": 1, "mul": 1}, [("labels", f"i32[{n}]")], scalar=True)
        # mean, squares of what is left; then y, and backward (g w - mean - h mean of h g w) / deviation
        out += rows("layer norm", n, d, norm_lines(n, d, True), dict(add=4, mul=2, fma=1), dict(add=7, mul=4, fma=2),
                    [("w", f32(d)), ("b", f32(d))])
        out += rows("RMS norm", n, d, norm_lines(n, d, False), dict(add=1, mul=3), dict(add=3, mul=5, fma=1), [("w", f32(d))])
    return out


def elementwise(n):
    number = lambda name, v: f"%{name} = constant() {{dtype=f32, shape=[{n}], value={v}}}"
    chains = {
        "relu(x + y) * z": ("xyz", dict(add=1, max=1, mul=1), [number("o", 0.0), "%s = add(%x, %y)", "%r = max(%s, %o)", "%u = mul(%r, %z)"]),
        "gelu(x)": ("x", dict(mul=3, add=1, erf=1), [number("h", 0.5), number("q", 0.70710678), number("o", 1.0), "%a = mul(%x, %q)", "%e = erf(%a)",
                          "%p = add(%e, %o)", "%s = mul(%x, %h)", "%u = mul(%s, %p)"]),
        "x * sigmoid(x)": ("x", dict(mul=1, sigmoid=1), ["%s = sigmoid(%x)", "%u = mul(%x, %s)"]),
        "tanh(x) + y": ("xy", dict(tanh=1, add=1), ["%s = tanh(%x)", "%u = add(%s, %y)"]),
    }
    for name, (inputs, counts, lines) in chains.items():
        text = function([(i, f32(n)) for i in inputs], [f"u: {f32(n)}"], [*lines, "%u"])
        yield Case("elementwise chain", f"{name}, {n}", text, 0, slots(n, **counts), 4 * n * len(inputs), 4 * n)


def adam(n):
    numbers = {"b1": 0.9, "c1": 0.1, "b2": 0.999, "c2": 0.001, "lr": 0.001, "eps": 1e-8}
    lines = [f"%{k} = constant() {{dtype=f32, shape=[{n}], value={v}}}" for k, v in numbers.items()]
    lines += ["%m1 = mul(%b1, %m)", "%g1 = mul(%c1, %g)", "%mn = add(%m1, %g1)", "%v1 = mul(%b2, %v)", "%gg = mul(%g, %g)",
              "%g2 = mul(%c2, %gg)", "%vn = add(%v1, %g2)", "%r = sqrt(%vn)", "%den = add(%r, %eps)", "%num = mul(%lr, %mn)",
              "%step = div(%num, %den)", "%pn = sub(%p, %step)", "%pn, %mn, %vn"]
    t = f32(n)
    text = function([(x, t) for x in "pgmv"], [f"{t} into %p", f"{t} into %m", f"{t} into %v"], lines)
    return Case("update", f"Adam, {n}", text, 0, slots(n, mul=4, fma=2, sqrt=1, add=2, div=1), 16 * n, 12 * n)


def row_moves(n, d, table):
    """The benchmark's synthetic indices are 0 to 9: as they are, or spread over the table, each row once."""
    spread = [f"%k = iota() {{axis=0, dtype=i32, shape=[{n}]}}", f"%ten = constant() {{dtype=i32, shape=[{n}], value=10}}",
              "%o = mul(%k, %ten)", "%j = add(%o, %i)"]
    params = [("t", f32(table, d)), ("i", f"i32[{n}]")]
    for how, lines, index in (("all over", spread, "%j"), ("10", [], "%i")):
        rows_read = n if how == "all over" else 10
        text = function(params, [f"y: {f32(n, d)}"], [*lines, f"%y = gather(%t, {index})", "%y"])
        yield Case("gather, scatter-add", f"gather {n} rows of {d}, {how} of {table}", text, 0, 0, 4 * rows_read * d + 4 * n, 4 * n * d)
        text = function([*params, ("u", f32(n, d))], [f"{f32(table, d)} into %t"], [*lines, f"%y = scatter_add(%t, {index}, %u)", "%y"])
        yield Case("gather, scatter-add", f"scatter-add {n} rows of {d}, {how} of {table}", text, 0, 0,
                   4 * (n + rows_read) * d + 4 * n, 4 * rows_read * d)


def transpose(shape, perm):
    out = [shape[p] for p in perm]
    text = function([("x", f32(*shape))], [f"y: {f32(*out)}"], [f"%y = transpose(%x) {{perm={str(perm).replace(' ', '')}}}", "%y"])
    size = 4 * math.prod(shape)
    return Case("transpose", f"{'x'.join(map(str, shape))} to {perm}", text, 0, 0, size, size)


KINDS = ["contraction", "convolution", "row kernel", "elementwise chain", "update", "gather, scatter-add", "transpose"]


def cases(quick, seed):
    sizes = [65536] if quick else [2048, 65536, 1048576, 16777216]
    out = contractions(seed, 12 if quick else 0) + convolutions(quick) + row_kernels(quick)
    out += [c for n in sizes for c in elementwise(n)] + [adam(n) for n in sizes]
    for n, d, table in [(512, 64, 8192)] if quick else [(512, 64, 8192), (2048, 128, 32768), (256, 768, 50000)]:
        out += row_moves(n, d, table)
    for shape, perm in [((512, 512), [1, 0]), ((8, 64, 4, 32), [0, 2, 1, 3])] + (
            [] if quick else [((64, 64), [1, 0]), ((2048, 2048), [1, 0]), ((1000, 77), [1, 0]), ((16, 128, 12, 64), [0, 2, 3, 1])]):
        out.append(transpose(shape, perm))
    return out
