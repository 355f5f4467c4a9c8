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

}  // namespace
}  // namespace gradc::passes
