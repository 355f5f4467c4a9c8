// Gradients of scan, cond and while against central differences in f64, along one random direction, and
// compiled code against the interpreter, bit for bit.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "driver/run_function.h"
#include "ir/interp/interpret.h"
#include "passes/pipeline.h"

namespace gradc {
namespace {

// `functions` define @loss(%a: f64[3,4], %b: f64[4]) -> f64[]; its gradients are checked for both.
void check(const std::string& functions, int bound = 0) {
  const std::string batch = bound ? "[T <= 9]" : "", a_type = bound ? "f64[T,4]" : "f64[3,4]";
  const std::string text =
      functions + "func @g" + batch + "(%a: " + a_type + ", %b: f64[4]) -> (f64[], " + a_type +
      ", f64[4]) {\n  %all: (f64[], " + a_type +
      ", f64[4]) = value_and_grad(%a, %b) {function=@loss, wrt=[0,1]}\n  %l = get(%all) {index=0}\n"
      "  %da = get(%all) {index=1}\n  %db = get(%all) {index=2}\n  return %l, %da, %db\n}\n";
  const graph::Module m = passes::run_graph_passes(graph::parse(text));
  const int64_t rows = bound ? bound : 3;
  std::mt19937_64 random(5);
  std::uniform_real_distribution<double> u(0.2, 1.1);
  std::vector<Tensor> at, along;
  for (const std::vector<int64_t>& shape : {std::vector<int64_t>{rows, 4}, std::vector<int64_t>{4}})
    for (std::vector<Tensor>* list : {&at, &along}) {
      list->emplace_back(DType::F64, shape);
      for (int64_t i = 0; i < list->back().count(); ++i) list->back().set(i, u(random));
    }
  auto loss = [&](double h) {
    std::vector<Tensor> moved;
    for (size_t t = 0; t < at.size(); ++t) {
      moved.push_back(at[t].clone());
      for (int64_t i = 0; i < at[t].count(); ++i) moved[t].set(i, at[t].at(i) + h * along[t].at(i));
    }
    return interpret(m, m.at("loss"), moved)[0].at(0);
  };
  const double h = 1e-4, slope = (8 * (loss(h) - loss(-h)) - (loss(2 * h) - loss(-2 * h))) / (12 * h);
  const std::vector<Tensor> g = interpret(m, m.at("g"), at);
  double product = 0;
  for (size_t t = 0; t < 2; ++t)
    for (int64_t i = 0; i < at[t].count(); ++i) product += g[t + 1].at(i) * along[t].at(i);
  EXPECT_NEAR(product, slope, 1e-7 * (1 + std::fabs(slope))) << functions;
  for (int threads : {1, 2}) {
    const std::vector<Tensor> got = CompiledFunction(m, m.at("g"), {}).run(at, threads);
    for (size_t r = 0; r < g.size(); ++r) {
      std::string why;
      EXPECT_TRUE(bit_equal(g[r], got[r], &why)) << r << ": " << why;
    }
  }
}

// h' = tanh(h * w) + x, y = h * h, with w constant.
const char* kCell = R"(
func @cell(%w: f64[4], %h: f64[4], %x: f64[4]) -> (h: f64[4], y: f64[4]) {
  %p = mul(%h, %w)
  %t = tanh(%p)
  %n = add(%t, %x)
  %y = mul(%h, %h)
  return %n, %y
}
)";

TEST(ControlGradients, ScanWithConstantsCarriesAndStackedResults) {
  check(std::string(kCell) + R"(
func @loss(%a: f64[3,4], %b: f64[4]) -> (f64[]) {
  %zero = constant() {value=0.5, dtype=f64, shape=[4]}
  %s: (f64[4], f64[3,4]) = scan(%b, %zero, %a) {function=@cell, consts=1, carries=1, length=[3]}
  %h = get(%s) {index=0}
  %ys = get(%s) {index=1}
  %l1 = reduce_sum(%h) {axes=[0]}
  %sq = mul(%ys, %a)
  %l2 = reduce_sum(%sq) {axes=[0,1]}
  %l = mul(%l1, %l2)
  return %l
}
)");
}

TEST(ControlGradients, ScanOverASymbolicLength) {
  for (int steps : {1, 2, 7})
    check(std::string(kCell) + R"(
func @loss[T <= 9](%a: f64[T,4], %b: f64[4]) -> (f64[]) {
  %s: (f64[4], f64[T,4]) = scan(%b, %b, %a) {function=@cell, consts=1, carries=1, length=[T]}
  %h = get(%s) {index=0}
  %ys = get(%s) {index=1}
  %l1 = reduce_sum(%h) {axes=[0]}
  %l2 = reduce_sum(%ys) {axes=[0,1]}
  %l = add(%l1, %l2)
  return %l
}
)",
          steps);
}

TEST(ControlGradients, ScanOfOneCarryAndScanInAScan) {
  check(R"(
func @inner(%w: f64[4], %h: f64[4]) -> (f64[4]) {
  %p = mul(%h, %w)
  %n = sin(%p)
  return %n
}
func @outer(%w: f64[4], %h: f64[4], %x: f64[4]) -> (f64[4]) {
  %r = scan(%w, %h) {function=@inner, consts=1, carries=1, length=[2]}
  %n = add(%r, %x)
  return %n
}
func @loss(%a: f64[3,4], %b: f64[4]) -> (f64[]) {
  %h = scan(%b, %b, %a) {function=@outer, consts=1, carries=1, length=[3]}
  %l = reduce_sum(%h) {axes=[0]}
  return %l
}
)");
}

TEST(ControlGradients, CondTakesOneSide) {
  for (const char* compare : {"gt", "lt"})
    check(R"(
func @yes(%x: f64[3,4], %w: f64[4]) -> (f64[4]) {
  %s = reduce_sum(%x) {axes=[0]}
  %y = mul(%s, %w)
  return %y
}
func @no(%x: f64[3,4], %w: f64[4]) -> (f64[4]) {
  %y = exp(%w)
  return %y
}
func @loss(%a: f64[3,4], %b: f64[4]) -> (f64[]) {
  %s = reduce_sum(%b) {axes=[0]}
  %c = constant() {value=0.0, dtype=f64, shape=[]}
  %p = )" +
          std::string(compare) + R"((%s, %c)
  %y = cond(%p, %a, %b) {then=@yes, otherwise=@no}
  %z = mul(%y, %b)
  %l = reduce_sum(%z) {axes=[0]}
  return %l
}
)");
}

TEST(ControlGradients, WhileUntilItsConditionIsFalse) {
  check(R"(
func @small(%h: f64[4], %w: f64[4]) -> (bool[]) {
  %s = reduce_sum(%h) {axes=[0]}
  %c = constant() {value=20.0, dtype=f64, shape=[]}
  %p = lt(%s, %c)
  return %p
}
func @grow(%h: f64[4], %w: f64[4]) -> (f64[4], f64[4]) {
  %e = exp(%w)
  %n = mul(%h, %e)
  return %n, %w
}
func @loss(%a: f64[3,4], %b: f64[4]) -> (f64[]) {
  %h = reduce_sum(%a) {axes=[0]}
  %r: (f64[4], f64[4]) = while(%h, %b) {condition=@small, body=@grow, bound=8}
  %x = get(%r) {index=0}
  %z = mul(%x, %x)
  %l = reduce_sum(%z) {axes=[0]}
  return %l
}
)");
}

TEST(ControlGradients, SecondDerivativeOfAScan) {
  check(std::string(kCell) + R"(
func @sum(%a: f64[3,4], %b: f64[4]) -> (f64[]) {
  %s: (f64[4], f64[3,4]) = scan(%b, %b, %a) {function=@cell, consts=1, carries=1, length=[3]}
  %ys = get(%s) {index=1}
  %l = reduce_sum(%ys) {axes=[0,1]}
  return %l
}
func @loss(%a: f64[3,4], %b: f64[4]) -> (f64[]) {
  %all: (f64[], f64[3,4]) = value_and_grad(%a, %b) {function=@sum, wrt=[0]}
  %d = get(%all) {index=1}
  %sq = mul(%d, %d)
  %l = reduce_sum(%sq) {axes=[0,1]}
  return %l
}
)");
}

}  // namespace
}  // namespace gradc
