// Kernel and step text: what is printed is read back as what it was, over the examples and random graphs;
// what is wrong is told with its place.
#include <fstream>

#include "agree/harness.h"
#include "agree/random_graph.h"
#include "support/diagnostic.h"

namespace gradc::test {
namespace {

void expect_round_trip(const step::Step& s) {
  for (const kernel::Kernel& k : s.kernels) {
    const std::string text = kernel::print(k);
    const kernel::Kernel again = kernel::parse_kernel(text);
    ASSERT_EQ(kernel::print(again), text);
    ASSERT_EQ(kernel::canonical_text(again), kernel::canonical_text(k));
    kernel::verify(again);
  }
  const std::string text = step::print(s);
  const step::Step again = step::parse_step(text);
  ASSERT_EQ(step::print(again), text);
  step::verify(again);
}

TEST(RoundTrip, Examples) {
  for (const char* file : {"mnist_sgd.ir", "mnist_adam.ir"}) {
    std::ifstream in(std::string(GRADC_SOURCE_DIR) + "/examples/ir/" + file);
    const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    const graph::Module m = passes::run_graph_passes(graph::parse(text));
    for (const int lanes : {4, 8, 16})
      expect_round_trip(lower_function(m, m.at("train_step"), options_of({lanes, {}, ""}), {}, 0));
  }
}

TEST(RoundTrip, RandomGraphs) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    const std::string text = graph::print(RandomGraph(seed).make());
    const graph::Module m = passes::run_graph_passes(graph::parse(text));
    expect_round_trip(lower_function(m, m.at("f"), options_of({4 << (seed % 3), {}, ""}), {}, 0));
    if (testing::Test::HasFailure()) return;
  }
}

// The text of the mistake and the text that its place marks.
template <class F>
void expect_mistake(const std::string& text, const std::string& why, const std::string& where, F&& parse) {
  try {
    parse(text);
    ADD_FAILURE() << "no mistake found: " << why;
  } catch (const CompileError& e) {
    EXPECT_NE(std::string(e.what()).find(why), std::string::npos) << e.what();
    const Loc at = e.diagnostic.loc;
    EXPECT_EQ(at.file, 7u);
    EXPECT_TRUE(std::string_view(text).substr(at.begin).starts_with(where))
        << "at: " << text.substr(at.begin, 20);
  }
}

TEST(RoundTrip, MistakesInKernels) {
  const std::string good = R"(kernel @k(%x: f32[B,4] in, %y: f32[B] out; %i0) fma=on {
  tile %t: f32[4]
  for %i1 in 0..B {
    %v0: f32 = load %x[%i1, 2] if %i1 - 1 else 0.5
    %v1: f32 = add(%v0, %v0)
    store %y[%i1] = %v1
  }
}
)";
  EXPECT_EQ(kernel::print(kernel::parse_kernel(good)), good);
  const auto parse = [](const std::string& t) { kernel::parse_kernel(t, 7); };
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    return text;
  };
  expect_mistake(with("store %y", "store %z"), "no buffer %z", "[%i1] = ", parse);
  expect_mistake(with("store %y[%i1]", "store %x[%i1, 0]"), "only read", "\n  }", parse);
  expect_mistake(with("%x[%i1, 2]", "%x[%i1]"), "1 indices for %x", " if", parse);
  expect_mistake(with("%x[%i1, 2]", "%x[%i3, 2]"), "%i3 is no variable", ", 2]", parse);
  expect_mistake(with("0..B", "0..%i1"), "%i1 is no variable", " {", parse);
  expect_mistake(with("add(%v0, %v0)", "add(%v0, %v7)"), "%v7 has no value", ")", parse);
  expect_mistake(with("add(%v0, %v0)", "plus(%v0, %v0)"), "unknown operation", "(%v0", parse);
  expect_mistake(with("%v1: f32 = add", "%v1: i32 = add"), "add does not give i32", "\n", parse);
  expect_mistake(with("%v1: f32", "%v0: f32"), "%v0 is defined twice", "\n", parse);
  expect_mistake(with("tile %t: f32[4]", "tile %t: f32[B]"), "no constant shape", "for", parse);
  expect_mistake(with("else 0.5", "else half"), "expected an integer", "half", parse);
  expect_mistake(with("%i1 in", "%i12345678 in"), "expected %i<number>", " in", parse);
  expect_mistake(with("%x[%i1, 2]", "%x[%, 2]"), "expected %i<number>", ", 2]", parse);
  std::string deep = good.substr(0, good.find("  tile"));
  for (int i = 0; i < 300; ++i) deep += "if B {\n";
  expect_mistake(deep, "nesting beyond 256", "\nif", parse);
  expect_mistake(good + "x", "end of the text", "x", parse);
  expect_mistake(good.substr(0, good.size() - 3), "expected a statement", "", parse);
}

TEST(RoundTrip, MistakesInSteps) {
  const std::string good = R"(kernel @k(%x: f32[B] in, %y: f32[B] out) fma=off {
}

step @s[B <= 9 plan 64] state=0 io=64 scratch=128 {
  buffer %a: f32[B] io at 0
  buffer %b: f32[B] scratch at 0
  buffer %c: bool[] scratch at 64
  inputs %a
  outputs
  run 0(%a, %b)  // @k
  barrier
  for %i0 in 0..B {
    if %c {
      barrier
    } else {
    }
  }
}
)";
  EXPECT_EQ(step::print(step::parse_step(good)), good);
  const auto parse = [](const std::string& t) { step::parse_step(t, 7); };
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    return text;
  };
  expect_mistake(with("run 0", "run 1"), "no kernel 1", "(%a", parse);
  expect_mistake(with("inputs %a", "inputs %d"), "no buffer %d", "\n", parse);
  expect_mistake(with("io at 0", "disk at 0"), "expected 'scratch'", "disk", parse);
  expect_mistake(with("%c: bool", "%b: bool"), "%b is declared twice", "\n", parse);
  expect_mistake(with("0..B", "0..%i0"), "%i0 is no variable", " {", parse);
  expect_mistake(with("kernel @k(%x", "kernel @k(x"), "expected ')'", "x: f32", parse);
  expect_mistake(with("} else", "}"), "expected 'else'", "{", parse);
}

}  // namespace
}  // namespace gradc::test
