// What parting a contraction promises: an error bound that a chain does not keep, and no term that is not
// there.
#include <gtest/gtest.h>

#include <cmath>

#include "ir/interp/interpret.h"
#include "passes/pipeline.h"

namespace gradc::passes {
namespace {

double dot(int64_t n, const std::function<double(int64_t)>& x) {
  const graph::Module m = run_graph_passes(graph::parse(
      "func @f[N <= 100000](%x: f32[N]) -> (f32[]) { %y = einsum(%x, %x) {spec=\"n,n->\"} return %y }"));
  std::vector<Tensor> args;
  args.emplace_back(DType::F32, std::vector<int64_t>{n});
  for (int64_t i = 0; i < n; ++i) args[0].set(i, x(i));
  return interpret(m, m.at("f"), args)[0].at(0);
}

TEST(PartedContractions, KeepTheirErrorBound) {
  const int64_t n = 99999;
  const double square = std::pow(static_cast<double>(0.1f), 2), exact = static_cast<double>(n) * square;
  const double bound = (772 + std::ceil(std::log2(n))) * 0x1p-24 * exact;
  EXPECT_LE(std::fabs(dot(n, [](int64_t) { return 0.1; }) - exact), bound);
  float chain = 0;
  for (int64_t i = 0; i < n; ++i) chain = std::fma(0.1f, 0.1f, chain);
  EXPECT_GT(std::fabs(static_cast<double>(chain) - exact), bound);  // else the test could not tell them apart
}

TEST(PartedContractions, AnInfinityIsNoNaN) {
  for (int64_t n : {1, 255, 256, 257, 1088, 1089, 99999})
    EXPECT_EQ(dot(n, [&](int64_t i) { return i + 1 == n ? INFINITY : 1.0; }), INFINITY) << n;
  EXPECT_EQ(dot(0, [](int64_t) { return 1.0; }), 0);
}

std::vector<Tensor> values(const std::string& text, const std::vector<Tensor>& args) {
  const graph::Module m = run_graph_passes(graph::parse(text));
  return interpret(m, m.at("f"), args);
}

// Each way to cut a chain of three, beside the sums written out.
TEST(Chains, AnyOrderGivesTheSums) {
  const int64_t n = 5, r = 2, o = 9, b = 3;
  std::vector<Tensor> args;
  for (const auto& shape : {std::vector<int64_t>{b, n}, {n, r}, {r, o}}) {
    Tensor t(DType::F64, shape);
    for (int64_t i = 0; i < t.count(); ++i) t.set(i, static_cast<double>((7 * i + 3) % 11) / 4 - 1);
    args.push_back(std::move(t));
  }
  const auto at = [&](int arg, int64_t i, int64_t j) {
    return args[static_cast<size_t>(arg)].at(i * args[static_cast<size_t>(arg)].shape()[1] + j);
  };
  const std::string head = "func @f(%x: f64[3,5], %u: f64[5,2], %v: f64[2,9]) -> (f64[9,3]) {\n";
  for (const char* body : {R"(
  %p = einsum(%u, %v) {spec="ir,ro->oi"}
  %y = einsum(%x, %p) {spec="bi,oi->ob"}
  return %y
}
)",
                           R"(
  %p = einsum(%x, %v) {spec="bi,ro->ibro"}
  %y = einsum(%p, %u) {spec="ibro,ir->ob"}
  return %y
}
)",
                           R"(
  %p = einsum(%x, %u) {spec="cq,qr->rc"}
  %y = einsum(%v, %p) {spec="rq,rb->qb"}
  return %y
}
)"}) {
    const std::vector<Tensor> y = values(head + body, args);
    for (int64_t j = 0; j < o; ++j)
      for (int64_t k = 0; k < b; ++k) {
        double sum = 0;
        for (int64_t i = 0; i < n; ++i)
          for (int64_t q = 0; q < r; ++q) sum += at(0, k, i) * at(1, i, q) * at(2, q, j);
        EXPECT_NEAR(y[0].at(j * b + k), sum, 1e-12) << body;
      }
  }
}

// A row that no number names may hold anything, and numbers outside name a row of zeros.
TEST(OneHot, IsRowsByNumber) {
  std::vector<Tensor> args;
  args.emplace_back(DType::I32, std::vector<int64_t>{5});
  args.emplace_back(DType::F32, std::vector<int64_t>{9, 2});
  args.emplace_back(DType::F32, std::vector<int64_t>{2, 5});
  const double numbers[] = {8, -1, 0, 9, 8};
  for (int64_t i = 0; i < 5; ++i) args[0].set(i, numbers[i]);
  for (int64_t i = 0; i < 18; ++i) args[1].set(i, i / 2 == 4 ? INFINITY : static_cast<double>(i));
  for (int64_t i = 0; i < 10; ++i) args[2].set(i, static_cast<double>(i + 1));
  const std::vector<Tensor> y = values(R"(
func @f(%y: i32[5], %w: f32[9,2], %g: f32[2,5]) -> (f32[5,2], f32[9,2]) {
  %n = iota() {axis=1, dtype=i32, shape=[5,9]}
  %s = broadcast(%y) {dims=[0], shape=[5,9]}
  %e = eq(%n, %s)
  %h = convert(%e) {dtype=f32}
  %r = einsum(%h, %w) {spec="bv,vo->bo"}
  %d = einsum(%g, %h) {spec="ob,bv->vo"}
  return %r, %d
}
)",
                                       args);
  const double rows[] = {16, 17, 0, 0, 0, 1, 0, 0, 16, 17};
  for (int64_t i = 0; i < 10; ++i) EXPECT_EQ(y[0].at(i), rows[i]) << i;
  for (int64_t v = 0; v < 9; ++v)
    for (int64_t o = 0; o < 2; ++o) {
      const double first = static_cast<double>(5 * o);
      EXPECT_EQ(y[1].at(2 * v + o), v == 8 ? 2 * first + 6 : v == 0 ? first + 3 : 0) << v << " " << o;
    }
}

}  // namespace
}  // namespace gradc::passes
