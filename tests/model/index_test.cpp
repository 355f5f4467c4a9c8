// Numbers that name rows or classes: checked in every entry where nothing proves them in range.
#include "model/model.h"
#include "runtime/error.h"

namespace gradc {
namespace {

runtime::Array ints(std::vector<int64_t> shape, const std::vector<int>& values) {
  runtime::Array a = runtime::make_array(runtime::DType::I32, std::move(shape));
  for (size_t i = 0; i < values.size(); ++i) a.set(static_cast<int64_t>(i), values[i]);
  return a;
}

std::string text_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const runtime::Error& e) {
    return e.what();
  }
  return "";
}

std::string simple_model(const std::string& inputs, const std::string& body, const std::string& more = "") {
  return "model m(" + inputs + ") -> (y: [B]) { y = " + body + " }\n" + more;
}

TEST(Indices, AStepThatFindsOneOutsideChangesNoState) {
  const TestModel m(R"(model m(x: f32[B, 3]) -> (logits: [B, 3]) { logits = x |> Dense{3} |> Count{} }
layer Count{}(x: [B, 3]) -> [B, 3] {
  state seen: [3] = 0
  if training { seen = seen + mean[b] x[b, :] }
  return x
}
data d { train = csv("t.csv", x = columns("a", "b", "c"), y = column("y", i32)) }
train m on d {
  loss = cross_entropy(logits, y - 1)
  optimizer = adam{}
  lr = 0.1
  batch = 4
}
)");
  ASSERT_TRUE(m.ok());
  runtime::Runner runner(m.compiled.program, 2);
  runner.init(1);
  runtime::Dataset data = made_up(m.compiled.unit, 4, 3);
  auto step = [&](const std::vector<int>& y) {
    data.fields.at("y") = ints({4}, y);
    const std::vector<int64_t> rows = {3, 1, 0, 2};
    runner.begin("train_step", 4);
    for (const auto& [name, field] : data.fields) runner.set_rows(name, field, rows);
    for (const auto& [name, v] : m.compiled.program.hyper) runner.set(name, v);
    runner.call();
  };
  const auto before = runner.snapshot();
  EXPECT_EQ(text_of([&] {
              step({1, 4, 3, 1});
            }),
            "test.grad:9:10: label 3 in row 2 of the data, but the model needs 0..2");
  EXPECT_EQ(runner.snapshot(), before);
  EXPECT_EQ(text_of([&] {
              step({0, 1, 1, 1});
            }),
            "test.grad:9:10: label -1 in row 1 of the data, but the model needs 0..2");
  EXPECT_EQ(runner.snapshot(), before);
  step({1, 3, 2, 1});
  EXPECT_NE(runner.snapshot(), before);
  const runtime::SafeTensors state = runner.save();
  for (const auto& s : m.compiled.program.state) {
    const runtime::Array& now = state.tensors.at(s.tensor.name);
    double sum = 0;
    for (int64_t i = 0; i < now.count(); ++i) sum += std::abs(now.at(i));
    EXPECT_GT(sum, 0) << s.tensor.name;  // every kind of state is written by a good step
  }
}

// What only a gradient reads by number is checked too, once, to whatever order it is read.
TEST(Indices, CheckedBelowAGradient) {
  const TestModel m(R"(model m(x: f32[B, 3], n: i32[B]) -> (g: [B, 3]) {
  g = grad(sum(pick(x, n) ** 3), x)
  repeat 3 { g = grad(sum(g * pick(x, n)[0]), x) }
}
)");
  ASSERT_TRUE(m.ok());
  ASSERT_EQ(m.compiled.program.entry("predict")->checks.size(), 1u);
  runtime::Runner runner(m.compiled.program, 1);
  runner.init(1);
  runtime::Dataset data = made_up(m.compiled.unit, 2, 3);
  data.fields.at("n") = ints({2}, {2, 3});
  runner.begin("predict", 2);
  for (const auto& [name, field] : data.fields) runner.set_rows(name, field, std::vector<int64_t>{0, 1});
  EXPECT_EQ(text_of([&] { runner.call(); }),
            "test.grad:2:16: label 3 in row 2 of the data, but the model needs 0..2");
}

TEST(Indices, ComputedLabelsAgreeWithTheInterpreter) {
  const TestModel m(R"(model m(x: f32[B, 3], k: i32[B, 2]) -> (logits: [B, 3]) {
  logits = x |> Dense{3} |> add(sum(Embed{5, 3}(k * 4 - 1), over=1))
}
fn add(a, b) = a + b
data d { train = csv("t.csv", x = columns("a", "b", "c"), k = columns("d", "e"), y = column("y", i32)) }
train m on d {
  loss = cross_entropy(logits, 1 - y)
  optimizer = sgd{momentum=0.9}
  lr = 0.1
  batch = 4
}
)");
  ASSERT_TRUE(m.ok());
  const auto& checks = m.compiled.program.entry("train_step")->checks;
  ASSERT_EQ(checks.size(), 2u);
  runtime::Runner runner(m.compiled.program, 1);
  Reference reference(m.compiled);
  std::map<std::string, Tensor> in;
  in["seed"] = scalar(DType::I64, 5);
  runner.init(5);
  reference.call("init", in);
  runtime::Dataset data = made_up(m.compiled.unit, 4, 7);
  data.fields.at("k") = ints({4, 2}, {1, 1, 1, 0, 1, 1, 0, 1});
  const std::vector<int64_t> rows = {0, 1, 2, 3};
  runner.begin("train_step", 4);
  for (const auto& [name, field] : data.fields)
    runner.set_rows(name, field, rows), in[name] = to_tensor(field);
  for (const char* name : {"step", "total"}) in[name] = scalar(DType::I64, 0);
  for (const auto& [name, v] : m.compiled.program.hyper)
    runner.set(name, v), in[name] = scalar(DType::F64, v);
  runner.set("seed", 5);
  EXPECT_NE(text_of([&] {
              runner.call();
            }).find("index -1 in row 2 of the data, element [1], but the model needs 0..4"),
            std::string::npos);
  std::map<std::string, Tensor> out = reference.call("train_step", in);
  std::string why;
  EXPECT_TRUE(bit_equal(to_tensor(runner.output("checks")), out.at("checks"), &why)) << why;
  const runtime::SafeTensors state = runner.save();
  for (const frontend::StateSpec& s : m.compiled.unit.state)
    EXPECT_TRUE(bit_equal(to_tensor(state.tensors.at(s.path)), reference.state.at(s.parameter()), &why))
        << s.path << ": " << why;
}

TEST(Indices, WhatIsProvedOrCheckedWhenLoadedCostsNothing) {
  for (const char* body : {"take(Table{}(x), argmax(x))", "take(Table{}(x), i32(x[:, 0] > 0))",
                           "take(Table{}(x), maximum(0, minimum(k, 2)))", "pick(x, arange([B]) * 0)"}) {
    const bool proved = std::string(body).find("arange") == std::string::npos;
    const TestModel m(simple_model("x: f32[B, 3], k: i32[B]", body,
                                   "layer Table{}(x: [B, 3]) -> [3] {\n  param w: [3] = 1\n  return w\n}\n"));
    ASSERT_TRUE(m.ok()) << body;
    EXPECT_EQ(m.compiled.program.entry("predict")->checks.empty(), proved) << body;
    EXPECT_EQ(m.compiled.program.entry("predict")->output("checks") == nullptr, proved) << body;
  }
  const TestModel digits(read_example("digits.grad"), {},
                         std::string(GRADC_SOURCE_DIR) + "/examples/digits.grad");
  ASSERT_TRUE(digits.ok());
  for (const auto& [name, e] : digits.compiled.program.entries)
    EXPECT_EQ(e.output("checks"), nullptr) << name;
}

TEST(Indices, WholeFieldsAreCheckedWhenLoadedAndPartsInTheStep) {
  auto text = [](const std::string& k, const std::string& y) {
    return "model m(k: i32[B, 2]) -> (logits: [B, 3]) { logits = mean(Embed{4, 3}(" + k +
           "), over=1) }\ndata d { train = csv(\"t.csv\", k = columns(\"a\", \"b\"), y = column(\"y\", u8)) "
           "}\n"
           "train m on d {\n  loss = cross_entropy(logits, " +
           y + ")\n  optimizer = sgd{}\n  lr = 0.1\n  batch = 4\n}\n";
  };
  const TestModel whole(text("transpose(transpose(k))", "i32(reshape(y, [-1]))"));
  ASSERT_TRUE(whole.ok());
  EXPECT_TRUE(whole.compiled.program.entry("train_step")->checks.empty());
  EXPECT_EQ(whole.compiled.unit.inputs[0].classes, 4);
  EXPECT_EQ(whole.compiled.unit.inputs[1].classes, 3);
  const TestModel part(text("k[:, 1:]", "y"));
  ASSERT_TRUE(part.ok());
  EXPECT_EQ(part.compiled.program.entry("train_step")->checks.size(), 1u);
  EXPECT_EQ(part.compiled.unit.inputs[0].classes, 0);  // the other part may hold anything
}

TEST(Indices, AnInputOfTheirNameKeepsIt) {
  const TestModel m("model m(checks: i32[B]) -> (y: [B]) { y = sum(Embed{3, 2}(checks), over=1) }\n");
  ASSERT_TRUE(m.ok());
  runtime::Runner runner(m.compiled.program, 1);
  runner.init(1);
  runner.begin("predict", 2);
  runner.set_rows("checks", ints({2}, {2, -2}), std::vector<int64_t>{0, 1});
  EXPECT_NE(text_of([&] { runner.call(); }).find("index -2 in row 2 of the data"), std::string::npos);
}

TEST(Indices, AResultOfTheirNameKeepsIt) {
  const TestModel m("model m(k: i32[B]) -> (checks: [B]) { checks = sum(Embed{3, 2}(k), over=1) }\n");
  ASSERT_TRUE(m.ok());
  runtime::Runner runner(m.compiled.program, 1);
  runner.init(1);
  runner.begin("predict", 2);
  runner.set_rows("k", ints({2}, {2, 7}), std::vector<int64_t>{0, 1});
  EXPECT_NE(text_of([&] { runner.call(); }).find("index 7 in row 2 of the data, but the model needs 0..2"),
            std::string::npos);
  runner.begin("predict", 0);
  runner.call();
  EXPECT_EQ(runner.output("checks").dtype, runtime::DType::F32);
}

}  // namespace
}  // namespace gradc
