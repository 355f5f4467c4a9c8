// Two symbolic dimensions from graph to machine code: compiled once, run at many sizes of both, in text and
// through the builder.
#include "agree/harness.h"
#include "ir/graph/builder.h"

namespace gradc::test {
namespace {

// A cell over T steps, attention over what it gave, a loss over both; one update of both weights.
const char* kSequence = R"(
func @cell(%w: f32[8,8], %h: f32[B,8], %x: f32[B,8]) -> (f32[B,8], f32[B,8]) {
  %m = einsum(%h, %w) {spec="bi,ij->bj"}
  %s = add(%m, %x)
  %t = tanh(%s)
  return %t, %t
}
func @loss[B <= 6 plan 4, T <= 40 plan 16](%w: f32[8,8], %q: f32[8,8], %x: f32[T,B,8], %y: f32[B,T]) -> (f32[]) {
  %h0 = constant() {value=0.0, dtype=f32, shape=[B,8]}
  %all: (f32[B,8], f32[T,B,8]) = scan(%w, %h0, %x) {function=@cell, consts=1, carries=1, length=[T]}
  %hs = get(%all) {index=1}
  %k = einsum(%hs, %q) {spec="tbi,ij->btj"}
  %v = transpose(%hs) {perm=[1,0,2]}
  %a = einsum(%v, %k) {spec="bti,bui->btu"}
  %m = reduce_max(%a) {axes=[2]}
  %mb = broadcast(%m) {dims=[0,1], shape=[B,T,T]}
  %s = sub(%a, %mb)
  %e = exp(%s)
  %z = reduce_sum(%e) {axes=[2]}
  %zb = broadcast(%z) {dims=[0,1], shape=[B,T,T]}
  %p = div(%e, %zb)
  %o = einsum(%p, %v) {spec="btu,bui->bti"}
  %r = reduce_sum(%o) {axes=[2]}
  %d = sub(%r, %y)
  %d2 = mul(%d, %d)
  %flat = reshape(%d2) {shape=[B*T]}
  %l = reduce_sum(%flat) {axes=[0]}
  return %l
}
func @step[B <= 6 plan 4, T <= 40 plan 16](%w: f32[8,8], %q: f32[8,8], %x: f32[T,B,8], %y: f32[B,T])
    -> (loss: f32[], f32[8,8] into %w, f32[8,8] into %q) {
  %all: (f32[], f32[8,8], f32[8,8]) = value_and_grad(%w, %q, %x, %y) {function=@loss, wrt=[0,1]}
  %l = get(%all) {index=0}
  %dw = get(%all) {index=1}
  %dq = get(%all) {index=2}
  %rate = constant() {value=0.01, dtype=f32, shape=[8,8]}
  %uw = mul(%rate, %dw)
  %uq = mul(%rate, %dq)
  %wn = sub(%w, %uw)
  %qn = sub(%q, %uq)
  return %l, %wn, %qn
}
)";

void expect_all_sizes(const graph::Module& m, const std::string& name, const Variant& v) {
  const graph::Function& f = m.at(name);
  const CompiledFunction compiled(m, f, options_of(v));
  for (const int64_t b : {0, 1, 3, 6})
    for (const int64_t t : {0, 1, 17, 40}) {
      const Trial trial{{}, v, {1, 2, 3}, 2};
      ASSERT_EQ(disagreement(m, f, compiled, {{"B", b}, {"T", t}}, trial), "");
    }
}

TEST(TwoDims, ATrainingStepOverBatchAndTime) {
  const graph::Module m = passes::run_graph_passes(graph::parse(kSequence));
  for (const int lanes : {4, 8, 16}) expect_all_sizes(m, "step", {lanes, {}, ""});
  expect_all_sizes(m, "step", {8, {}, "", true});
  expect_all_sizes(m, "step", {8, {"fuse"}, ""});
  std::string back = kSequence;
  back.replace(back.find("length=[T]"), 10, "length=[T], reverse=true");
  expect_all_sizes(passes::run_graph_passes(graph::parse(back)), "step", {8, {}, "", true});
}

// Sums and moves along both, at once and one after the other.
TEST(TwoDims, BuiltByHand) {
  graph::Module module;
  graph::Builder b("f", &module);
  b.dim("B", {6, 4}), b.dim("T", {40, 16});
  const Dim rows = Index::dim("B"), times = Index::dim("T");
  const graph::NodeId x = b.param("x", {DType::F32, {rows, times, Dim(5)}});
  const graph::NodeId y = b.param("y", {DType::F32, {times, rows}});
  const graph::NodeId total = b.sum(x, {0, 1, 2}), by_time = b.sum(x, {0, 2}), by_row = b.sum(x, {1});
  const graph::NodeId flat = b.reshape(x, {rows * times, Dim(5)});
  const graph::NodeId twice = b.concat({b.transpose(y, {1, 0}), b.sum(x, {2})}, 1);
  const graph::NodeId gram = b.einsum(flat, flat, "ni,nj->ij");
  const graph::NodeId half = b.slice(twice, {0, times - 1}, {rows, times + times});
  const graph::NodeId spread = b.broadcast(by_time, {rows, times}, {1});
  for (const graph::NodeId n : {total, by_time, by_row, twice, gram, half, b.mul(spread, b.sum(x, {2}))})
    b.result(n);
  module.functions["f"] = b.finish();
  const graph::Module m = passes::run_graph_passes(module);
  const graph::Function& f = m.at("f");
  const CompiledFunction compiled(m, f, {});
  for (const int64_t n : {0, 1, 6})
    for (const int64_t t : {1, 2, 33, 40})
      ASSERT_EQ(disagreement(m, f, compiled, {{"B", n}, {"T", t}}, {{}, {}, {1, 2, 3}}), "");
}

}  // namespace
}  // namespace gradc::test
