// The kernel and step interpreters on text worked out by hand: orders, guards, and each of their checks.
#include <gtest/gtest.h>

#include <cstring>

#include "ir/step/step.h"
#include "support/check.h"

namespace gradc {
namespace {

using kernel::Interpreter;
using kernel::Memory;

Memory memory(std::vector<float>& v) {
  return {reinterpret_cast<std::byte*>(v.data()), static_cast<int64_t>(v.size() * sizeof(float))};
}

// The values of %y after running the kernel on %x.
std::vector<float> run(const std::string& text, std::vector<float> x, size_t results,
                       Interpreter::Options o = {}) {
  const kernel::Kernel k = kernel::parse_kernel(text);
  std::vector<float> y(results, -1), scratch(64);
  std::vector<Memory> buffers{memory(x), memory(y), memory(scratch)};
  const std::map<std::string, int64_t> dims{{"B", static_cast<int64_t>(x.size())}};
  Interpreter(k, dims, o).run(buffers, {}, 0, kernel::parallel_extent(k, dims, {}));
  return y;
}

// What InternalError says.
template <class F>
std::string mistake(F&& f) {
  try {
    f();
  } catch (const InternalError& e) {
    return e.what();
  }
  return "none";
}

#define EXPECT_SAYS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST(KernelInterpreter, GuardsFillAndBind) {
  EXPECT_EQ(run(R"(kernel @k(%x: f32[B] in, %y: f32[4] out) fma=on {
  for %i0 in 0..4 parallel {
    %v0: f32 = load %x[%i0 - 1] if %i0 - 1, B - %i0 else 7.5
    %v1: i64 = convert(%v0)
    bind %i1 = %v1
    %v2: i64 = axis(2*%i1 + floordiv(%i1, 2))
    %v3: f32 = convert(%v2)
    store %y[%i0] = %v3
  }
}
)",
                {1, 2}, 4),
            (std::vector<float>{17, 2, 5, 17}));
}

TEST(KernelInterpreter, TreeJoinsHalves) {
  // (a0 + a2) + (a1 + a3); from left to right it would be 1.
  EXPECT_EQ(run(R"(kernel @k(%x: f32[4] in, %y: f32[1] out) fma=on {
  tile %t: f32[4]
  for %i0 in 0..4 vector {
    %v0: f32 = load %x[%i0]
    store %t[%i0] = %v0
  }
  %v1: f32 = tree %t[] add
  store %y[0] = %v1
}
)",
                {1e8f, 1, -1e8f, 1}, 1),
            std::vector<float>{2});
}

TEST(KernelInterpreter, FusedMultiplyAddRoundsAsTheKernelSays) {
  const std::string text = R"(kernel @k(%x: f32[2] in, %y: f32[1] out) fma=on {
  %v0: f32 = load %x[0]
  %v1: f32 = load %x[1]
  %v2: f32 = fma(%v0, %v0, %v1)
  store %y[0] = %v2
}
)";
  const float a = 1 + 0x1p-12f;
  EXPECT_EQ(run(text, {a, -a * a}, 1)[0], 0x1p-24f);
  std::string off = text;
  off.replace(off.find("fma=on"), 6, "fma=off");
  EXPECT_EQ(run(off, {a, -a * a}, 1)[0], 0);
}

TEST(KernelInterpreter, LoopsThatClaimIndependenceRunBothWays) {
  const std::string text = R"(kernel @k(%x: f32[B] in, %y: f32[1] inout) fma=on {
  for %i0 in 0..3 unroll {
    %v0: f32 = load %x[%i0]
    store %y[0] = %v0
  }
}
)";
  EXPECT_EQ(run(text, {1, 2, 3}, 1)[0], 3);
  EXPECT_EQ(run(text, {1, 2, 3}, 1, {.descending = true})[0], 1);
}

TEST(KernelInterpreter, Checks) {
  const std::string head = "kernel @k(%x: f32[2,2] in, %y: f32[4] out) fma=on {\n  scratch %s: f32[4]\n";
  const auto says = [&](const std::string& body) {
    return mistake([&] { run(head + body + "}\n", {1, 2, 3, 4}, 4); });
  };
  // Inside the buffer, but outside its row.
  EXPECT_SAYS(says("%v0: f32 = load %x[0, 2]\n"), "index 2 of 2 on axis 1 of %x");
  EXPECT_SAYS(says("%v0: f32 = load %x[0, -1]\n"), "index -1 of 2");
  EXPECT_SAYS(says("%v0: f32 = load %s[1]\n"), "element 1 of %s is read before it is written");
  // Written by one iteration of the parallel loop, read by the next.
  EXPECT_SAYS(says(R"(for %i0 in 0..4 parallel {
  %v0: f32 = const(1.0)
  if -%i0 {
    store %s[0] = %v0
  }
  %v1: f32 = load %s[0]
})"),
              "element 0 of %s is read before it is written");
}

// Two kernels, the second of which turns the order of its elements round, so that other threads read them.
std::string two_runs(const std::string& between, const std::string& places = "128 256") {
  const size_t space = places.find(' ');
  return fmt::format(R"(kernel @fill(%y: f32[B] out) fma=on {{
  for %i0 in 0..B parallel {{
    %v0: i64 = axis(%i0 + 1)
    %v1: f32 = convert(%v0)
    store %y[%i0] = %v1
  }}
}}

kernel @turn(%x: f32[B] in, %y: f32[B] out) fma=on {{
  for %i0 in 0..B parallel {{
    %v0: f32 = load %x[B - %i0 - 1]
    store %y[%i0] = %v0
  }}
}}

step @s[B <= 8] state=0 io=64 scratch=320 {{
  buffer %out: f32[B] io at 0
  buffer %a: f32[B] scratch at {}
  buffer %b: f32[B] scratch at {}
  buffer %flag: bool[] scratch at 0
  inputs
  outputs %out
  run 0(%a)  // @fill
{}  run 1(%a, %out)  // @turn
}}
)",
                     places.substr(0, space), places.substr(space + 1), between);
}
std::string run_step(const std::string& text, int threads, uint64_t order = 1) {
  const step::Step s = step::parse_step(text);
  std::vector<float> io(16);
  return mistake([&] {
    step::interpret(s, nullptr, reinterpret_cast<std::byte*>(io.data()),
                    {.dims = {{"B", 5}}, .threads = threads, .order_seed = order});
    for (int i = 0; i < 5; ++i) EXPECT_EQ(io[static_cast<size_t>(i)], static_cast<float>(5 - i));
  });
}

TEST(StepInterpreter, FindsRacesWithoutLuck) {
  EXPECT_EQ(run_step(two_runs("  barrier\n"), 1), "none");
  EXPECT_EQ(run_step(two_runs("  barrier\n"), 3), "none");
  EXPECT_EQ(run_step(two_runs(""), 1), "none");
  for (uint64_t order = 0; order < 6; ++order) {
    const std::string race = run_step(two_runs(""), 2, order);
    EXPECT_SAYS(race, "race");
    EXPECT_SAYS(race, "in @fill on %a");
    EXPECT_SAYS(race, "in @turn on %a");
    EXPECT_SAYS(race, "thread 0");
    EXPECT_SAYS(race, "thread 1");
  }
}

TEST(StepInterpreter, ABranchIsNoBarrier) {
  // The side without the barrier is taken.
  const std::string branch = "  if %flag {\n  } else {\n    barrier\n  }\n";
  EXPECT_SAYS(run_step(two_runs(branch), 2), "race");
  EXPECT_SAYS(run_step(two_runs(branch), 1), "a branch on %flag reads what nobody wrote");
}

TEST(StepInterpreter, FindsStaleScratch) {
  EXPECT_SAYS(run_step(two_runs("  barrier\n  run 0(%b)\n  barrier\n", "128 128"), 1),
              "on %a reads what was last written as %b");
  EXPECT_SAYS(run_step(two_runs("  barrier\n  run 1(%b, %a)\n  barrier\n"), 1),
              "on %b reads what nobody wrote");
  EXPECT_EQ(run_step(two_runs("  barrier\n  run 0(%b)\n  barrier\n"), 3), "none");
}

}  // namespace
}  // namespace gradc
