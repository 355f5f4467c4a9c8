// Reverse mode against central differences in f64, one random direction for each function.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "ir/interp/interpret.h"
#include "passes/pipeline.h"
#include "support/diagnostic.h"

namespace gradc::passes {
namespace {

// Wraps a body that maps %a and %b, f64[4,3], to %r of `axes` axes into a scalar and differentiates it.
std::string wrap(const std::string& body, int axes) {
  std::string all;
  for (int i = 0; i < axes; ++i) all += (i ? "," : "") + std::to_string(i);
  return "func @loss(%a: f64[4,3], %b: f64[4,3]) -> (loss: f64[]) {\n" + body +
         "  %bend = sin(%r)\n  %sq = mul(%bend, %r)\n" +
         (axes ? "  %l = reduce_sum(%sq) {axes=[" + all + "]}\n" : "  %l = neg(%sq)\n") + "  return %l\n}\n" +
         "func @g(%a: f64[4,3], %b: f64[4,3]) -> (f64[], f64[4,3], f64[4,3]) {\n"
         "  %all: (f64[], f64[4,3], f64[4,3]) = value_and_grad(%a, %b) {function=@loss, wrt=[0,1]}\n"
         "  %l = get(%all) {index=0}\n  %da = get(%all) {index=1}\n  %db = get(%all) {index=2}\n  return %l, "
         "%da, %db\n}\n";
}

void check(const std::string& body, int axes) {
  const graph::Module source = graph::parse(wrap(body, axes));
  const graph::Module m = run_graph_passes(source);
  std::mt19937_64 random(3);
  std::uniform_real_distribution<double> u(0.2, 1.4);
  Tensor a(DType::F64, {4, 3}), b(DType::F64, {4, 3}), ta(DType::F64, {4, 3}), tb(DType::F64, {4, 3});
  for (Tensor* t : {&a, &b, &ta, &tb})
    for (int64_t i = 0; i < 12; ++i) t->set(i, u(random));
  auto arguments = [&](double h) {
    std::vector<Tensor> args;
    for (auto [x, t] : {std::pair{&a, &ta}, std::pair{&b, &tb}}) {
      Tensor moved = x->clone();
      for (int64_t i = 0; i < 12; ++i) moved.set(i, x->at(i) + h * t->at(i));
      args.push_back(std::move(moved));
    }
    return args;
  };
  auto loss = [&](double h) { return interpret(m, m.at("loss"), arguments(h))[0].at(0); };
  const double h = 1e-4;
  const double slope = (8 * (loss(h) - loss(-h)) - (loss(2 * h) - loss(-2 * h))) / (12 * h);
  const std::vector<Tensor> g = interpret(m, m.at("g"), arguments(0));
  double product = 0;
  for (int64_t i = 0; i < 12; ++i) product += g[1].at(i) * ta.at(i) + g[2].at(i) * tb.at(i);
  EXPECT_NEAR(product, slope, 1e-8 * (1 + std::fabs(slope))) << body;
}

TEST(Differentiate, ElementwiseOps) {
  for (const graph::OpDef& d : graph::all_ops())
    if (d.scalar && d.max_operands == 1 && d.gradient && d.name != "convert")
      check(fmt::format("  %r = {}(%a)\n", d.name), 2);
  for (const char* op : {"add", "sub", "mul", "div", "pow", "max", "min"})
    check(std::string("  %r = ") + op + "(%a, %b)\n", 2);
  check("  %r = fma(%a, %b, %a)\n", 2);
  check("  %c = gt(%a, %b)\n  %r = select(%c, %a, %b)\n", 2);
}

TEST(Differentiate, StructureAndReductions) {
  check("  %r = transpose(%a) {perm=[1,0]}\n", 2);
  check("  %x = reshape(%a) {shape=[2,6]}\n  %r = slice(%x) {start=[0,1], limit=[2,6], stride=[1,2]}\n", 2);
  check("  %r = pad(%a) {low=[1,-1], high=[0,2], interior=[1,0], value=0.5}\n", 2);
  check("  %r = concat(%a, %b) {axis=1}\n", 2);
  check("  %r = reverse(%a) {axes=[0]}\n", 2);
  check("  %x = reduce_sum(%a) {axes=[0]}\n  %r = broadcast(%x) {dims=[1], shape=[2,3]}\n", 2);
  check("  %r = reduce_prod(%a) {axes=[1]}\n", 1);
  check("  %r = reduce_max(%a) {axes=[0,1]}\n", 0);
  check("  %r = reduce_min(%a) {axes=[1]}\n", 1);
  check("  %i = iota() {shape=[2], axis=0, dtype=i64}\n  %r = gather(%a, %i)\n", 2);
}

TEST(Differentiate, Contractions) {
  check("  %r = einsum(%a, %b) {spec=\"ij,kj->ik\"}\n", 2);
  check("  %r = einsum(%a, %b) {spec=\"ij,ij->j\"}\n", 1);
  check("  %r = einsum(%a, %b) {spec=\"ij,kl->jl\"}\n", 2);
}

TEST(Differentiate, GradientsOfGradients) {
  // d/dx of (d/dx sum x^3) = 6 x.
  const char* text = R"(
func @cube(%x: f64[3]) -> (f64[]) {
  %s = mul(%x, %x)
  %c = mul(%s, %x)
  %l = reduce_sum(%c) {axes=[0]}
  return %l
}
func @slope(%x: f64[3]) -> (f64[]) {
  %all: (f64[], f64[3]) = value_and_grad(%x) {function=@cube, wrt=[0]}
  %d = get(%all) {index=1}
  %l = reduce_sum(%d) {axes=[0]}
  return %l
}
func @f(%x: f64[3]) -> (f64[3]) {
  %all: (f64[], f64[3]) = value_and_grad(%x) {function=@slope, wrt=[0]}
  %d = get(%all) {index=1}
  return %d
}
)";
  const graph::Module m = run_graph_passes(graph::parse(text));
  Tensor x(DType::F64, {3});
  for (int i = 0; i < 3; ++i) x.set(i, 0.5 + i);
  std::vector<Tensor> args;
  args.push_back(x.clone());
  const Tensor d = std::move(interpret(m, m.at("f"), args)[0]);
  for (int i = 0; i < 3; ++i) EXPECT_NEAR(d.at(i), 6 * x.at(i), 1e-12);
}

}  // namespace
}  // namespace gradc::passes
