// Dual numbers against central differences, and at kinks against the values that primitives specify.
#include <gtest/gtest.h>

#include <cmath>

#include "ir/interp/dual.h"

namespace gradc {
namespace {

Tensor tensor(std::vector<int64_t> shape, const std::vector<double>& values) {
  Tensor out(DType::F64, std::move(shape));
  for (size_t i = 0; i < values.size(); ++i) out.set(static_cast<int64_t>(i), values[i]);
  return out;
}

std::vector<double> wave(int n, double shift) {
  std::vector<double> v;
  for (int i = 0; i < n; ++i) v.push_back(0.6 + 0.5 * std::sin(1.7 * i + shift));
  return v;
}

// Every result's tangent is the slope of the function along the tangents of its arguments.
void expect_slope(const std::string& text, const std::vector<std::vector<int64_t>>& shapes) {
  const graph::Module m = graph::parse(text);
  std::vector<Tensor> x, t, up, down;
  const double h = 1e-5;
  for (size_t k = 0; k < shapes.size(); ++k) {
    int n = 1;
    for (int64_t d : shapes[k]) n *= static_cast<int>(d);
    const std::vector<double> v = wave(n, static_cast<double>(k)), w = wave(n, 3.0 + static_cast<double>(k));
    std::vector<double> high, low;
    for (int i = 0; i < n; ++i) high.push_back(v[i] + h * w[i]), low.push_back(v[i] - h * w[i]);
    x.push_back(tensor(shapes[k], v)), t.push_back(tensor(shapes[k], w));
    up.push_back(tensor(shapes[k], high)), down.push_back(tensor(shapes[k], low));
  }
  const std::vector<Dual> r = interpret_dual(m, m.at("f"), x, t);
  const std::vector<Tensor> a = interpret(m, m.at("f"), up), b = interpret(m, m.at("f"), down),
                            y = interpret(m, m.at("f"), x);
  for (size_t k = 0; k < r.size(); ++k) {
    EXPECT_TRUE(bit_equal(r[k].value, y[k])) << text;
    for (int64_t i = 0; i < y[k].count(); ++i) {
      const double slope = (a[k].at(i) - b[k].at(i)) / (2 * h);
      EXPECT_NEAR(r[k].tangent.at(i), slope, 1e-7 * (1 + std::abs(slope))) << text << " " << i;
    }
  }
}

TEST(Dual, ScalarRulesAreSlopes) {
  for (const graph::OpDef& d : graph::all_ops()) {
    if (!d.scalar || d.name == "convert" || d.differentiable != graph::Differentiable::Rule ||
        d.name == "select")
      continue;
    std::string params = "%a: f64[5]", args = "%a";
    std::vector<std::vector<int64_t>> shapes{{5}};
    for (int i = 1; i < d.max_operands; ++i) {
      const std::string name(1, static_cast<char>('a' + i));
      params += ", %" + name + ": f64[5]", args += ", %" + name;
      shapes.push_back({5});
    }
    expect_slope(
        "func @f(" + params + ") -> (f64[5]) { %y = " + std::string(d.name) + "(" + args + ") return %y }",
        shapes);
  }
}

TEST(Dual, ReductionsContractionsAndLoopsAreSlopes) {
  for (const char* op : {"reduce_sum", "reduce_prod", "reduce_max", "reduce_min"})
    expect_slope(
        std::string("func @f(%a: f64[3,4]) -> (f64[3]) { %y = ") + op + "(%a) {axes=[1]} return %y }",
        {{3, 4}});
  expect_slope(
      "func @f(%a: f64[3,4], %b: f64[4,2], %c: f64[3,2]) -> (f64[3,2]) { %y = einsum(%a, %b, %c) "
      "{spec=\"ik,kj->ij\"} return %y }",
      {{3, 4}, {4, 2}, {3, 2}});
  for (const char* reverse : {"false", "true"})
    expect_slope(std::string(R"(
func @step(%k: f64[], %c: f64[], %x: f64[]) -> (f64[], f64[]) { %t = mul(%k, %c) %n = add(%t, %x) %s = sin(%n) return %s, %t }
func @f(%k: f64[], %c: f64[], %xs: f64[6]) -> (f64[], f64[6]) {
  %s = scan(%k, %c, %xs) {function=@step, consts=1, carries=1, length=[6], reverse=)") +
                     reverse + R"(}
  %a = get(%s) {index=0}
  %b = get(%s) {index=1}
  return %a, %b
})",
                 {{}, {}, {6}});
}

TEST(Dual, KinksHaveTheirSpecifiedValues) {
  const graph::Module m = graph::parse(
      "func @f(%a: f64[3], %b: f64[3]) -> (f64[3], f64[3], f64[], f64[], f64[3]) { %p = max(%a, %b) %q = "
      "abs(%a) "
      "%r = reduce_max(%a) {axes=[0]} %s = reduce_prod(%a) {axes=[0]} %t = stop_gradient(%a) return %p, %q, "
      "%r, %s, %t }");
  std::vector<Tensor> x, t;
  x.push_back(tensor({3}, {0, 2, 2})), x.push_back(tensor({3}, {0, 1, 3}));
  t.push_back(tensor({3}, {1, 10, 100})), t.push_back(tensor({3}, {7, 70, 700}));
  const std::vector<Dual> r = interpret_dual(m, m.at("f"), x, t);
  EXPECT_EQ(r[0].tangent.at(0), 4);
  EXPECT_EQ(r[0].tangent.at(1), 10);
  EXPECT_EQ(r[0].tangent.at(2), 700);
  EXPECT_EQ(r[1].tangent.at(0), 0);
  EXPECT_EQ(r[2].tangent.at(0), 55);  // two ties share
  EXPECT_EQ(r[3].tangent.at(0), 4);   // the one zero factor's slope
  EXPECT_EQ(r[4].tangent.at(1), 0);
}

}  // namespace
}  // namespace gradc
