// Compiled code against the graph interpreter, bit for bit: batch sizes, thread counts, vector widths, exact
// passes off, donated state over several updates.
#include <fstream>

#include "agree/harness.h"

namespace gradc::test {
namespace {

const char* kMlp = R"(
func @loss[B <= 33 plan 32](%w1: f32[24,40], %b1: f32[40], %w2: f32[40,10], %b2: f32[10], %x: f32[B,24], %y: i32[B]) -> (loss: f32[]) {
  %m1 = einsum(%x, %w1) {spec="bi,ij->bj"}
  %c1 = broadcast(%b1) {dims=[1], shape=[B,40]}
  %z1 = add(%m1, %c1)
  %zero = constant() {value=0.0, dtype=f32, shape=[B,40]}
  %on = gt(%z1, %zero)
  %h1 = select(%on, %z1, %zero)
  %m2 = einsum(%h1, %w2) {spec="bi,ij->bj"}
  %c2 = broadcast(%b2) {dims=[1], shape=[B,10]}
  %z2 = add(%m2, %c2)
  %top = reduce_max(%z2) {axes=[1]}
  %stop = stop_gradient(%top)
  %topb = broadcast(%stop) {dims=[0], shape=[B,10]}
  %s = sub(%z2, %topb)
  %e = exp(%s)
  %total = reduce_sum(%e) {axes=[1]}
  %lse = log(%total)
  %class = iota() {shape=[B,10], axis=1, dtype=i32}
  %yb = broadcast(%y) {dims=[0], shape=[B,10]}
  %hit = eq(%class, %yb)
  %zeros = constant() {value=0.0, dtype=f32, shape=[B,10]}
  %chosen = select(%hit, %s, %zeros)
  %picked = reduce_sum(%chosen) {axes=[1]}
  %nll = sub(%lse, %picked)
  %sum = reduce_sum(%nll) {axes=[0]}
  %n = dim() {value=[B], dtype=f32}
  %loss = div(%sum, %n)
  return %loss
}
)";

const char* kSgdStep = R"(
func @train_step[B <= 33 plan 32](%w1: f32[24,40], %b1: f32[40], %w2: f32[40,10], %b2: f32[10],
    %v1: f32[24,40], %x: f32[B,24], %y: i32[B], %lr: f64[])
    -> (loss: f32[], f32[24,40] into %w1, f32[40] into %b1, f32[40,10] into %w2, f32[10] into %b2, f32[24,40] into %v1) {
  %all: (f32[], f32[24,40], f32[40], f32[40,10], f32[10]) = value_and_grad(%w1, %b1, %w2, %b2, %x, %y) {function=@loss, wrt=[0,1,2,3]}
  %loss = get(%all) {index=0}
  %g1 = get(%all) {index=1}
  %gb1 = get(%all) {index=2}
  %g2 = get(%all) {index=3}
  %gb2 = get(%all) {index=4}
  %rate = convert(%lr) {dtype=f32}
  %mu = constant() {value=0.9, dtype=f32, shape=[24,40]}
  %old = mul(%v1, %mu)
  %v1n = add(%old, %g1)
  %r1 = broadcast(%rate) {dims=[], shape=[24,40]}
  %d1 = mul(%v1n, %r1)
  %w1n = sub(%w1, %d1)
  %rb1 = broadcast(%rate) {dims=[], shape=[40]}
  %db1 = mul(%gb1, %rb1)
  %b1n = sub(%b1, %db1)
  %r2 = broadcast(%rate) {dims=[], shape=[40,10]}
  %d2 = mul(%g2, %r2)
  %w2n = sub(%w2, %d2)
  %rb2 = broadcast(%rate) {dims=[], shape=[10]}
  %db2 = mul(%gb2, %rb2)
  %b2n = sub(%b2, %db2)
  return %loss, %w1n, %b1n, %w2n, %b2n, %v1n
}
)";

TEST(Agreement, MlpStepOverBatchesThreadsAndLanes) {
  for (int lanes : {4, 8, 16})
    expect_agreement(std::string(kMlp) + kSgdStep, "train_step", {0, 1, 2, 32, 33}, {lanes, {}, ""},
                     {1, 2, 3, 7}, 3);
}

TEST(Agreement, EveryKernelParallel) {
  for (const int lanes : {4, 16})
    expect_agreement(std::string(kMlp) + kSgdStep, "train_step", {0, 1, 5, 33}, {lanes, {}, "", true},
                     {1, 2, 3, 7}, 2);
}

TEST(Agreement, MnistExamples) {
  for (const char* file : {"mnist_sgd.ir", "mnist_adam.ir"}) {
    std::ifstream in(std::string(GRADC_SOURCE_DIR) + "/examples/ir/" + file);
    const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    expect_agreement(text, "train_step", {5}, {}, {2});
  }
}

TEST(Agreement, ExactPassesMoveNoBit) {
  for (const char* pass : {"fuse", "schedule", "barriers", "memory", "pad"})
    expect_agreement(std::string(kMlp) + kSgdStep, "train_step", {1, 33}, {0, {pass}, ""}, {1, 3}, 2);
}

TEST(Agreement, TwentyUpdates) {
  expect_agreement(std::string(kMlp) + kSgdStep, "train_step", {16}, {}, {2}, 20);
}

TEST(Agreement, WithoutFusedMultiplyAdd) {
  std::string text = std::string(kMlp) + kSgdStep;
  for (size_t at = text.find(") {\n"); at != std::string::npos; at = text.find(") {\n", at + 12))
    text.replace(at, 3, ") fma=off {");
  expect_agreement(text, "train_step", {1, 17}, {4, {}, "x86-64-v2"}, {1, 2}, 2);
}

// One op after another over shapes that do not divide.
TEST(Agreement, StructureChains) {
  expect_agreement(R"(
func @f[B <= 9 plan 8](%x: f32[B,6,5], %i: i32[B]) -> (f32[5,B,7], f32[B,4], f32[B,30], i64[B,6]) {
  %t = transpose(%x) {perm=[2,0,1]}
  %p = pad(%t) {low=[0,0,1], high=[0,0,0], interior=[0,0,0], value=2.5}
  %q = tanh(%p)
  %r = reshape(%x) {shape=[B,30]}
  %s = slice(%r) {start=[0,1], limit=[B,30], stride=[1,8]}
  %u = sin(%s)
  %g = gather(%r, %i)
  %v = reverse(%g) {axes=[1]}
  %w = concat(%s, %s) {axis=1}
  %l = argmax(%x) {axes=[2]}
  return %q, %u, %v, %l
}
)",
                   "f", {0, 1, 8, 9}, {});
}

// The writer of a donated parameter reads other elements of it than the one it writes: what is only
// moved must be copied, what a kernel reads across must be computed before.
TEST(Agreement, DonatedStateReadAcross) {
  const char* text = R"(
func @f(%s: f32[16,16], %t: f32[8]) -> (f32[16,16] into %s, f32[8] into %t) {
  %a = transpose(%s) {perm=[1,0]}
  %b = abs(%a)
  %c = add(%s, %b)
  %r = reverse(%t) {axes=[0]}
  return %c, %r
}
)";
  expect_agreement(text, "f", {0}, {}, {1, 2, 3}, 3);
  const graph::Module m = passes::run_graph_passes(graph::parse(text));
  passes::StepReport report;
  lower_function(m, m.at("f"), {}, {}, &report);
  EXPECT_EQ(report.copies, 1);
}

TEST(Agreement, RowKernelsWithLanes) {
  for (int lanes : {4, 8, 16})
    expect_agreement(R"(
func @f[B <= 5 plan 4](%x: f32[B,100]) -> (f32[B,100], f32[B]) {
  %m = reduce_max(%x) {axes=[1]}
  %mb = broadcast(%m) {dims=[0], shape=[B,100]}
  %s = sub(%x, %mb)
  %e = exp(%s)
  %t = reduce_sum(%e) {axes=[1]}
  %tb = broadcast(%t) {dims=[0], shape=[B,100]}
  %p = div(%e, %tb)
  return %p, %t
}
)",
                     "f", {0, 1, 4, 5}, {lanes, {}, ""});
}

TEST(Agreement, ScanCondWhileAndScatter) {
  for (const bool parallel : {false, true})
    expect_agreement(R"(
func @cell(%w: f32[3,3], %h: f32[2,3], %x: f32[2,3]) -> (f32[2,3], f32[2,3]) {
  %m = einsum(%h, %w) {spec="bi,ij->bj"}
  %s = add(%m, %x)
  %t = tanh(%s)
  return %t, %s
}
func @double(%x: f32[4]) -> (f32[4]) {
  %y = add(%x, %x)
  return %y
}
func @same(%x: f32[4]) -> (f32[4]) {
  %y = neg(%x)
  return %y
}
func @less(%x: f32[], %n: i64[]) -> (bool[]) {
  %t = constant() {value=100.0, dtype=f32, shape=[]}
  %c = lt(%x, %t)
  return %c
}
func @grow(%x: f32[], %n: i64[]) -> (f32[], i64[]) {
  %k = constant() {value=3.0, dtype=f32, shape=[]}
  %y = mul(%x, %k)
  %one = constant() {value=1, dtype=i64, shape=[]}
  %m = add(%n, %one)
  return %y, %m
}
func @f(%w: f32[3,3], %h: f32[2,3], %xs: f32[5,2,3], %p: f32[4], %a: f32[], %n: i64[], %ids: i32[6], %u: f32[6,20], %table: f32[4,20])
    -> (f32[2,3], f32[5,2,3], f32[4], f32[], i64[], f32[4,20]) {
  %s: (f32[2,3], f32[5,2,3]) = scan(%w, %h, %xs) {function=@cell, consts=1, carries=1, length=[5]}
  %hn = get(%s) {index=0}
  %ys = get(%s) {index=1}
  %z = constant() {value=0.0, dtype=f32, shape=[]}
  %c = gt(%a, %z)
  %q = cond(%c, %p) {then=@double, otherwise=@same}
  %l: (f32[], i64[]) = while(%a, %n) {condition=@less, body=@grow, bound=7}
  %x = get(%l) {index=0}
  %k = get(%l) {index=1}
  %t = scatter_add(%table, %ids, %u)
  return %hn, %ys, %q, %x, %k, %t
}
)",
                     "f", {0}, {0, {}, "", parallel}, {1, 2, 3, 7});
}

// A branch and a loop within a loop, each with temporaries of its own.
TEST(Agreement, NestedControlFlow) {
  const std::string head = R"(
func @left(%h: f32[6,7], %w: f32[7,7]) -> (f32[6,7]) {
  %m = einsum(%h, %w) {spec="bi,ij->bj"}
  %n = einsum(%m, %w) {spec="bi,ji->bj"}
  %t = tanh(%n)
  return %t
}
func @right(%h: f32[6,7], %w: f32[7,7]) -> (f32[6,7]) {
  %g = einsum(%h, %h) {spec="bi,ci->bc"}
  %s = reduce_sum(%g) {axes=[0]}
  %sb = broadcast(%s) {dims=[0], shape=[6,7]}
  %t = sub(%h, %sb)
  %u = sin(%t)
  return %u
}
func @small(%h: f32[6,7], %n: i64[]) -> (bool[]) {
  %a = abs(%h)
  %s = reduce_sum(%a) {axes=[0,1]}
  %t = constant() {value=30.0, dtype=f32, shape=[]}
  %c = lt(%s, %t)
  return %c
}
func @grow(%h: f32[6,7], %n: i64[]) -> (f32[6,7], i64[]) {
  %k = constant() {value=1.5, dtype=f32, shape=[6,7]}
  %t = transpose(%h) {perm=[1,0]}
  %m = einsum(%h, %t) {spec="bi,ib->b"}
  %mb = broadcast(%m) {dims=[0], shape=[6,7]}
  %p = mul(%h, %k)
  %q = add(%p, %mb)
  %one = constant() {value=1, dtype=i64, shape=[]}
  %m1 = add(%n, %one)
  return %q, %m1
}
func @cell(%w: f32[7,7], %h: f32[6,7], %n: i64[], %x: f32[6,7]) -> (f32[6,7], i64[], f32[7]) {
  %a = add(%h, %x)
  %s = reduce_sum(%a) {axes=[0,1]}
  %z = constant() {value=0.0, dtype=f32, shape=[]}
  %c = gt(%s, %z)
  %b = cond(%c, %a, %w) {then=@left, otherwise=@right}
  %l: (f32[6,7], i64[]) = while(%b, %n) {condition=@small, body=@grow, bound=4}
  %g = get(%l) {index=0}
  %k = get(%l) {index=1}
  %d = cond(%c, %g, %w) {then=@right, otherwise=@left}
  %r = reduce_max(%g) {axes=[0]}
  return %d, %k, %r
}
func @f(%w: f32[7,7], %h: f32[6,7], %n: i64[], %xs: f32[5,6,7]) -> (f32[6,7], i64[], f32[5,7]) {
  %s: (f32[6,7], i64[], f32[5,7]) = scan(%w, %h, %n, %xs) {function=@cell, consts=1, carries=2, length=[5], reverse=)",
                    tail = R"(}
  %hn = get(%s) {index=0}
  %k = get(%s) {index=1}
  %ys = get(%s) {index=2}
  return %hn, %k, %ys
}
)";
  for (const bool parallel : {false, true})
    for (const char* way : {"false", "true"})
      expect_agreement(head + way + tail, "f", {0}, {0, {}, "", parallel}, {1, 2, 3, 7});
}

// Sums whose ends depend on where their results are, along each axis that lanes or rows of a tile could take,
// and one within another; terms that padding makes zero are left out.
TEST(Agreement, SumsOverPartOfTheirTerms) {
  const char* text = R"(
func @f[B <= 37](%x: f32[B,19,21], %w: f32[21,18], %g: f32[B,6,5,3], %v: f32[5,5,7,3]) -> (f32[B,19,18], f32[B,18], f32[B,19,18], f32[B,10,9,7]) {
  %lower = einsum(%x, %w) {spec="bik,kj->bij", where="%i - %k"}
  %sum = einsum(%x, %w) {spec="bik,kj->bj", where="%i + %k - %j - 3, 30 - %i - 2*%k"}
  %none = einsum(%x, %w) {spec="bik,kj->bij", where="%k - %i - %j - 2"}
  %p = pad(%g) {low=[0,4,4,0], high=[0,4,4,0], interior=[0,0,0,0], value=0.0}
  %windows = windows(%p) {axes=[1,2], window=[5,5], stride=[1,1], dilation=[1,1]}
  %image = einsum(%windows, %v) {spec="biujvo,uvco->bijc"}
  return %lower, %sum, %none, %image
}
)";
  for (const bool parallel : {false, true})
    for (const int lanes : {4, 8, 16})
      expect_agreement(text, "f", {0, 1, lanes, 2 * lanes + 5}, {lanes, {}, "", parallel}, {1, 2, 3});
  EXPECT_TRUE(passes::run_graph_passes(graph::parse(text)).at("f").nodes.back().attrs.has("where"));
}

// Masks of places: blocks of rows leave out the terms that are zero in all of them, in sums over rows and
// over columns.
TEST(Agreement, MaskedRowsLeaveOutTheirTerms) {
  const char* text = R"(
func @f[B <= 9](%s: f32[B,3,48,48], %v: f32[B,48,3,20], %d: f32[B,3,48,20]) -> (f32[B,3,48,20], f32[B,48,3,20], f32[B,3,48,20]) {
  %j = iota() {axis=1, dtype=i32, shape=[48,48]}
  %i = iota() {axis=0, dtype=i32, shape=[48,48]}
  %m = le(%j, %i)
  %mask = broadcast(%m) {dims=[2,3], shape=[B,3,48,48]}
  %low = constant() {dtype=f32, shape=[B,3,48,48], value=-inf}
  %masked = select(%mask, %s, %low)
  %a = exp(%masked)
  %one = constant() {dtype=i32, shape=[48,48], value=17}
  %back = sub(%i, %one)
  %g = gt(%j, %back)
  %near = and(%m, %g)
  %close = broadcast(%near) {dims=[2,3], shape=[B,3,48,48]}
  %0 = constant() {dtype=f32, shape=[B,3,48,48], value=0.0}
  %c = select(%close, %s, %0)
  %y = einsum(%a, %v) {spec="bhij,bjhd->bhid"}
  %t = einsum(%a, %d) {spec="bhij,bhid->bjhd"}
  %n = einsum(%c, %v) {spec="bhij,bjhd->bhid"}
  return %y, %t, %n
}
)";
  for (const bool parallel : {false, true})
    for (const int lanes : {4, 8, 16})
      expect_agreement(text, "f", {0, 1, 9}, {lanes, {}, "", parallel}, {1, 2, 3});
  int left_out = 0;
  const graph::Module m = passes::run_graph_passes(graph::parse(text));
  for (const graph::Node& n : m.at("f").nodes) left_out += n.attrs.has("where");
  EXPECT_EQ(left_out, 3);
}

// Slices side by side along the only axis, which threads share in pieces, and along one of two.
TEST(Agreement, SlicesSideBySide) {
  const char* text = R"(
func @f[B <= 37](%x: f32[16], %y: f32[32], %g: f32[B,16], %h: f32[B,32]) -> (f32[48], f32[B,48]) {
  %a = pad(%x) {low=[0], high=[32], interior=[0], value=0.0}
  %b = pad(%y) {low=[16], high=[0], interior=[0], value=-0.0}
  %c = add(%a, %b)
  %d = pad(%g) {low=[0,0], high=[0,32], interior=[0,0], value=0.0}
  %e = pad(%h) {low=[0,16], high=[0,0], interior=[0,0], value=1.0}
  %f = mul(%d, %e)
  return %c, %f
}
)";
  for (const bool parallel : {false, true})
    for (const int lanes : {4, 8, 16})
      expect_agreement(text, "f", {0, 1, 37}, {lanes, {}, "", parallel}, {1, 2, 3});
}

// Contractions of few outputs, parted along an axis whose end falls before, at and behind the end of a part.
TEST(Agreement, PartedContractions) {
  const char* text = R"(
func @f[B <= 2300](%x: f32[B,3], %y: f32[B,2], %v: f32[B], %m: f64[B,40], %c: f32[3,2]) -> (f32[3,2], f32[], f64[], f64[40], f32[3,2], f32[3]) {
  %a = einsum(%x, %y) {spec="bi,bj->ij"}
  %s = einsum(%v, %v) {spec="b,b->"}
  %d = einsum(%m, %m) {spec="bk,bk->"}
  %e = einsum(%m, %m) {spec="bk,bk->k"}
  %g = einsum(%x, %y, %c) {spec="bi,bj->ij"}
  %h = einsum(%x, %v) {spec="bi,b->i"}
  return %a, %s, %d, %e, %g, %h
}
)";
  for (int lanes : {4, 8, 16})
    expect_agreement(text, "f", {0, 1, 256, 271, 272, 273, 2300}, {lanes, {}, ""}, {1, 2, 3});
}

// Partial results wider than what is summed, in every order, in kernels too.
TEST(Agreement, WideAccumulators) {
  const char* text = R"(
func @f[B <= 70](%x: f32[B,70], %y: f32[70,9], %c: f32[B,9]) -> (f32[B], f32[70], f32[70], f32[B,9], f32[B]) {
  %a = reduce_sum(%x) {axes=[1], order="lanes", accumulator=f64}
  %b = reduce_sum(%x) {axes=[0], accumulator=f64}
  %d = reduce_sum(%x) {axes=[0], order="pairwise", accumulator=f64}
  %e = einsum(%x, %y, %c) {spec="bk,kj->bj", fma=true, accumulator=f64}
  %t = tanh(%x)
  %g = einsum(%t, %x) {spec="bk,bk->b", fma=true, order="lanes", accumulator=f64}
  return %a, %b, %d, %e, %g
}
)";
  for (int lanes : {4, 8, 16}) expect_agreement(text, "f", {0, 1, 33, 70}, {lanes, {}, ""}, {1, 3});
}

// The barriers of one side of a branch do not separate what stands before it from the other side: %x and the
// temporary of @two may not share memory.
TEST(Agreement, BranchAfterTemporary) {
  const graph::Module m = passes::run_graph_passes(graph::parse(R"(
func @one(%p: f32[48,48]) -> (f32[48,48]) {
  %y = neg(%p)
  return %y
}
func @two(%p: f32[48,48]) -> (f32[48,48]) {
  %m = einsum(%p, %p) {spec="ab,bc->ac"}
  %n = einsum(%m, %p) {spec="ab,bc->ac"}
  return %n
}
func @f(%p: f32[48,48], %q: f32[48,48], %c: bool[]) -> (f32[48,48], f32[48,48]) {
  %x = einsum(%q, %q) {spec="ab,bc->ac"}
  %y = einsum(%q, %x) {spec="ab,bc->ac"}
  %z = cond(%c, %p) {then=@one, otherwise=@two}
  return %y, %z
}
)"));
  const graph::Function& f = m.at("f");
  const CompiledFunction compiled(m, f, {});
  std::vector<Tensor> args = random_arguments(f, {}, 5);
  for (const int taken : {0, 1}) {
    args[2].set(0, taken);
    const std::vector<Tensor> want = interpret(m, f, args);
    expect_equal(want, interpret_step(f, compiled.step(), args, {.threads = 3, .order_seed = 5}),
                 "interpreted");
    expect_equal(want, compiled.run(args, 3), "compiled");
  }
}

// Nothing is added to a table without rows, nor read from one.
TEST(Agreement, TablesWithoutRows) {
  const graph::Module m = graph::parse(R"(
func @none(%x: f32[0,2], %i: i32[3], %u: f32[3,2]) -> (f32[0,2]) {
  %y = scatter_add(%x, %i, %u)
  return %y
}
func @add[B <= 8 plan 8](%x: f32[B,2], %i: i32[3], %u: f32[3,2]) -> (f32[B,2]) {
  %y = scatter_add(%x, %i, %u)
  return %y
}
func @read[B <= 8 plan 8](%x: f32[B,2], %i: i32[3]) -> (f32[3,2]) {
  %y = gather(%x, %i)
  return %y
}
)");
  for (const char* name : {"none", "add"}) {
    const graph::Function& f = m.at(name);
    for (const int64_t rows : {0, 5}) {
      if (rows > 0 && name == std::string("none")) continue;
      const std::vector<Tensor> args = random_arguments(f, {{"B", rows}}, 3);
      for (const int threads : {1, 3})
        expect_equal(interpret(m, f, args), CompiledFunction(m, f, {}).run(args, threads), name);
    }
  }
  const graph::Function& f = m.at("read");
  const CompiledFunction read(m, f, {});
  read.run(random_arguments(f, {{"B", 1}}, 3), 1);
  EXPECT_THROW(read.run(random_arguments(f, {{"B", 0}}, 3), 1), std::runtime_error);
}

// Over no axes a reduction is its operand, alone and in a group, over symbolic extents too.
TEST(Agreement, ReductionsOverNoAxes) {
  for (const char* op : {"reduce_sum", "reduce_prod", "reduce_max", "reduce_min"}) {
    const std::string text = fmt::format(R"(
func @f[B <= 9 plan 8](%x: f32[B,33], %y: f64[]) -> (f32[B,33], f64[], f32[B]) {{
  %0 = {}(%x) {{axes=[]}}
  %1 = exp(%0)
  %2 = {}(%y) {{axes=[]}}
  %3 = reduce_sum(%1) {{axes=[1]}}
  return %0, %2, %3
}}
)",
                                         op, op);
    for (int lanes : {4, 8, 16}) expect_agreement(text, "f", {0, 5}, {lanes, {}, ""});
  }
}

TEST(Agreement, BitcastsOfBool) {
  const std::string text = R"(
func @f(%x: bool[19], %y: u8[19]) -> (u8[19], bool[19], bool[19]) {
  %0 = bitcast(%x) {dtype=u8}
  %1 = bitcast(%y) {dtype=bool}
  %2 = bitcast(%x) {dtype=bool}
  return %0, %1, %2
}
)";
  for (int lanes : {4, 8, 16}) expect_agreement(text, "f", {1}, {lanes, {}, ""});
}

// A value that is written to memory and summed: in the edge tile its rows outside are computed, not written.
TEST(Agreement, EdgeTileWritesWhatItSums) {
  const std::string text = R"(
func @f[B <= 9 plan 8](%x: f32[B,33], %y: f32[2,33]) -> (f32[B,33], f32[B,33]) {
  %0 = neg(%x)
  %1 = einsum(%0, %y) {spec="ab,xb->ab"}
  return %1, %0
}
)";
  for (int lanes : {4, 8, 16}) expect_agreement(text, "f", {0, 1, 7, 8, 9}, {lanes, {}, ""});
}

// Every special value beside every other, each way round: the larger of two zeros is 0, NaN stays NaN.
TEST(Agreement, LargerAndSmallerOfSpecialValues) {
  for (const DType t : {DType::F32, DType::F64}) {
    const std::string text = fmt::format(R"(
func @f(%x: {0}[10,10], %y: {0}[10,10]) -> ({0}[10,10], {0}[10,10], {0}[10], {0}[10]) {{
  %0 = max(%x, %y)
  %1 = min(%x, %y)
  %2 = reduce_max(%0) {{axes=[1]}}
  %3 = reduce_min(%0) {{axes=[0]}}
  return %0, %1, %2, %3
}}
)",
                                         name_of(t));
    const graph::Module m = passes::run_graph_passes(graph::parse(text));
    std::vector<Tensor> args;
    for (int i = 0; i < 2; ++i) args.emplace_back(t, std::vector<int64_t>{10, 10});
    for (int64_t i = 0; i < 100; ++i) {
      set_special(args[0], i, static_cast<uint64_t>(i / 10));
      set_special(args[1], i, static_cast<uint64_t>(i % 10));
    }
    const std::vector<Tensor> want = interpret(m, m.at("f"), args);
    EXPECT_TRUE(std::isnan(want[0].at(4)));     // of 0 and NaN
    EXPECT_FALSE(std::signbit(want[0].at(1)));  // of 0 and -0
    EXPECT_TRUE(std::signbit(want[1].at(10)));  // of -0 and 0
    for (int lanes : {4, 8, 16})
      EXPECT_EQ(difference(want, CompiledFunction(m, m.at("f"), options_of({lanes, {}, ""})).run(args, 1)),
                "")
          << name_of(t) << " " << lanes;
  }
}

}  // namespace
}  // namespace gradc::test
