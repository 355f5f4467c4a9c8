// What the search over plans walks along: forms of loops and their steps are two ways to say the same, and
// every neighbour leaves the bits as they are.
#include "passes/kernel/neighbours.h"

#include "agree/harness.h"
#include "agree/random_graph.h"

namespace gradc::test {
namespace {

using passes::LoopForm;

struct Planned {
  graph::Module module;
  passes::StepOptions options;
  step::Step step;

  explicit Planned(const graph::Module& m) : module(passes::run_graph_passes(m)) {
    options = step_options(options_of({8, {}, "", true}));
    options.after = "plan";
    step = passes::build_step(module, f(), options);
    options.from = "schedule", options.after = "";
    for (const step::Dim& d : step.dims) options.schedule.plan[d.name] = d.plan;
  }
  const graph::Function& f() const { return module.at("f"); }
  LoopForm form(size_t k) const { return passes::replay(step.kernels[k], step.schedules[k]); }
  std::vector<LoopForm> beside(size_t k, const LoopForm& form) const {
    return passes::neighbours(step.kernels[k], form, options.schedule).allowed;
  }
  step::Step under(size_t k, const LoopForm& form) const {
    step::Step s = step;
    s.schedules[k] = passes::write_schedule(s.kernels[k], form);
    passes::run_step_passes(s, options);
    return s;
  }
};

std::string without_reasons(kernel::Schedule s) {
  for (kernel::Transform& t : s.steps) t.reason.clear();
  s.what.clear();
  return kernel::print(s, "k");
}

TEST(Forms, AreWhatTheirStepsMake) {
  int steps = 0;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    const Planned p(RandomGraph(seed).make());
    for (size_t k = 0; k < p.step.kernels.size(); ++k) {
      const kernel::Schedule again = passes::write_schedule(p.step.kernels[k], p.form(k));
      ASSERT_EQ(without_reasons(again), without_reasons(p.step.schedules[k])) << "seed " << seed;
      ASSERT_EQ(passes::replay(p.step.kernels[k], again), p.form(k)) << "seed " << seed;
      steps += static_cast<int>(again.steps.size());
    }
  }
  EXPECT_GT(steps, 1000);
}

TEST(Neighbours, LeaveTheBits) {
  int tried = 0;
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    const RandomGraph g(seed);
    const Planned p(RandomGraph(seed).make());
    std::map<std::string, int64_t> dims;
    for (const auto& [d, info] : p.f().dims) dims[d] = g.largest_batch();
    const std::vector<Tensor> args = random_arguments(p.f(), dims, seed);
    const std::vector<Tensor> want = interpret(p.module, p.f(), args);
    for (size_t draw = 0; draw < 4; ++draw) {
      step::Step s = p.step;
      for (size_t k = 0; k < s.kernels.size(); ++k) {
        const std::vector<LoopForm> beside = p.beside(k, p.form(k));
        if (beside.empty()) continue;
        s.schedules[k] = passes::write_schedule(s.kernels[k], beside[(seed * 7 + draw * 31) % beside.size()]);
        ++tried;
      }
      const std::string planned = step::print(s);
      passes::run_step_passes(s, p.options);
      ASSERT_EQ(difference(want, interpret_step(p.f(), s, args, {.threads = 3, .order_seed = seed + draw})),
                "")
          << "seed " << seed << "\n"
          << planned;
    }
  }
  EXPECT_GT(tried, 1000);
}

constexpr const char* kProduct = R"(
func @f(%x: f32[3,12,10], %w: f32[10,40]) -> (f32[3,12,40]) {
  %p = einsum(%x, %w) {spec="bij,jk->bik"}
  %y = tanh(%p)
  return %y
}
)";

// All of them and some of theirs interpreted, a third compiled.
TEST(Neighbours, OfAProductLeaveTheBits) {
  const Planned p(graph::parse(kProduct));
  ASSERT_EQ(p.step.kernels.size(), 1u);
  const std::vector<Tensor> args = random_arguments(p.f(), {}, 3), want = interpret(p.module, p.f(), args);
  std::vector<LoopForm> forms = p.beside(0, p.form(0));
  const size_t first = forms.size();
  for (size_t i = 0; i < first; i += 9)
    for (const LoopForm& f : p.beside(0, forms[i])) forms.push_back(f);
  EXPECT_GT(first, 50u);
  for (size_t i = 0; i < forms.size(); i += i < first ? 1 : 11) {
    const step::Step s = p.under(0, forms[i]);
    const std::string what = passes::describe(p.step.kernels[0], forms[i]);
    ASSERT_EQ(difference(want, interpret_step(p.f(), s, args, {.threads = 3, .order_seed = i})), "") << what;
    if (i % 3 != 0) continue;
    ASSERT_EQ(difference(want, CompiledFunction(p.f(), s, options_of({8, {}, "", true})).run(args, 2)), "")
        << what;
  }
}

// Each decision is among them.
TEST(Neighbours, ChangeEveryDecision) {
  const Planned p(graph::parse(kProduct));
  const LoopForm from = p.form(0);
  const std::vector<LoopForm> forms = p.beside(0, from);
  const auto some = [&](auto holds) { return std::any_of(forms.begin(), forms.end(), holds); };
  EXPECT_TRUE(some([&](const LoopForm& f) { return f.rows != from.rows; }));
  for (const int64_t columns : {8, 16, 24, 32})
    EXPECT_TRUE(columns == from.columns || some([&](const LoopForm& f) { return f.columns == columns; }))
        << columns;
  EXPECT_TRUE(some([&](const LoopForm& f) { return f.stage != from.stage; }));
  EXPECT_TRUE(some([&](const LoopForm& f) { return f.columns_outer != from.columns_outer; }));
  EXPECT_TRUE(some([&](const LoopForm& f) { return f.panel_first != from.panel_first; }));
  EXPECT_TRUE(some([&](const LoopForm& f) { return f.vector_axis != from.vector_axis; }));
  EXPECT_TRUE(some([&](const LoopForm& f) { return f.row_axis != from.row_axis; }));
  EXPECT_TRUE(some([&](const LoopForm& f) { return f.terms > 0; }));
  bool panels = false, tiles = false, copied = false;
  for (const LoopForm& near : forms)
    for (const LoopForm& f : p.beside(0, near))
      (f.row_blocks ? tiles : panels) |= f.block > 0, copied |= f.stage_tiles;
  EXPECT_TRUE(panels);
  EXPECT_TRUE(tiles);
  EXPECT_TRUE(copied);
}

}  // namespace
}  // namespace gradc::test
