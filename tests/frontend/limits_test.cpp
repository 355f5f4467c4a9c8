// The limits of docs/language.md: each holds, and one past it is a message.
#include <gtest/gtest.h>

#include "frontend/frontend.h"

namespace gradc {
namespace {

std::string messages(const std::string& text) {
  Sources sources;
  Diagnostics d;
  frontend::compile_model(sources, sources.add("m.grad", text), {}, d);
  return render(d, sources);
}

std::string model(const std::string& value) {
  return "model m(x: f32[B, 4]) -> (y: [B, 4]) {\n  y = " + value + "\n}\n";
}
std::string repeated(const std::string& s, int n) {
  std::string out;
  for (int i = 0; i < n; ++i) out += s;
  return out;
}

TEST(Limits, Nesting) {
  // The model's block and the statement's expression are two levels.
  EXPECT_EQ(messages(model(repeated("(", 254) + "x" + repeated(")", 254))), "");
  EXPECT_NE(
      messages(model(repeated("(", 255) + "x" + repeated(")", 255))).find("nested deeper than 256 levels"),
      std::string::npos);
  EXPECT_NE(messages(model(repeated("(", 100000))).find("nested deeper than 256 levels"), std::string::npos);
  // Subscripts and dimensions hold no whole expressions, and nest all the same.
  EXPECT_NE(messages(model(repeated("x[", 100000))).find("nested deeper than 256 levels"), std::string::npos);
  EXPECT_NE(messages("model m(x: f32[B, " + repeated("2[B, ", 100000)).find("nested deeper than 256 levels"),
            std::string::npos);
  EXPECT_NE(messages(model(repeated("-", 100000) + "x")).find("nested deeper than 256 levels"),
            std::string::npos);
}

TEST(Limits, ChainsOfOperators) {
  EXPECT_EQ(messages(model("x" + repeated(" + x", 999))), "");
  EXPECT_NE(messages(model("x" + repeated(" + x", 1000))).find("more than 1000 operations in a chain"),
            std::string::npos);
  EXPECT_NE(messages(model("x" + repeated(" |> relu", 50000))).find("more than 1000 operations in a chain"),
            std::string::npos);
}

TEST(Limits, LinesAndFiles) {
  EXPECT_EQ(messages(model("x  # " + std::string((1 << 20) - 11, 'c'))), "");
  EXPECT_NE(messages(model("x  # " + std::string(1 << 20, 'c'))).find("at most 1048576 are read"),
            std::string::npos);
  EXPECT_NE(messages(model("x") + std::string(16 << 20, '\n')).find("at most 16777216 are read"),
            std::string::npos);
}

TEST(Limits, Numbers) {
  EXPECT_EQ(messages("const n = 9223372036854775807\n" + model("x")), "");
  EXPECT_NE(messages("const n = 9223372036854775808\n" + model("x")).find("does not fit 64 bits"),
            std::string::npos);
  EXPECT_NE(messages("const n = 1e999\n" + model("x")).find("too large"), std::string::npos);
  EXPECT_NE(messages("const n = 4000000000000000000\nmodel m(x: f32[B, n, n]) -> (y: [B]) {\n  y = sum(x, "
                     "over=[1, 2])\n}\n"),
            "");
}

TEST(Limits, Repeats) {
  EXPECT_NE(messages("model m(x: f32[B, 4]) -> (y: [B, 4]) {\n  y = x\n  repeat 2000000 { z = 1 }\n}\n")
                .find("more than 1000000 statements"),
            std::string::npos);
  const std::string empty = "model m(x: f32[B, 4]) -> (y: [B, 4]) {\n  y = x\n  repeat i in ";
  for (const char* n : {"9223372036854775807 { }", "1000000 { repeat 1000000 { } }"})
    EXPECT_NE(messages(empty + n + "\n}\n").find("more than 1000000 statements"), std::string::npos) << n;
  EXPECT_NE(messages("model m(x: f32[B, 4]) -> (y: [B, 4]) {\n  y = x\n  repeat -1 { z = 1 }\n}\n")
                .find("-1 repeats"),
            std::string::npos);
}

TEST(Limits, Recursion) {
  EXPECT_NE(messages("fn f(x) = f(x)\n" + model("f(x)")).find("there is no recursion"), std::string::npos);
  EXPECT_NE(
      messages("layer L{}(x) -> y { y = x |> L{} }\n" + model("x |> L{}")).find("there is no recursion"),
      std::string::npos);
}

// Each function calls the one before `call` says how.
std::string functions(int n, const std::string& before, const std::string& between,
                      const std::string& after) {
  std::string s = "fn f0(x) = x + 1\n";
  for (int i = 1; i <= n; ++i) {
    const std::string call = "f" + std::to_string(i - 1) + "(x)";
    s += "fn f" + std::to_string(i) + "(x) = " + before + call + (between.empty() ? "" : between + call) +
         after + "\n";
  }
  return s + model("f" + std::to_string(n) + "(x)");
}

TEST(Limits, CallsThatDouble) {
  EXPECT_EQ(messages(functions(14, "", " + ", "")), "");
#if defined(__SANITIZE_THREAD__)
  // It keeps the stack of every allocation, and each of a million calls has one of its own: 60 GB.
  GTEST_SKIP();
#endif
  EXPECT_NE(messages(functions(40, "", " + ", "")).find("more than 1000000 statements, repeats and calls"),
            std::string::npos);
}

TEST(Limits, DepthThroughCalls) {
  EXPECT_EQ(messages(functions(180, "", "", "")), "");
  EXPECT_EQ(messages(functions(2, "", "", repeated(" + 1", 900))), "");
  const std::string deep = "nested deeper than 2500 levels here";
  EXPECT_NE(messages(functions(180, "", "", repeated(" + 1", 900))).find(deep), std::string::npos);
  EXPECT_NE(messages(functions(180, repeated("tanh(", 240), "", repeated(")", 240))).find(deep),
            std::string::npos);
  std::string constants = "const c0 = 1\n";
  for (int i = 1; i < 20000; ++i)
    constants += "const c" + std::to_string(i) + " = c" + std::to_string(i - 1) + " + 1\n";
  EXPECT_NE(messages(constants + model("x * c19999")).find(deep), std::string::npos);
}

}  // namespace
}  // namespace gradc
