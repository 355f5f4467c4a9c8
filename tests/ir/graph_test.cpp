// Graph text, interning, verification; index algebra by brute force.
#include <gtest/gtest.h>

#include <random>

#include "ir/graph/builder.h"
#include "support/check.h"
#include "support/diagnostic.h"

namespace gradc::graph {
namespace {

TEST(GraphText, RoundTrip) {
  const char* text =
      R"(func @f[B <= 256 plan 64](%x: f32[B,784], %w1: f32[784,128]) -> (loss: f32[], f32[784,128] into %w1) fma=on {
  %m: f32[B,128] = einsum(%x, %w1) {spec="ik,kj->ij"}
  %0: f32[] = reduce_sum(%m) {axes=[0,1]}
  %half: f32[784,128] = constant() {dtype=f32, shape=[784,128], value=0.5}
  %w1_2: f32[784,128] = mul(%w1, %half)
  return %0, %w1_2
}
)";
  const Module m = parse(text);
  verify(m);
  const std::string once = print(m);
  EXPECT_EQ(once, text);
  EXPECT_EQ(print(parse(once)), once);
}

TEST(GraphText, CalleesPrintFirst) {
  const char* text = R"(func @z(%x: f32[2]) -> (f32[2]) {
  %0: f32[2] = neg(%x)
  return %0
}

func @a(%x: f32[2]) -> (f32[2]) {
  %0: f32[2] = call(%x) {function=@z}
  return %0
}
)";
  EXPECT_EQ(print(parse(text)), text);
}

TEST(GraphText, ErrorsNameTheirPlace) {
  auto error = [](const char* text) -> std::string {
    try {
      parse(text, 1);
    } catch (const CompileError& e) {
      return fmt::format("{}:{}", e.diagnostic.loc.begin, e.what());
    }
    return "";
  };
  EXPECT_NE(error("func @f(%x: f32[2]) -> (f32[2]) {\n  %y = ad(%x, %x)\n").find("unknown op 'ad'"),
            std::string::npos);
  EXPECT_NE(error("func @f(%x: f32[2], %z: f32[3]) -> (f32[2]) {\n  %y = add(%x, %z)\n")
                .find("f32[2] against f32[3]"),
            std::string::npos);
  EXPECT_NE(error("func @f(%x: f32[2]) -> (f32[2]) {\n  return %y\n}").find("%y is not defined"),
            std::string::npos);
  EXPECT_NE(error("func @f(%x: q8[2]) -> (").find("unknown element type 'q8'"), std::string::npos);
  EXPECT_NE(error("func @f(%x: f32[99999999999999999999]) -> (").find("64 bits"), std::string::npos);
  std::string deep = "func @f(%x: f32[";
  deep.append(100000, '(');
  EXPECT_NE(error(deep.c_str()).find("nesting"), std::string::npos);
}

TEST(Builder, InternsEqualNodes) {
  Builder b("f");
  const NodeId x = b.param("x", {DType::F32, {4}});
  EXPECT_EQ(b.add(x, x), b.add(x, x));
  EXPECT_NE(b.add(x, x), b.make("add", {x, x}, {{"again", int64_t{1}}}));
}

TEST(Verify, RejectsAWrongType) {
  Builder b("f");
  const NodeId x = b.param("x", {DType::F32, {4}});
  b.result(b.neg(x));
  Module m;
  Function f = b.finish();
  f.nodes[1].types = {Type{DType::F32, {Dim(5)}}};
  EXPECT_THROW(verify(f, m), InternalError);
}

Index random_index(std::mt19937& r, int depth) {
  if (depth == 0 || r() % 3 == 0)
    return r() % 2 ? Index::var(static_cast<int>(r() % 3)) : Index(static_cast<int64_t>(r() % 7) - 2);
  const Index a = random_index(r, depth - 1), b = random_index(r, depth - 1);
  const int64_t d = 1 + static_cast<int64_t>(r() % 5);
  switch (r() % 6) {
    case 0:
      return a + b;
    case 1:
      return a * Index(d);
    case 2:
      return a.floor_div(d);
    case 3:
      return a.mod(d);
    case 4:
      return Index::min(a, b);
    default:
      return Index::max(a, b - a);
  }
}

TEST(Index, SimplifyNeverChangesAValue) {
  std::mt19937 r(5);
  const int64_t extents[] = {3, 4, 5};
  for (int n = 0; n < 3000; ++n) {
    const Index e = random_index(r, 4);
    const Index s = simplify(e, [&](int v) { return Index(extents[v]); });
    for (int64_t i = 0; i < 60; ++i) {
      const int64_t at[] = {i % 3, i / 3 % 4, i / 12};
      auto var = [&](int v) { return at[v]; };
      auto dim = [](const std::string&) -> int64_t { return 1; };
      ASSERT_EQ(e.evaluate(var, dim), s.evaluate(var, dim)) << e.str() << " became " << s.str();
    }
  }
}

TEST(Index, ReshapeSeamsSimplify) {
  const Index B = Index::dim("B"), T = Index::dim("T"), i = Index::var(0), j = Index::var(1),
              k = Index::var(2);
  auto extent = [&](int v) { return v == 0 ? B : v == 1 ? T : Index(6); };
  EXPECT_EQ(simplify((i * T + j).floor_div(T), extent), i);
  EXPECT_EQ(simplify((i * T + j).mod(T), extent), j);
  EXPECT_EQ(simplify((j * 6 + k).floor_div(6), extent), j);
  EXPECT_EQ(simplify(((i * T + j) * 6 + k).floor_div(Index(6) * T), extent), i);
  EXPECT_EQ(simplify(Index::min(k, 5), extent), k);
  EXPECT_EQ(simplify(Index::max(0, k - 6), extent), Index(0));
}

TEST(Index, DigitsOfAReshapeRejoin) {
  const Index i = Index::var(0), j = Index::var(1), e = i * 64 + j;  // [.., 384] read as [3, 4, 32]
  const Index digits = e.floor_div(128) * 128 + e.floor_div(32).mod(4) * 32 + e.mod(32);
  EXPECT_NE(digits, e);
  EXPECT_EQ(rejoin(digits), e);
  const Index b = Index::dim("B");
  EXPECT_EQ(rejoin(e.floor_div(b) * b * 3 + e.mod(b) * 3 + 1), e * 3 + 1);
  EXPECT_NE(rejoin(e.floor_div(b) * b + e.mod(b) * 3), e * 3);
  EXPECT_EQ(rejoin(digits + Index::dim("B")), e + Index::dim("B"));
  EXPECT_NE(rejoin(e.floor_div(128) * 128 + e.floor_div(32).mod(4) * 16), e);
}

TEST(Index, RejoinNeverChangesAValue) {
  std::mt19937 r(7);
  for (int n = 0; n < 3000; ++n) {
    // Digits of a random expression in a mixed base, with their weights, as an address has them.
    const Index e = random_index(r, 3);
    const int64_t low = 2 + static_cast<int64_t>(r() % 4), high = 2 + static_cast<int64_t>(r() % 4);
    const Index digits =
        e.floor_div(low * high) * (low * high) + e.floor_div(low).mod(high) * low + e.mod(low);
    const Index other = random_index(r, 2), sum = digits + other, same = rejoin(sum);
    for (int64_t i = 0; i < 60; ++i) {
      const int64_t at[] = {i % 3, i / 3 % 4, i / 12};
      auto var = [&](int v) { return at[v]; };
      auto dim = [](const std::string&) -> int64_t { return 1; };
      ASSERT_EQ(sum.evaluate(var, dim), same.evaluate(var, dim)) << sum.str() << " became " << same.str();
    }
  }
}

TEST(Index, PrintsAndReads) {
  const Index e = (Index::dim("B") * 3 + Index::dim("T")).floor_div(4) * 2 - 5;
  std::string text = e.str();
  std::string_view view = text;
  EXPECT_EQ(parse_index(view, [](std::string_view) { return 0; }), e) << text;
}

}  // namespace
}  // namespace gradc::graph
