// A trainer put together from graph functions alone trains as the same model written in the language.
#include "frontend/assembly/assembly.h"
#include "model/model.h"

namespace gradc {
namespace {

using frontend::Source;
using frontend::StateSpec;
using frontend::Unit;

constexpr const char* kText =
    "model m(x: f32[B, 4]) -> (r: [B]) {\n  param w: [4] = 0.5\n  state seen: [] = 1\n"
    "  r[b] = sum[i] x[b, i] * w[i]\n  if training { seen = seen + 1 }\n}\n"
    "data d { train = csv(\"none.csv\", x = columns(\"a\", \"b\", \"c\", \"d\"), y = column(\"y\")) }\n"
    "train m on d { loss = mse(r, y)\n optimizer = sgd{momentum=0.9}\n lr = LR\n CLIP\n batch = 8 }\n";

// The same by hand. Sums are what the language adds up for the loss: squares and rows.
constexpr const char* kFunctions = R"(
func @loss[B <= 8](%x: f32[B,4], %y: f32[B], %w: f32[4], %seen: f32[]) -> (f32[], sums: f64[2], f32[]) private=yes {
  %r = einsum(%x, %w) {spec="bi,i->b"}
  %d = sub(%r, %y)
  %q = mul(%d, %d)
  %t = reduce_sum(%q) {axes=[0]}
  %rows = dim() {dtype=f64, value=[B]}
  %n = convert(%rows) {dtype=f32}
  %l = div(%t, %n)
  %e = convert(%q) {dtype=f64}
  %s = reduce_sum(%e) {axes=[0]}
  %s1 = reshape(%s) {shape=[1]}
  %n1 = reshape(%rows) {shape=[1]}
  %sums = concat(%s1, %n1) {axis=0}
  %one = constant() {dtype=f32, shape=[], value=1.0}
  %next = add(%seen, %one)
  return %l, %sums, %next
}
func @update(%p: f32[4], %g: f32[4], %lr: f64[], %step: f64[], %m: f32[4]) -> (f32[4], f32[4]) private=yes {
  %k = constant() {dtype=f32, shape=[4], value=0.9}
  %mk = mul(%k, %m)
  %one = constant() {dtype=f64, shape=[], value=1.0}
  %near = convert(%one) {dtype=f32}
  %damp = broadcast(%near) {dims=[], shape=[4]}
  %dg = mul(%damp, %g)
  %next = add(%mk, %dg)
  %rate = convert(%lr) {dtype=f32}
  %rates = broadcast(%rate) {dims=[], shape=[4]}
  %u = mul(%rates, %next)
  %q = sub(%p, %u)
  return %q, %next
}
func @slots(%p: f32[4]) -> (f32[4]) private=yes {
  %m = constant() {dtype=f32, shape=[4], value=0.0}
  return %m
}
func @values(%seed: i64[]) -> (f32[4], f32[]) private=yes {
  %w = constant() {dtype=f32, shape=[4], value=0.5}
  %s = constant() {dtype=f32, shape=[], value=1.0}
  return %w, %s
}
func @rate(%step: i64[], %total: i64[]) -> (f64[]) private=yes {
  %s = convert(%step) {dtype=f64}
  %t = convert(%total) {dtype=f64}
  %r = div(%s, %t)
  return %r
}
)";

Unit by_hand(bool schedule, double clip) {
  Unit u;
  u.module = graph::parse(kFunctions);
  const Dim b = Index::dim("B");
  u.inputs = {{"x", "x", {DType::F32, {b, Dim(4)}}, true, 0, {}},
              {"y", "y", {DType::F32, {b}}, false, 0, {}}};
  u.state = {{StateSpec::Role::Param, "w", {DType::F32, {Dim(4)}}, {}},
             {StateSpec::Role::State, "seen", {DType::F32, {}}, {}}};
  u.model_name = "m";
  u.train.emplace();
  u.train->batch = 8;
  if (!schedule) u.train->hyper["lr"] = 0.1;
  frontend::TrainingParts parts;
  parts.dims["B"] = {8, 8};
  frontend::StepPart& step = parts.steps.emplace_back();
  step.loss = {"loss",
               {{Source::Kind::Input, 0},
                {Source::Kind::Input, 1},
                {Source::Kind::State, 0},
                {Source::Kind::State, 1}},
               {1},
               {}};
  step.updates = {{"update", "slots", {"m"}, {{}}, {}}};
  step.update_of = {0, -1};
  if (schedule) step.schedules = {{"rate", {}}};
  step.schedule_of = {schedule ? 0 : -1, -1};
  step.clip.norm = clip;
  frontend::assemble_training_step(u, parts);
  frontend::assemble_init(u, "values", {}, &parts, "checks");
  return u;
}

std::map<std::string, runtime::Array> trained(const Compiled& c) {
  runtime::Runner runner(c.program, 1);
  runner.init(3);
  const runtime::Dataset data = made_up(c.unit, 8, 7);
  for (int step = 0; step < 5; ++step) {
    const std::vector<int64_t> rows{0, 1, 2, 5, 7};
    runner.begin("train_step", 5);
    for (const auto& [name, field] : data.fields) runner.set_rows(name, field, rows);
    runner.set("step", step), runner.set("total", 5), runner.set("seed", 3);
    for (const auto& [name, v] : c.program.hyper) runner.set(name, v);
    runner.call();
  }
  return runner.save().tensors;
}

TEST(Assembly, GraphFunctionsTrainAsTheLanguageDoes) {
  for (const bool schedule : {false, true})
    for (const double clip : {0.0, 0.25}) {
      SCOPED_TRACE(fmt::format("schedule {} clip {}", schedule, clip));
      std::string text = kText;
      text.replace(text.find("LR"), 2, schedule ? "ramp" : "0.1");
      text.replace(text.find("CLIP"), 4, clip > 0 ? "clip = norm(0.25)" : "");
      if (schedule) text = "fn ramp(step, total) = step / total\n" + text;
      const TestModel written(text);
      ASSERT_TRUE(written.ok());
      const Sources none;
      Compiled made = lower_unit(by_hand(schedule, clip), {}, none);
      generate_code(made, {});
      const auto want = trained(written.compiled), have = trained(made);
      ASSERT_EQ(want.size(), 3u);
      for (const auto& [path, a] : want) {
        ASSERT_EQ(have.count(path), 1u) << path;
        EXPECT_TRUE(have.at(path).bytes == a.bytes) << path;
      }
      expect_same_training(made, 2, 4, 6);
    }
}

}  // namespace
}  // namespace gradc
