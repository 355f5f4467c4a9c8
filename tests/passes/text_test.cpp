// Text in, text out: tests/passes/PASS/NAME.in through one pass gives NAME.out. GRADC_UPDATE=1 writes the
// latter.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "driver/run_passes.h"
#include "support/diagnostic.h"

namespace gradc {
namespace {

namespace fs = std::filesystem;

const fs::path kFolder = std::string(GRADC_SOURCE_DIR) + "/tests/passes";

std::string read(const fs::path& p) {
  std::ifstream in(p, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

std::string through(const std::string& pass, const std::string& text) {
  CompileOptions o;
  o.codegen.target.cpu = "x86-64-v3";  // schedules follow the registers
  o.segments = 2;                      // for `checkpoint`
  return run_passes(text, 0, {pass, pass, "train_step"}, o);
}

TEST(PassText, EveryPassGivesWhatItGave) {
  const bool update = std::getenv("GRADC_UPDATE") != nullptr;
  std::set<std::string> tested;
  for (const passes::PassInfo& p : passes::all_passes()) {
    if (!fs::is_directory(kFolder / p.name)) continue;
    for (const auto& e : fs::directory_iterator(kFolder / p.name)) {
      if (e.path().extension() != ".in") continue;
      const std::string got = through(std::string(p.name), read(e.path()));
      const fs::path out = fs::path(e.path()).replace_extension(".out");
      if (update) std::ofstream(out, std::ios::binary) << got;
      EXPECT_EQ(got, read(out)) << e.path() << "\nif this is right: GRADC_UPDATE=1 build/tests/test_passes";
      tested.insert(std::string(p.name));
    }
  }
  for (const passes::PassInfo& p : passes::all_passes())
    EXPECT_TRUE(tested.count(std::string(p.name))) << "no text for pass " << p.name;
}

TEST(PassText, ARangeRunsForwards) {
  const std::string text = read(kFolder / "prune" / "dead.in");
  try {
    run_passes(text, 0, {"numerics", "prune", ""}, {});
    FAIL() << "ran from numerics to prune";
  } catch (const CompileError& e) {
    EXPECT_STREQ(e.what(), "pass prune stands before numerics: there is nothing from the one to the other");
  }
}

// What a verifier finds in the text of a user is said as a mistake of the text.
void expect_refusal(std::string text, const std::string& right, const std::string& wrong,
                    const std::string& from, const std::string& why) {
  ASSERT_NE(text.find(right), text.npos) << text;
  text.replace(text.find(right), right.size(), wrong);
  try {
    run_passes(text, 1, {from, from, "f"}, {});
    FAIL() << "ran:\n" << text;
  } catch (const CompileError& e) {
    EXPECT_TRUE(e.diagnostic.loc);
    EXPECT_NE(std::string(e.what()).find(why), std::string::npos) << e.what();
  }
}

TEST(PassRange, WhatATextBreaksIsItsMistake) {
  const std::string graph =
      "func @f[B <= 64](%x: f32[B,8]) -> (y: f32[B,8]) {\n  %y = tanh(%x)\n  return %y\n}\n";
  const std::string fused = run_passes(graph, 1, {"", "fuse", "f"}, {});
  expect_refusal(fused, "(i: B", "(i: 7", "lower", "breaks a rule of its form");
  const std::string padded = run_passes(graph, 1, {"", "pad", "f"}, {});
  expect_refusal(padded, "buffer %x: f32", "buffer %x: f64", "plan", "breaks a rule of its form");
}

// What a failure keeps, run as its command says, fails alike.
void expect_failure(const std::string& text, const PassRange& range, const std::string& pass,
                    const std::string& why) {
  SCOPED_TRACE(pass);
  std::string what, input, function;
  try {
    run_passes(text, 0, range, {});
    FAIL() << "nothing failed";
  } catch (const passes::PassFailure& e) {
    EXPECT_EQ(e.pass, pass);
    EXPECT_NE(std::string(e.what()).find(why), std::string::npos) << e.what();
    what = e.what(), input = e.input, function = e.function;
  }
  try {
    run_passes(input, 0, {pass, pass, function.empty() ? "train_step" : function}, {});
    FAIL() << "what is kept does not fail:\n" << input;
  } catch (const passes::PassFailure& e) {
    EXPECT_EQ(e.pass, pass);
    EXPECT_EQ(e.what(), what);
    EXPECT_EQ(e.input, input);
  }
}

// A call has no lowering; `inline` would have expanded it.
constexpr std::string_view kCall = R"(func @other(%x: f32[2]) -> (f32[2]) {
  %y = exp(%x)
  return %y
}
func @unused(%x: f32[2]) -> (f32[2]) {
  return %x
}
func @f(%x: f32[2]) -> (y: f32[2]) {
  %y = call(%x) {function=@other}
  return %y
}
)";

TEST(PassFailures, KeepWhatReproducesThem) {
  expect_failure(std::string(kCall), {"fuse", "", "f"}, "lower", "op call reached the step unexpanded");
  std::string planned = read(kFolder / "schedule" / "tile.in");
  planned.replace(planned.find("  split"), 7, "  twist");
  expect_failure(planned, {"schedule", "", ""}, "schedule", "is no step of a schedule");
}

}  // namespace
}  // namespace gradc
