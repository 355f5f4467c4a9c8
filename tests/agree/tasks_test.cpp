// Chains of kernels that run block by block: attention and its gradients, of constant and of symbolic length,
// in tasks that do not divide it, bit for bit what the interpreters say.
#include "agree/harness.h"

namespace gradc::test {
namespace {

const char* kAttention = R"(
func @loss[B <= 8 plan 8, T <= 40 plan 40](%q: f32[B,T,2,8], %k: f32[B,T,2,8], %v: f32[B,T,2,8]) -> (loss: f32[]) {
  %s = einsum(%q, %k) {spec="bihc,bjhc->bhij"}
  %top = reduce_max(%s) {axes=[3]}
  %stop = stop_gradient(%top)
  %topb = broadcast(%stop) {dims=[0,1,2], shape=[B,2,T,T]}
  %d = sub(%s, %topb)
  %e = exp(%d)
  %total = reduce_sum(%e) {axes=[3]}
  %totals = broadcast(%total) {dims=[0,1,2], shape=[B,2,T,T]}
  %a = div(%e, %totals)
  %y = einsum(%a, %v) {spec="bhij,bjhc->bihc"}
  %z = tanh(%y)
  %loss = reduce_sum(%z) {axes=[0,1,2,3]}
  return %loss
}

func @f[B <= 8 plan 8, T <= 40 plan 40](%q: f32[B,T,2,8], %k: f32[B,T,2,8], %v: f32[B,T,2,8]) -> (loss: f32[], dq: f32[B,T,2,8], dk: f32[B,T,2,8], dv: f32[B,T,2,8]) {
  %all: (f32[], f32[B,T,2,8], f32[B,T,2,8], f32[B,T,2,8]) = value_and_grad(%q, %k, %v) {function=@loss, wrt=[0,1,2]}
  %loss = get(%all) {index=0}
  %dq = get(%all) {index=1}
  %dk = get(%all) {index=2}
  %dv = get(%all) {index=3}
  return %loss, %dq, %dk, %dv
}
)";

struct Tasks {
  int loops = 0, sums = 0;  // sums: that go on from block to block
};
Tasks tasks_in(const step::Step& s) {
  Tasks n;
  for (const step::Stmt& st : s.body) {
    auto* f = std::get_if<std::shared_ptr<const step::For>>(&st);
    if (!f || !(*f)->tasks) continue;
    ++n.loops;
    n.sums += std::holds_alternative<std::shared_ptr<const step::For>>((*f)->body.back());
  }
  return n;
}

CompileOptions small_caches() {
  CompileOptions o = options_of({});
  o.parallel_threshold = 1;
  o.near_bytes = 512;
  return o;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (size_t at = 0; (at = text.find(from, at)) != text.npos; at += to.size())
    text.replace(at, from.size(), to);
  return text;
}

void expect_tasks_agree(const std::string& text, int sums,
                        const std::vector<std::map<std::string, int64_t>>& sizes) {
  const graph::Module m = passes::run_graph_passes(graph::parse(text));
  const graph::Function& f = m.at("f");
  const CompiledFunction compiled(m, f, small_caches());
  const Tasks tasks = tasks_in(compiled.step());
  EXPECT_GE(tasks.loops, 2);
  EXPECT_GE(tasks.sums, sums);
  EXPECT_GT(compiled.step().thread_bytes, 0);
  for (const auto& dims : sizes)
    EXPECT_EQ(disagreement(m, f, compiled, dims, {{}, {}, {1, 2, 3, 7}}), "") << dims.at("B");
}

// The same with layers between the attention and the loss.
std::string deep_attention(int length) {
  std::string layers = "  %x0 = tanh(%y)\n";
  for (int i = 0; i < 14; ++i)
    layers += fmt::format("  %p{0} = einsum(%x{0}, %m) {{spec=\"bihc,cd->bihd\"}}\n  %x{1} = tanh(%p{0})\n",
                          i, i + 1);
  std::string text = replaced(replaced(kAttention, ", T <= 40 plan 40", ""), "T", std::to_string(length));
  text = replaced(text, "(%q: ", "(%m: f32[8,8], %q: ");
  text = replaced(text, "value_and_grad(%q, %k, %v) {function=@loss, wrt=[0,1,2]}",
                  "value_and_grad(%m, %q, %k, %v) {function=@loss, wrt=[1,2,3]}");
  text = replaced(text, "  %z = tanh(%y)\n", layers);
  return replaced(text, "reduce_sum(%z)", "reduce_sum(%x14)");
}

TEST(Tasks, AttentionOfConstantLength) {
  const std::string text = replaced(replaced(kAttention, ", T <= 40 plan 40", ""), "T", "24");
  expect_tasks_agree(text, 1, {{{"B", 1}}, {{"B", 3}}, {{"B", 8}}});
}

TEST(Tasks, WhatIsMadeAgainIsTheSame) {
  // Heads of 2, of which scores of 24 x 24 are more than four times as large.
  const std::string text = replaced(replaced(deep_attention(24), "2,8]", "2,2]"), "[8,8]", "[2,2]");
  const graph::Module m = passes::run_graph_passes(graph::parse(text));
  const std::string step = step::print(lower_function(m, m.at("f"), small_caches()));
  EXPECT_NE(step.find(".again"), step.npos);
  expect_tasks_agree(text, 1, {{{"B", 3}}, {{"B", 8}}});
}

TEST(Tasks, AttentionOfSymbolicLength) {
  expect_tasks_agree(
      kAttention, 0,
      {{{"B", 1}, {"T", 1}}, {{"B", 2}, {"T", 7}}, {{"B", 8}, {"T", 40}}, {{"B", 3}, {"T", 33}}});
}

// The body without the run that `n` counts down to.
step::Body without_run(const step::Body& body, int& n) {
  step::Body out;
  for (const step::Stmt& st : body) {
    if (std::holds_alternative<step::Run>(st) && n-- == 0) continue;
    out.push_back(step::map_bodies(st, [&](const step::Body& inner) { return without_run(inner, n); }));
  }
  return out;
}

// A task that leaves out one of its kernels reads what an earlier task left in the buffers of its thread.
TEST(Tasks, WhatAnEarlierTaskLeftIsFound) {
  const graph::Module m = passes::run_graph_passes(graph::parse(kAttention));
  const step::Step whole = CompiledFunction(m, m.at("f"), small_caches()).step();
  int runs = 0, found = 0;
  step::each_run(whole.body, [&](const step::Run&) { ++runs; });
  for (int r = 0; r < runs; ++r) {
    step::Step s = whole;
    int n = r;
    s.body = without_run(whole.body, n);
    std::vector<std::byte> io(static_cast<size_t>(s.io_bytes));
    try {
      step::interpret(s, nullptr, io.data(), {{{"B", 8}, {"T", 40}}, 2});
    } catch (const InternalError& e) {
      found += std::string(e.what()).find("what this task did not write there") != std::string::npos;
    }
  }
  EXPECT_GE(found, 5);  // the scores, their maxima, three of the backward pass
}

// What is large and cheap is not kept from the forward pass to the backward pass.
TEST(Tasks, MemoryOfAttentionGrowsWithItsLength) {
  const auto scratch = [](int length, std::vector<std::string> without) {
    CompileOptions o;
    o.without = std::move(without);
    const graph::Module m = passes::run_graph_passes(graph::parse(deep_attention(length)));
    return lower_function(m, m.at("f"), o).scratch_bytes;
  };
  EXPECT_LT(scratch(4096, {}), 5 * scratch(1024, {}));
  EXPECT_GT(scratch(4096, {"block"}), 12 * scratch(1024, {"block"}));
}

TEST(Tasks, WithoutThePassThereAreNone) {
  CompileOptions o = small_caches();
  o.without = {"block"};
  const graph::Module m = passes::run_graph_passes(graph::parse(kAttention));
  EXPECT_EQ(tasks_in(CompiledFunction(m, m.at("f"), o).step()).loops, 0);
}

}  // namespace
}  // namespace gradc::test
