// The gradient of a product by exclusive products: along symbolic axes, to the third order, in n log n.
#include <gtest/gtest.h>

#include <cmath>

#include "driver/run_function.h"
#include "ir/interp/interpret.h"
#include "passes/pipeline.h"

namespace gradc {
namespace {

std::string gradient_of_product(const std::string& dims, const std::string& shape) {
  return "func @l" + dims + "(%x: f64" + shape +
         ") -> (f64[]) { %y = reduce_prod(%x) {axes=[0]} return %y } " + "func @predict" + dims + "(%x: f64" +
         shape + ") -> (f64" + shape +
         ") { %r = value_and_grad(%x) {function=@l, wrt=[0]} %g = get(%r) {index=1} return %g }";
}

void expect_exclusive_products(const std::string& text, int64_t n) {
  const graph::Module m = passes::run_graph_passes(graph::parse(text));
  std::vector<Tensor> x;
  x.emplace_back(DType::F64, std::vector<int64_t>{n});
  for (int64_t i = 0; i < n; ++i) x[0].set(i, i == 4 ? 0 : 0.5 + static_cast<double>(i % 3));
  const std::vector<Tensor> interpreted = interpret(m, m.at("predict"), x);
  for (int64_t i = 0; i < n; ++i) {
    double want = 1;
    for (int64_t k = 0; k < n; ++k)
      if (k != i) want *= x[0].at(k);
    EXPECT_NEAR(interpreted[0].at(i), want, 1e-13 * std::abs(want)) << i << " of " << n;
  }
  const auto& dims = m.at("predict").dims;
  if (dims.empty() || dims.begin()->second.max > 0) {
    EXPECT_TRUE(bit_equal(interpreted[0], CompiledFunction(m, m.at("predict"), {}).run(x, 2)[0])) << n;
  }
}

TEST(Product, GradientAlongAnyAxis) {
  for (int64_t n : {1, 2, 3, 4, 5, 8, 9, 17, 33}) {
    expect_exclusive_products(gradient_of_product("", "[" + std::to_string(n) + "]"), n);
    expect_exclusive_products(gradient_of_product("[B <= 33]", "[B]"), n);
    expect_exclusive_products(gradient_of_product("[B]", "[B]"), n);
  }
}

TEST(Product, GradientGrowsWithTheLogarithm) {
  const auto nodes = [](int64_t n) {
    const graph::Module m =
        passes::run_graph_passes(graph::parse(gradient_of_product("", "[" + std::to_string(n) + "]")));
    return m.at("predict").nodes.size();
  };
  EXPECT_LT(nodes(1 << 16), 90u);
  EXPECT_EQ(nodes(1 << 16) - nodes(1 << 15), nodes(1 << 15) - nodes(1 << 14));
}

// x0 x1 x2 with zeros: the third derivative is 1 for every order of three different factors, else 0.
TEST(Product, ThirdDerivative) {
  const std::string step = "(%x: f64[3], %v: f64[3]) -> (f64[]) { ";
  const graph::Module m = passes::run_graph_passes(graph::parse(
      "func @l" + step + "%y = reduce_prod(%x) {axes=[0]} return %y } " + "func @d" + step +
      "%r = value_and_grad(%x, %v) {function=@l, wrt=[0]} %g = get(%r) {index=1} %m = mul(%g, %v) %s = "
      "reduce_sum(%m) {axes=[0]} return %s } "
      "func @h" +
      step +
      "%r = value_and_grad(%x, %v) {function=@d, wrt=[0]} %g = get(%r) {index=1} %m = mul(%g, %v) %s = "
      "reduce_sum(%m) {axes=[0]} return %s } "
      "func @predict(%x: f64[3], %v: f64[3]) -> (f64[3]) { %r = value_and_grad(%x, %v) {function=@h, "
      "wrt=[0]} "
      "%g = get(%r) {index=1} return %g }"));
  std::vector<Tensor> args;
  args.emplace_back(DType::F64, std::vector<int64_t>{3});
  args.emplace_back(DType::F64, std::vector<int64_t>{3});
  for (int i = 0; i < 3; ++i) args[1].set(i, i + 2);
  const Tensor g = std::move(interpret(m, m.at("predict"), args)[0]);  // of 6 v0 v1 v2 along v: 2 v1 v2, ...
  EXPECT_EQ(g.at(0), 2 * 3 * 4);
  EXPECT_EQ(g.at(1), 2 * 2 * 4);
  EXPECT_EQ(g.at(2), 2 * 2 * 3);
}

}  // namespace
}  // namespace gradc
