// Every buffer of a function in other layouts: both interpreters and compiled code give the bits of the graph
// interpreter, extents that a block does not divide and symbolic ones included.
#include "agree/harness.h"
#include "agree/random_graph.h"
#include "layouts/draw.h"

namespace gradc::test {
namespace {

struct Case {
  const char* name;
  const char* text;
  std::vector<int64_t> batches;
};

const Case kCases[] = {
    {"elementwise and sums",
     R"(
func @f[B <= 33 plan 32](%x: f32[B,21], %c: f32[21]) -> (f32[B,21], f32[B], f32[21]) {
  %0 = broadcast(%c) {dims=[1], shape=[B,21]}
  %1 = add(%x, %0)
  %2 = tanh(%1)
  %3 = reduce_sum(%2) {axes=[1]}
  %4 = reduce_sum(%2) {axes=[0]}
  return %2, %3, %4
}
)",
     {0, 1, 5, 16, 33}},
    {"product",
     R"(
func @f[B <= 33 plan 32](%x: f32[B,19], %w: f32[19,35]) -> (f32[B,35]) {
  %0 = einsum(%x, %w) {spec="ab,bc->ac"}
  return %0
}
)",
     {0, 1, 16, 33}},
    {"weight gradient with update",
     R"(
func @f[B <= 9 plan 8](%w: f32[21,18], %x: f32[B,21], %g: f32[B,18]) -> (f32[21,18] into %w) {
  %0 = einsum(%x, %g) {spec="ba,bc->ac"}
  %1 = constant() {value=0.1, dtype=f32, shape=[21,18]}
  %2 = mul(%0, %1)
  %3 = sub(%w, %2)
  return %3
}
)",
     {1, 9}},
    {"moves",
     R"(
func @f[B <= 9 plan 8](%x: i32[B,6,8]) -> (i32[8,6,B], i32[B,48], i32[B,6,3]) {
  %0 = transpose(%x) {perm=[2,1,0]}
  %1 = reshape(%x) {shape=[B,48]}
  %2 = slice(%x) {start=[0,0,2], limit=[B,6,8], stride=[1,1,2]}
  return %0, %1, %2
}
)",
     {0, 1, 9}},
};

struct Choice {
  const char* name;
  Layout (*of)(const Type&);
};
const Choice kChoices[] = {{"transposed", [](const Type& t) { return transposed(t.rank()); }},
                           {"blocks of 4", [](const Type& t) { return blocked(t.rank(), 4); }},
                           {"blocks of 16", [](const Type& t) { return blocked(t.rank(), 16); }},
                           {"padded", [](const Type& t) { return padded(t.rank()); }}};

TEST(LayoutsOfBuffers, Agree) {
  for (const Case& c : kCases)
    for (const Choice& choice : kChoices)
      for (const int lanes : {4, 16})
        for (const int64_t tile : {0, 3}) {
          const Variant v{lanes, {}, "", true};
          CompileOptions o = options_of(v);
          o.layouts = [&](const Type& t, step::Region) { return choice.of(t); };
          o.force_rows = tile, o.force_columns = tile == 0 ? 0 : 17;
          ASSERT_EQ(disagreement(c.text, "f", {c.batches, v, {1, 3}, 2}, o), "")
              << c.name << ", " << choice.name << ", lanes " << lanes << ", tile " << tile;
        }
}

TEST(LayoutsOfBuffers, RandomGraphsAgree) {
  int with_blocks = 0;
  for (uint64_t seed = 1; seed <= 120; ++seed) {
    RandomGraph g(seed);
    const std::string text = graph::print(seed % 5 ? g.make() : g.make_gradient());
    const Variant v{4 << (seed % 3), {}, "", seed % 2 == 1};
    CompileOptions o = options_of(v);
    o.layouts = [&](const Type& t, step::Region) { return draw_layout(t, seed); };
    ASSERT_EQ(disagreement(text, "f", {{g.largest_batch()}, v, {1, 3}, 2, seed, true}, o), "")
        << "seed " << seed << "\n"
        << text;
    const graph::Module m = passes::run_graph_passes(graph::parse(text));
    const std::string step = step::print(lower_function(m, m.at("f"), o));
    with_blocks += step.find(" blocks [") != std::string::npos;
    ASSERT_EQ(step::print(step::parse_step(step)), step);
  }
  EXPECT_GT(with_blocks, 60);
}

// Text written by hand: from a transposed buffer by way of a padded one to one in blocks.
const char* kStep = R"(kernel @double(%x: f32[B,3] order [1,0] in, %y: f32[B,3] pad [0,5] out) fma=on {
  for %i0 in 0..B parallel {
    for %i1 in 0..3 vector {
      %v0: f32 = load %x[%i0, %i1]
      %v1: f32 = add(%v0, %v0)
      store %y[%i0, %i1] = %v1
    }
  }
}

kernel @turn(%x: f32[B,3] pad [0,5] in, %y: f32[B,3] blocks [0:4,1:2] out) fma=on {
  for %i0 in 0..3 {
    for %i1 in 0..B vector {
      %v0: f32 = load %x[%i1, %i0]
      store %y[%i1, %i0] = %v0
    }
  }
}

step @f[B <= 11 plan 8] state=0 io=384 scratch=384 {
  buffer %x: f32[B,3] order [1,0] io at 0
  buffer %y: f32[B,3] blocks [0:4,1:2] io at 192
  buffer %t: f32[B,3] pad [0,5] scratch at 0
  inputs %x
  outputs %y
  run 0(%x, %t)  // @double
  barrier
  run 1(%t, %y)  // @turn
}
)";

TEST(LayoutsOfBuffers, TextByHand) {
  const graph::Module m = graph::parse(R"(
func @f[B <= 11 plan 8](%x: f32[B,3]) -> (f32[B,3]) {
  %0 = add(%x, %x)
  return %0
}
)");
  const step::Step s = step::parse_step(kStep);
  EXPECT_EQ(step::print(s), kStep);
  for (const int lanes : {4, 8, 16}) {
    const CompiledFunction compiled(m.at("f"), s, options_of({lanes, {}, ""}));
    for (const int64_t batch : {0, 1, 4, 7, 11})
      ASSERT_EQ(disagreement(m, m.at("f"), compiled, batch, {{}, {lanes, {}, ""}, {1, 2, 3}}), "");
  }
}

size_t count(const std::string& text, const std::string& what) {
  size_t n = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
  return n;
}

// Blocks of whole vectors are read and written by vectors, smaller ones element by element.
TEST(LayoutsOfBuffers, BlocksOfWholeVectors) {
  const char* text = R"(
func @f[B <= 9 plan 8](%x: f32[B,67], %y: f32[B,67]) -> (f32[B,67]) {
  %0 = mul(%x, %y)
  return %0
}
)";
  for (const int64_t size : {4, 8, 32}) {
    CompileOptions o = options_of({8, {}, ""});
    o.layouts = [&](const Type&, step::Region) { return Layout::make(2, {}, {{1, size}, {0, 2}}, {}); };
    const Layout rows = Layout::make(2, {}, {{0, 2}, {1, size}}, {});
    EXPECT_EQ(disagreement(text, "f", {{0, 1, 9}, {8, {}, ""}, {1, 3}}, o), "");
    o.layouts = [&](const Type&, step::Region) { return rows; };
    EXPECT_EQ(disagreement(text, "f", {{0, 1, 9}, {8, {}, ""}, {1, 3}}, o), "");
    const graph::Module m = passes::run_graph_passes(graph::parse(text));
    const step::Step s = lower_function(m, m.at("f"), o);
    const std::string llvm = codegen::emit_llvm({&s, 1}, o.codegen);
    EXPECT_EQ(count(llvm, "load <8 x float>") >= 2, size != 4) << llvm;
    EXPECT_EQ(count(llvm, "insertelement") > 0, size == 4) << llvm;
  }
}

}  // namespace
}  // namespace gradc::test
