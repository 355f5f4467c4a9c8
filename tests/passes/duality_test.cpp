// Reverse mode against dual numbers, which share no rule: the gradient along v is the tangent of the loss,
// and the gradient of that is the tangent of the gradient (dual over reverse).
#include <gtest/gtest.h>

#include <cmath>

#include "ir/interp/dual.h"
#include "passes/pipeline.h"

namespace gradc {
namespace {

struct Case {
  std::string name;
  std::vector<std::vector<int64_t>> shapes;
  std::string body;  // nodes over %a, %b, %c that end in %y, then its shape's axes
  std::vector<int64_t> result;
};

std::string type_of(const std::vector<int64_t>& shape) {
  std::string s;
  for (int64_t d : shape) s += (s.empty() ? "" : ",") + std::to_string(d);
  return "f64[" + s + "]";
}
std::string axes_of(size_t rank) {
  std::string s;
  for (size_t i = 0; i < rank; ++i) s += (i ? "," : "") + std::to_string(i);
  return "[" + s + "]";
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const graph::OpDef& d : graph::all_ops()) {
    if (!d.scalar || d.differentiable != graph::Differentiable::Rule || d.name == "convert" ||
        d.name == "select")
      continue;
    std::vector<std::vector<int64_t>> shapes(static_cast<size_t>(d.max_operands), {5});
    const char* args[] = {"", "%a", "%a, %b", "%a, %b, %c"};
    all.push_back(
        {std::string(d.name), shapes, "%y = " + std::string(d.name) + "(" + args[d.max_operands] + ")", {5}});
  }
  all.push_back({"select", {{5}, {5}}, "%p = gt(%a, %b) %y = select(%p, %a, %b)", {5}});
  all.push_back(
      {"convert", {{5}}, "%y = convert(%a) {dtype=f64}", {5}});  // f32 would round more than is compared
  for (const char* op : {"reduce_sum", "reduce_prod", "reduce_max", "reduce_min"})
    all.push_back({op, {{3, 4}}, std::string("%y = ") + op + "(%a) {axes=[1]}", {3}});
  all.push_back({"reduce_prod_all", {{3, 4}}, "%y = reduce_prod(%a) {axes=[0,1]}", {}});
  for (const std::string op : {"cumsum", "cumprod"})
    for (const std::string flag : {"", "reverse", "exclusive"})
      all.push_back({op + flag,
                     {{3, 4}},
                     "%y = " + op + "(%a) {axis=1" + (flag.empty() ? "" : ", " + flag + "=true") + "}",
                     {3, 4}});
  all.push_back({"cumprodboth", {{3, 4}}, "%y = cumprod(%a) {axis=0, reverse=true, exclusive=true}", {3, 4}});
  all.push_back({"einsum", {{3, 4}, {4, 2}}, "%y = einsum(%a, %b) {spec=\"ik,kj->ij\"}", {3, 2}});
  all.push_back({"einsum_outer", {{3, 4}, {2, 4}}, "%y = einsum(%a, %b) {spec=\"ik,jk->ji\"}", {2, 3}});
  all.push_back({"broadcast", {{3, 1}}, "%y = broadcast(%a) {dims=[0,2], shape=[3,2,4]}", {3, 2, 4}});
  all.push_back({"reshape", {{3, 4}}, "%y = reshape(%a) {shape=[2,6]}", {2, 6}});
  all.push_back({"transpose", {{3, 4, 2}}, "%y = transpose(%a) {perm=[2,0,1]}", {2, 3, 4}});
  all.push_back({"reverse", {{3, 4}}, "%y = reverse(%a) {axes=[1]}", {3, 4}});
  all.push_back({"slice", {{7, 4}}, "%y = slice(%a) {start=[1,0], limit=[6,3], stride=[2,1]}", {3, 3}});
  all.push_back(
      {"pad", {{3, 4}}, "%y = pad(%a) {low=[1,-1], high=[2,0], interior=[1,0], value=0.5}", {8, 3}});
  all.push_back({"concat", {{3, 4}, {3, 2}}, "%y = concat(%a, %b) {axis=1}", {3, 6}});
  const std::string index = "%i = iota() {axis=0, dtype=i64, shape=[4]} ";
  all.push_back({"gather", {{3, 2}}, index + "%y = gather(%a, %i)", {4, 2}});
  all.push_back({"scatter_add", {{3, 2}, {4, 2}}, index + "%y = scatter_add(%a, %i, %b)", {3, 2}});
  const std::string starts =
      "%s = constant() {value=2.0, dtype=i64, shape=[]} %t = constant() {value=1.0, dtype=i64, shape=[]} ";
  all.push_back({"dynamic_slice", {{3, 4}}, starts + "%y = dynamic_slice(%a, %s, %t) {sizes=[2,2]}", {2, 2}});
  all.push_back({"dynamic_update_slice",
                 {{3, 4}, {2, 2}},
                 starts + "%y = dynamic_update_slice(%a, %b, %s, %t)",
                 {3, 4}});
  return all;
}

// @l: the sum of sin(y), so that cotangents differ by element. @f: its value and gradients. @d: their product
// with directions, and @h the gradient of that.
std::string text_of(const Case& c) {
  std::string params, args, types, wrt, gets, returns, directions, both, product;
  for (size_t i = 0; i < c.shapes.size(); ++i) {
    const std::string n(1, static_cast<char>('a' + i)), type = type_of(c.shapes[i]), comma = i ? ", " : "";
    params += comma + "%" + n + ": " + type, args += comma + "%" + n, types += ", " + type;
    directions += ", %v" + n + ": " + type, both += ", %v" + n;
    wrt += (i ? "," : "") + std::to_string(i);
    gets += "  %g" + n + " = get(%r) {index=" + std::to_string(i + 1) + "}\n", returns += ", %g" + n;
    product += "  %m" + n + " = mul(%g" + n + ", %v" + n + ")\n  %p" + n + " = reduce_sum(%m" + n +
               ") {axes=" + axes_of(c.shapes[i].size()) + "}\n";
    product += i ? "  %q" + n + " = add(%q" + std::string(1, n[0] - 1) + ", %p" + n + ")\n"
                 : "  %z = neg(%p" + n + ")\n  %q" + n + " = neg(%z)\n";
  }
  const std::string last(1, static_cast<char>('a' + c.shapes.size() - 1));
  return "func @l(" + params + ") -> (f64[]) { " + c.body +
         " %w = sin(%y) %o = reduce_sum(%w) {axes=" + axes_of(c.result.size()) + "} return %o }\n" +
         "func @f(" + params + ") -> (f64[]" + types + ") {\n  %r = value_and_grad(" + args +
         ") {function=@l, wrt=[" + wrt + "]}\n  %o = get(%r) {index=0}\n" + gets + "  return %o" + returns +
         "\n}\n" + "func @d(" + params + directions + ") -> (f64[]) {\n  %r = value_and_grad(" + args +
         ") {function=@l, wrt=[" + wrt + "]}\n" + gets + product + "  return %q" + last + "\n}\n" +
         "func @predict(" + params + directions + ") -> (f64[]" + types + ") {\n  %r = value_and_grad(" +
         args + both + ") {function=@d, wrt=[" + wrt + "]}\n  %o = get(%r) {index=0}\n" + gets +
         "  return %o" + returns + "\n}\n" + "func @eval_step(" + params + ") -> (f64[]" + types +
         ") {\n  %r = value_and_grad(" + args + ") {function=@l, wrt=[" + wrt +
         "]}\n  %o = get(%r) {index=0}\n" + gets + "  return %o" + returns + "\n}\n";
}

Tensor wave(const std::vector<int64_t>& shape, double shift) {
  Tensor t(DType::F64, shape);
  for (int64_t i = 0; i < t.count(); ++i)
    t.set(i, 0.6 + 0.5 * std::sin(1.7 * static_cast<double>(i) + shift));
  return t;
}

class Duality : public testing::TestWithParam<Case> {};

TEST_P(Duality, ReverseModeAgrees) {
  const Case& c = GetParam();
  const graph::Module source = graph::parse(text_of(c)), m = passes::run_graph_passes(source);
  std::vector<Tensor> x, v, both, still;
  for (size_t i = 0; i < c.shapes.size(); ++i)
    x.push_back(wave(c.shapes[i], static_cast<double>(i))),
        v.push_back(wave(c.shapes[i], 5.0 + static_cast<double>(i)));
  for (const Tensor& t : x) both.push_back(t.clone());
  for (const Tensor& t : v) both.push_back(t.clone());
  const std::vector<Dual> loss = interpret_dual(source, source.at("l"), x, v);
  const std::vector<Dual> gradient = interpret_dual(m, m.at("eval_step"), x, v);
  double along = 0, size = 0;
  for (size_t i = 0; i < c.shapes.size(); ++i)
    for (int64_t k = 0; k < x[i].count(); ++k) {
      along += gradient[i + 1].value.at(k) * v[i].at(k);
      size += std::abs(gradient[i + 1].value.at(k) * v[i].at(k));
    }
  EXPECT_NEAR(along, loss[0].tangent.at(0), 1e-11 * (size + 1e-3));
  const std::vector<Tensor> second = interpret(m, m.at("predict"), both);
  EXPECT_NEAR(second[0].at(0), along, 1e-11 * (size + 1e-3));
  for (size_t i = 0; i < c.shapes.size(); ++i)
    for (int64_t k = 0; k < x[i].count(); ++k) {
      const double want = gradient[i + 1].tangent.at(k);
      EXPECT_NEAR(second[i + 1].at(k), want, 1e-9 * (1 + std::abs(want)))
          << "operand " << i << " element " << k;
    }
}

INSTANTIATE_TEST_SUITE_P(Ops, Duality, testing::ValuesIn(cases()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace gradc
