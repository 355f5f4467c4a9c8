// What a text with groups may not say: each line breaks one invariant that lowering relies on, and verify
// tells which.
#include <gtest/gtest.h>

#include "passes/fuse/fusion.h"
#include "support/check.h"

namespace gradc {
namespace {

// Rows of x, their sum, and a state that takes the sum in.
constexpr std::string_view kText =
    R"(func @f[B <= 8](%w: f32[B], %x: f32[B,4]) -> (f32[B] into %w, y: f32[B,4], old: f32[B]) {
  %e: f32[B,4] = exp(%x)
  %s: f32[B] = reduce_sum(%e) {axes=[1]}
  %b: f32[B,4] = broadcast(%s) {dims=[0], shape=[B,4]}
  %y: f32[B,4] = div(%e, %b)
  %o: f32[B] = neg(%w)
  %n: f32[B] = add(%w, %s)
  return %n, %y, %o
}

fuse @f {
  group (i: B) {
    %e depth 1 scratch
    %s depth 1 register memory
    %y depth 1 memory
  }
  group (i: B) {
    %o depth 1 memory
    %n depth 1 memory
  }
  inline %b
}
)";

void verify(const std::string& text) {
  const passes::ParsedStep p = passes::parse_fused(text);
  graph::verify(p.module);
  passes::verify(p.module, p.fused);
}

struct Break {
  const char *from, *to, *why;
};
const Break kBreaks[] = {
    {"%s depth 1 register memory", "%s depth 1 register", "%s (reduce_sum) has no buffer yet"},
    {"%s depth 1 register memory", "%s depth 1 memory", "in another order than it is computed"},
    {"%e depth 1 scratch", "%e depth 1 register", "%e (exp) is more than one register"},
    {"%y depth 1 memory", "%y depth 1 scratch", "%y (div) is a result without a buffer"},
    {"%e depth 1 scratch", "%e depth 0 scratch", "%e (exp) is at depth 0 of 1 axes"},
    {"group (i: B)", "group (i: 4)", "%e (exp) has B along i: 4"},
    {"group (i: B) {\n    %e depth 1", "group (i: B, j: 4) {\n    %e depth 2",
     "%s (reduce_sum) is at depth 1"},
    {"    %s depth 1 register memory\n    %y depth 1 memory",
     "    %y depth 1 memory\n    %s depth 1 register memory",
     "%s (reduce_sum) is read by @f: %y (div) in another order"},
    {"  inline %b", "  group (i: B, j: 4) {\n    %b depth 2 memory\n  }", "has no buffer yet when @f: %y"},
    {"    %y depth 1 memory\n  }", "  }\n  group (i: B, j: 4) {\n    %y depth 2 memory\n  }",
     "%e (exp) has no buffer yet"},
    {"    %o depth 1 memory\n    %n depth 1 memory", "    %n depth 1 memory\n    %o depth 1 memory",
     "%o (neg) reads @f: %w (parameter), which @f: %n (add) has overwritten"},
    {"    %o depth 1 memory\n    %n depth 1 memory\n  }",
     "    %n depth 1 memory\n  }\n  group (i: B) {\n    %o depth 1 memory\n  }", "%n (add) has overwritten"},
    {"return %n, %y, %o", "return %n, %y, %w", "%w (parameter) is overwritten and returned"},
    {"%s depth 1 register memory\n", "", "%s is in no group"},
    {"  inline %b", "  inline %b\n  copied %x", "%x (parameter) is copied"},
    {"%e: f32[B,4] = exp(%x)", "%z: f32[B,4] = neg(%w2)", "%w2 is not defined"},
};

TEST(Fusion, WhatLoweringReliesOnIsVerified) {
  verify(std::string(kText));
  for (const Break& b : kBreaks) {
    std::string text(kText);
    ASSERT_NE(text.find(b.from), std::string::npos) << b.from;
    text.replace(text.find(b.from), std::string(b.from).size(), b.to);
    try {
      verify(text);
      ADD_FAILURE() << b.from << " became " << b.to;
    } catch (const std::exception& e) {
      EXPECT_NE(std::string(e.what()).find(b.why), std::string::npos) << e.what();
    }
  }
}

// A sum that is computed where it is read, and a value that a node without a meaning cannot compute in place.
TEST(Fusion, OnlyMapsAreComputedInPlace) {
  const std::string sum = R"(func @f(%x: f32[4]) -> (f32[]) {
  %s: f32[] = reduce_sum(%x) {axes=[0]}
  %y: f32[] = neg(%s)
  return %y
}
fuse @f {
  group () {
    %y depth 0 memory
  }
  inline %s
}
)";
  EXPECT_THROW(verify(sum), InternalError);
}

}  // namespace
}  // namespace gradc
