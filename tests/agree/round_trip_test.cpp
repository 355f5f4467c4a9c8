// Kernel and step text, and graph text with groups: what is printed is read back as what it was, over the
// examples, the texts of the passes' tests and random graphs; what is wrong is told with its place.
#include <filesystem>
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

// Schedules that are read back are carried out alike.
void expect_planned_round_trip(const graph::Module& m, const graph::Function& f, const CompileOptions& o) {
  passes::StepOptions plan = step_options(o), rest = plan;
  plan.after = "plan", rest.from = "schedule";
  step::Step planned = passes::build_step(m, f, plan);
  ASSERT_EQ(planned.schedules.size(), planned.kernels.size());
  const std::string text = step::print(planned);
  step::Step again = step::parse_step(text);
  ASSERT_EQ(step::print(again), text);
  passes::run_step_passes(planned, rest);
  passes::run_step_passes(again, rest);
  ASSERT_EQ(step::print(again), step::print(planned));
  ASSERT_EQ(step::print(planned), step::print(lower_function(m, f, o, {}, 0)));
}

// The groups of a function of primitives; what is read back lowers to the same step.
void expect_fused_round_trip(const graph::Module& made, const std::string& name) {
  const CompileOptions o;
  const graph::Module m = graph::parse(graph::print(made));  // no two nodes of one name
  const graph::Function& f = m.at(name);
  for (const char* without : {"", "fuse"}) {
    passes::StepOptions options = step_options(o);
    if (*without) options.without = {without};
    const passes::FusedStep fused = passes::run_fuse(m, f, options);
    const std::string text = passes::print(m, fused);
    const passes::ParsedStep again = passes::parse_fused(text);
    ASSERT_EQ(passes::print(again.module, again.fused), text);
    passes::verify(again.module, again.fused);
    ASSERT_EQ(step::print(passes::run_lower(again.module, again.fused)),
              step::print(passes::run_lower(m, fused)));
  }
}

std::string read(const std::filesystem::path& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

TEST(RoundTrip, GroupsOfTheTestsOfPasses) {
  int functions = 0;
  for (const passes::PassInfo& p : passes::all_passes()) {
    if (p.stage != passes::Stage::Graph && p.stage != passes::Stage::Fuse) continue;
    for (const auto& e :
         std::filesystem::directory_iterator(GRADC_SOURCE_DIR "/tests/passes/" + std::string(p.name))) {
      if (e.path().extension() != ".in") continue;
      SCOPED_TRACE(e.path());
      const graph::Module m = passes::run_graph_passes(graph::parse(read(e.path())));
      for (const auto& [name, f] : m.functions) expect_fused_round_trip(m, name), ++functions;
      if (testing::Test::HasFailure()) return;
    }
  }
  EXPECT_GT(functions, 15);
}

TEST(RoundTrip, Examples) {
  for (const char* file : {"mnist_sgd.ir", "mnist_adam.ir"}) {
    const std::string text = read(std::string(GRADC_SOURCE_DIR) + "/examples/ir/" + file);
    const graph::Module m = passes::run_graph_passes(graph::parse(text));
    expect_fused_round_trip(m, "train_step");
    for (const int lanes : {4, 8, 16})
      expect_round_trip(lower_function(m, m.at("train_step"), options_of({lanes, {}, ""})));
  }
}

TEST(RoundTrip, RandomGraphs) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    const std::string text = graph::print(RandomGraph(seed).make());
    const graph::Module m = passes::run_graph_passes(graph::parse(text));
    expect_round_trip(lower_function(m, m.at("f"), options_of({4 << (seed % 3), {}, ""})));
    expect_fused_round_trip(m, "f");
    expect_planned_round_trip(m, m.at("f"), options_of({4 << (seed % 3), {}, "", seed % 2 == 0}));
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

TEST(RoundTrip, MistakesInGroups) {
  const std::string good = R"(func @g(%x: f32[B,4]) -> (f32[B]) {
  %e: f32[B,4] = exp(%x)
  %s: f32[B] = reduce_sum(%e) {axes=[1]}
  return %s
}

fuse @g {
  group (i: B) {
    %e depth 1 scratch
    %s depth 1 memory
  }
}

func @f(%w: f32[8], %x: f32[8], %i: i32[2], %u: f32[2]) -> (f32[8] into %w, f32[8], f32[8]) {
  %t: f32[8] = scatter_add(%x, %i, %u)
  %c: f32[8] = constant() {dtype=f32, shape=[8], value=2.0}
  %n: f32[8] = mul(%x, %c)
  return %x, %n, %t
}

fuse @f state=128 {
  group opaque { %t }
  group (i: 8) {
    %n depth 1 register memory
  }
  inline %c
  copied %w
  state %w at 64
}
)";
  const passes::ParsedStep read_back = passes::parse_fused(good);
  EXPECT_EQ(read_back.fused.entry, "f");
  const auto parse = [](const std::string& t) { passes::parse_fused(t, 7); };
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    return text;
  };
  expect_mistake(with("fuse @g", "fuse @h"), "@h does not stand before its groups", " {", parse);
  expect_mistake(good.substr(0, good.find("fuse @f")), "expected 'fuse @f'", "", parse);
  expect_mistake(good.substr(0, good.find("fuse @g")) + good.substr(good.find("func @f")),
                 "expected 'fuse @g'", "func @f", parse);
  expect_mistake(with("func @f", "func @g"), "@g is defined twice", "func @g", parse);
  expect_mistake(good + "fuse @f {\n}", "@f has groups already", " {\n}", parse);
  expect_mistake(with("(i: B)", "(i: B, i: 4)"), "axis i is named twice", ": 4", parse);
  expect_mistake(with("%e depth", "%q depth"), "%q is not defined", " depth", parse);
  expect_mistake(with("%s depth", "%e depth"), "%e has a place already", " depth", parse);
  expect_mistake(with("%s depth 1 memory", ""), "%s is in no group", "}\n\nfunc @f", parse);
  expect_mistake(with("%s depth 1", "%s depth 2"), "depth 2 of 1 axes", " memory", parse);
  expect_mistake(with("%s depth 1 memory", "%s depth 1 disk"), "expected 'memory'", "disk", parse);
  expect_mistake(with("{ %t }", "{ }"), "an opaque group has one member", "\n  group", parse);
  expect_mistake(with("copied %w", "copied %n"), "expected a parameter", "\n  state", parse);
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

TEST(RoundTrip, MistakesInSchedules) {
  const std::string good = R"(schedule @k "elementwise" {
  split i0 by 16 -> i0.o, i0.i  "threads share"
  vectorise i0.i  "contiguous"
}
kernel @k(%x: f32[B] in) fma=on {
}

schedule @l "scalars" {
}
kernel @l(%x: f32[B] in) fma=on {
}

step @s[B <= 9 plan 64] state=0 io=0 scratch=0 {
  buffer %a: f32[B] io at -1
  inputs %a
  outputs
  run 0(%a)  // @k
  run 1(%a)  // @l
}
)";
  EXPECT_EQ(step::print(step::parse_step(good)), good);
  const auto parse = [](const std::string& t) { step::parse_step(t, 7); };
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    return text;
  };
  expect_mistake(with("schedule @k", "schedule @h"), "the schedule before @k is one of @h", "kernel @k",
                 parse);
  expect_mistake(with("schedule @l \"scalars\" {\n}\n", ""), "1 of 2 kernels have a schedule", "kernel @l",
                 parse);
  expect_mistake(with("by 16", "by many"), "expected an integer", "many", parse);
  expect_mistake(with("\"contiguous\"", ""), "expected '\"'", "}", parse);
  expect_mistake(with("contiguous\"", "contiguous"), "a string is not closed", "contiguous", parse);
  expect_mistake(with("-> i0.o", "->"), "expected a name", ", i0.i", parse);
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
