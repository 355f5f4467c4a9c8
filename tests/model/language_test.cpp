// Values that the language promises: literals beside integers, floor division, broadcasting, names, kinks.
#include <cmath>
#include <limits>

#include "model/model.h"

namespace gradc {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

Tensor vector(DType t, const std::vector<double>& values) {
  Tensor x(t, {static_cast<int64_t>(values.size())});
  for (size_t i = 0; i < values.size(); ++i) x.set(static_cast<int64_t>(i), values[i]);
  return x;
}

// The result r of `model m(x: TYPE[B]) -> (r: ...) { BODY }`, by the compiled code's graph.
std::vector<double> predict(const std::string& type, const std::vector<double>& x, const std::string& body,
                            const std::string& result = "[...]") {
  const TestModel m("model m(x: " + type + "[B]) -> (r: " + result + ") {\n" + body + "\n}\n");
  if (!m.ok()) return {};
  std::map<std::string, Tensor> inputs;
  inputs["x"] = vector(*dtype_named(type), x);
  std::map<std::string, Tensor> results = Reference(m.compiled).call("predict", inputs);
  const Tensor& r = results.at("r");
  std::vector<double> out;
  for (int64_t i = 0; i < r.count(); ++i) out.push_back(r.at(i));
  return out;
}

using Values = std::vector<double>;

TEST(Language, IntegersCompareWithLiteralsAsTheNumbersDo) {
  const Values u8 = {0, 44, 255};
  EXPECT_EQ(predict("u8", u8, "r = x > 300", "bool[B]"), Values({0, 0, 0}));
  EXPECT_EQ(predict("u8", u8, "r = 300 > x", "bool[B]"), Values({1, 1, 1}));
  EXPECT_EQ(predict("u8", u8, "r = x < -1", "bool[B]"), Values({0, 0, 0}));
  EXPECT_EQ(predict("u8", u8, "r = x == 256", "bool[B]"), Values({0, 0, 0}));
  EXPECT_EQ(predict("u8", u8, "r = x != 300", "bool[B]"), Values({1, 1, 1}));
  const Values i32 = {-3, 2, 3};
  EXPECT_EQ(predict("i32", i32, "r = x < 2.5", "bool[B]"), Values({1, 1, 0}));
  EXPECT_EQ(predict("i32", i32, "r = x >= 2.5", "bool[B]"), Values({0, 0, 1}));
  EXPECT_EQ(predict("i32", i32, "r = -2.5 > x", "bool[B]"), Values({1, 0, 0}));
  EXPECT_EQ(predict("i32", i32, "r = x == 2.5", "bool[B]"), Values({0, 0, 0}));
  EXPECT_EQ(predict("i32", i32, "r = x > -1e300", "bool[B]"), Values({1, 1, 1}));
  EXPECT_EQ(predict("i64", {0x1p53}, "r = x == 9007199254740993", "bool[B]"), Values({0}));
  EXPECT_EQ(predict("i64", {0x1p53}, "r = x == 9007199254740992", "bool[B]"), Values({1}));
}

TEST(Language, IntegersComputeWithLiteralsInATypeThatHoldsThem) {
  EXPECT_EQ(predict("u8", {0, 255}, "r = x + 300", "i32[B]"), Values({300, 555}));
  EXPECT_EQ(predict("u8", {0, 255}, "r = x - (-1)", "i32[B]"), Values({1, 256}));
  EXPECT_EQ(predict("u8", {0, 255}, "r = maximum(300, x)", "i32[B]"), Values({300, 300}));
  EXPECT_EQ(predict("i32", {-5, 5}, "r = x + 3000000000", "i64[B]"), Values({2999999995, 3000000005}));
  EXPECT_EQ(predict("u8", {0, 255}, "r = x + B", "i64[B]"), Values({2, 257}));
}

TEST(Language, ChoicesOfLiteralsTakeTheTypeOfWhatTheyMeet) {
  EXPECT_EQ(predict("i32", {-5, 5}, "r = x + (1 if x > 0 else 3)", "i32[B]"), Values({-2, 6}));
  EXPECT_EQ(predict("i32", {-5, 5}, "w = -(2 * (1 if x > 0 else 3))\n r = x * w", "i32[B]"),
            Values({30, -10}));
  EXPECT_EQ(predict("f32", {-4, 4}, "r = x * (1 if x > 5 else 0.5 if x > 0 else 0.25)"), Values({-1, 2}));
  EXPECT_EQ(predict("u8", {1, 2}, "r = x + (1 if x > 1 else 300)", "i32[B]"), Values({301, 3}));
  EXPECT_EQ(predict("f64", {1}, "r = x * (0.1 if x > 0 else 1)", "f64[B]"), Values({0.1}));  // not f32's 0.1
}

TEST(Language, FloorDivisionRoundsDown) {
  EXPECT_EQ(predict("i32", {-7, -6, 7}, "r = x // 2", "i32[B]"), Values({-4, -3, 3}));
  EXPECT_EQ(predict("i32", {-7, -6, 7}, "r = x // (-2)", "i32[B]"), Values({3, 3, -4}));
  EXPECT_EQ(predict("f32", {-7, 7}, "r = x // 2"), Values({-4, 3}));
  EXPECT_EQ(predict("f32", {0, 0}, "r = x + (-7 // 2) * 10 + (7 // -2)"), Values({-44, -44}));
}

TEST(Language, BroadcastingDoesNotDependOnTheOrder) {
  for (const char* r : {"maximum(m, y)", "maximum(y, m)", "(m if y < m else y)", "(y if m < y else m)",
                        "(y if m < 2 else m)"})
    EXPECT_EQ(predict("f32", {0, 1, 2, 7},
                      "y = reshape(x, [1, B])\n m = mean(y, over=1, keep=true)\n r = " + std::string(r))
                  .size(),
              4u)
        << r;
}

TEST(Language, DimensionsInArithmeticAreRunTimeValues) {
  EXPECT_EQ(predict("f32", {3, 3, 3}, "r = x ** (B - 2)"), Values({3, 3, 3}));
  EXPECT_EQ(predict("f32", {3, 3, 3, 3}, "r = x * sqrt(B) + x / B + 1 / B"), Values({7, 7, 7, 7}));
}

TEST(Language, KinksOfActivations) {
  const Values r = predict("f32", {-1, 0, 2}, "r = relu(log(x))");
  EXPECT_TRUE(std::isnan(r[0]));
  EXPECT_EQ(r[1], 0);
  EXPECT_TRUE(std::isnan(predict("f32", {-1}, "r = leaky_relu(log(x))")[0]));
  EXPECT_TRUE(std::isnan(predict("f32", {-1}, "r = clamp(log(x), -1, 1)")[0]));
  EXPECT_EQ(predict("f32", {-3, 0.5, 3}, "r = clamp(x, -1, 1)"), Values({-1, 0.5, 1}));
  EXPECT_EQ(predict("f32", {-kInf, kInf, 1000}, "r = softplus(x)"), Values({0, kInf, 1000}));
}

TEST(Language, SoftmaxAndLogsumexpOfInfinities) {
  const std::string two = "y = reshape(x, [1, B])\n r = ";
  EXPECT_EQ(predict("f32", {-kInf, -kInf}, two + "softmax(y)"), Values({0, 0}));
  EXPECT_EQ(predict("f32", {-kInf, 3}, two + "softmax(y)"), Values({0, 1}));
  EXPECT_EQ(predict("f32", {-kInf, -kInf}, two + "log_softmax(y)"), Values({-kInf, -kInf}));
  EXPECT_EQ(predict("f32", {-kInf, -kInf}, two + "logsumexp(y)"), Values({-kInf}));
  EXPECT_EQ(predict("f32", {kInf, 3}, two + "logsumexp(y)"), Values({kInf}));
  EXPECT_EQ(predict("f32", {1e30, 3}, "r[i] = softmax[i where i > 0] x[i]"), Values({0, 1}));
  EXPECT_EQ(predict("f32", {1e30, 3}, "r[i] = softmax[i where i > 5] x[i]"), Values({0, 0}));
}

// One step of gradient descent at rate 1 from 0: minus the gradient.
Values gradient(const std::string& loss, int n = 3) {
  const TestModel m(
      "fn masked(w) {\n p[i] = softmax[i where i < 2] (w[i] + 1e30 * f32(i > 1))\n"
      " return sum(p * f32(arange(3)))\n}\n"
      "layer L{n}(x: [...]) -> [n] {\n param w: [n] = 0\n return w\n}\n"
      "model t(x: f32[B]) -> (w: [" +
      std::to_string(n) + "], v: [B]) {\n w = L{" + std::to_string(n) +
      "}(x)\n v = x\n}\n"
      "data d { train = csv(\"none.csv\", x = column(\"x\")) }\n"
      "train t on d { loss = " +
      loss + " + mean(v) * 0\n optimizer = sgd{}\n lr = 1\n batch = 2 }\n");
  if (!m.ok()) return {};
  Reference r(m.compiled);
  std::map<std::string, Tensor> in;
  in["x"] = vector(DType::F32, {1, 1});
  for (const char* s : {"step", "total", "seed"}) in[s] = scalar(DType::I64, 1);
  in["lr"] = scalar(DType::F64, 1);
  r.call("train_step", in);
  Values out;
  for (int64_t i = 0; i < n; ++i) out.push_back(-r.state.at("l.w").at(i));
  return out;
}

TEST(Language, GradientsAtTheEdges) {
  EXPECT_EQ(gradient("sum(relu(w))"), Values({0, 0, 0}));
  EXPECT_EQ(gradient("sum(softplus(w))"), Values({0.5, 0.5, 0.5}));
  EXPECT_EQ(gradient("sum(clamp(w, 0, 1))"), Values({1, 1, 1}));
  EXPECT_EQ(gradient("sum(softmax(w - 1e39) ** 2)"), Values({0, 0, 0}));  // -inf in f32
  EXPECT_EQ(gradient("maximum(logsumexp(w - 1e39), 0)"), Values({0, 0, 0}));
  EXPECT_EQ(gradient("masked(w)"), Values({-0.25, 0.25, 0}));
}

TEST(Language, FieldsAndParametersMayBeCalledLikeWhatEntriesHave) {
  for (const char* name : {"step", "total", "seed", "lr", "loss", "sums", "values", "p", "q"}) {
    const std::string n(name), result = n == "p" ? "q" : "p";
    SCOPED_TRACE(n);
    const TestModel m("model m(" + n + ": f32[N, 2]) -> (" + result + ": [N]) {\n " + result + " = W{}(" + n +
                      ") |> Dense{1} |> squeeze(over=1)\n}\n"
                      "layer W{}(x: [...]) -> [...] {\n param w: [] = 2\n return x * w\n}\n"
                      "data d { train = csv(\"n.csv\", " +
                      n +
                      " = columns(\"a\", \"b\"), A = column(\"c\")) }\n"
                      "train m on d { loss = mse(" +
                      result + ", A)\n metric k = mean(" + n +
                      ")\n"
                      " optimizer = adam{}; lr = 1e-2; batch = 4 }\n");
    ASSERT_TRUE(m.ok());
    expect_same_training(m.compiled, 2, 3, 4);
    const TestModel own("model m(x: f32[N, 2]) -> (r: [N]) {\n param " + n + ": [2] = 2\n state A: [] = 0\n" +
                        " A = A + 1\n r = sum(x * " + n +
                        ", over=1)\n}\n"
                        "data d { train = csv(\"n.csv\", x = columns(\"a\", \"b\"), A = column(\"c\")) }\n"
                        "train m on d { loss = mse(r, A)\n optimizer = adam{}; lr = 1e-2; batch = 4 }\n");
    ASSERT_TRUE(own.ok());
    expect_same_training(own.compiled, 2, 3, 4);
  }
}

TEST(Language, TheBatchNeedNotBeFirstInTheAlphabet) {
  const TestModel m(
      "model m(x: f32[N, A <= 3]) -> (p: [N]) { p = sum(W{}(x), over=1) }\n"
      "layer W{}(x: [...]) -> [...] {\n param w: [] = 2\n return x * w\n}\n"
      "data d { train = csv(\"n.csv\", x = columns(\"a\"), y = column(\"c\")) }\n"
      "train m on d { loss = mse(p, y)\n optimizer = sgd{}; lr = 1e-2; batch = 4 }\n");
  ASSERT_TRUE(m.ok());
  EXPECT_EQ(m.compiled.program.entry("train_step")->dims, std::vector<std::string>({"N", "A"}));
  expect_same_training(m.compiled, 2, 3, 4);
}

TEST(Language, ALayerInAnIndexStatementIsOne) {
  for (const char* y :
       {"y[b, o] = (x |> Dense{8})[b, o]", "y[b, o] = sum[i] x[b, i] * (x |> Dense{4})[b, i] * x[b, o] * 2",
        "y[b, o] = tanh((x |> Dense{8})[b, o]) + 1"}) {
    const TestModel m(std::string("model m(x: f32[B, 4]) -> (y: [...]) {\n") + y + "\n}\n");
    ASSERT_TRUE(m.ok()) << y;
    EXPECT_EQ(m.compiled.unit.state.size(), 2u) << y;
  }
}

TEST(Language, AWeightUsedManyTimesIsUsed) {
  const TestModel m(
      "model m(x: f32[B, 2]) -> (p: [B]) {\n d = Dense{2}\n h = x\n repeat 256 { h = tanh(d(h)) }\n"
      " p = sum(h, over=1)\n}\n"
      "data r { train = csv(\"n.csv\", x = columns(\"a\", \"b\"), y = column(\"c\")) }\n"
      "train m on r { loss = mse(p, y)\n optimizer = sgd{}; lr = 1e-2 }\n");
  ASSERT_TRUE(m.ok());
  EXPECT_EQ(render(m.diagnostics, m.sources), "");  // no warning of a parameter without gradient
}

TEST(Language, MetricsAreInF64) {
  const TestModel m(
      "model m(x: f32[B]) -> (p: [B]) { p = W{}(x) }\n"
      "layer W{}(x: [...]) -> [...] {\n param w: [] = 1\n return x * w\n}\n"
      "data r { train = csv(\"n.csv\", x = column(\"a\"), y = column(\"c\")) }\n"
      "train m on r { loss = mse(p, y)\n metric r2 = r2(p, y)\n optimizer = sgd{}; lr = 0 }\n");
  ASSERT_TRUE(m.ok());
  Reference r(m.compiled);
  r.state.at("w.w").set(0, 1);
  std::map<std::string, Tensor> in;
  in["x"] = vector(DType::F32, {100001, 100002, 100003, 100004});
  in["y"] = vector(DType::F32, {100001, 100002, 100003, 100005});
  std::map<std::string, Tensor> sums = r.call("eval_step", in);
  std::map<std::string, Tensor> values;
  values["sums"] = sums.at("sums").clone();
  EXPECT_NEAR(r.call("finish", values).at("values").at(1), 1 - 1 / 8.75, 1e-6);
}

// Squares around 0 would be of 1e16, whose last place is 2; those around the mean add up to 11.
TEST(Language, R2DoesNotCancel) {
  ModelOptions o;
  o.frontend.float_type = DType::F64;
  const TestModel m(
      "model m(x: f64[B]) -> (p: [B]) { p = W{}(x) }\n"
      "layer W{}(x: [...]) -> [...] {\n param w: [] = 1\n return x * w\n}\n"
      "data r { train = csv(\"n.csv\", x = column(\"a\", f64), y = column(\"c\", f64)) }\n"
      "train m on r { loss = mse(p, y)\n metric r2 = r2(p, y)\n optimizer = sgd{}; lr = 0; batch = 4 }\n",
      o);
  ASSERT_TRUE(m.ok());
  runtime::Dataset data;
  data.rows = 10;
  for (const char* name : {"x", "y"}) data.fields[name] = runtime::make_array(runtime::DType::F64, {10});
  double residual = 0, total = 0, mean = 0;
  for (int64_t i = 0; i < 10; ++i) {
    const double y = 1e8 + 0.37 * static_cast<double>(i), x = i == 3 ? y + 0.5 : y;
    data.fields["x"].set(i, x), data.fields["y"].set(i, y);
    residual += (x - y) * (x - y), mean += (y - 1e8) / 10;
  }
  for (int64_t i = 0; i < 10; ++i) total += std::pow(data.fields["y"].at(i) - 1e8 - mean, 2);
  const runtime::Split split{&data, {3, 1, 2, 0, 9, 5, 6, 7, 8, 4}};
  for (int threads : {1, 2}) {
    runtime::Runner runner(m.compiled.program, threads);
    runner.init(1);
    for (int again = 0; again < 2; ++again)
      EXPECT_NEAR((1 - runner.evaluate(split, 4).at(1)) / (residual / total), 1, 1e-9);
  }
  expect_same_training(m.compiled, 2, 5, 4);
}

TEST(Language, ClippingMeasuresInF64) {
  const TestModel m(
      "model m(x: f32[B, 2]) -> (p: [B]) {\n param w: [2] = 0.1\n p = sum(x * w, over=1)\n}\n"
      "data r { train = csv(\"n.csv\", x = columns(\"a\", \"b\")) }\n"
      "train m on r { loss = mean(p)\n optimizer = sgd{}; lr = 0.5; clip = norm(1) }\n");
  ASSERT_TRUE(m.ok());
  Reference r(m.compiled);
  std::map<std::string, Tensor> in;
  in["x"] = Tensor(DType::F32, {1, 2});
  in["x"].set(0, 3e30), in["x"].set(1, -4e30);
  for (const char* s : {"step", "total", "seed"}) in[s] = scalar(DType::I64, 0);
  in["lr"] = scalar(DType::F64, 0.5);
  r.call("train_step", in);
  EXPECT_NEAR(r.state.at("/w").at(0), -0.3, 1e-6);
  EXPECT_NEAR(r.state.at("/w").at(1), 0.4, 1e-6);
}

// random(..., always=true) draws in evaluation and prediction by the number of the batch, which those entries
// are given under a name that an input of the model may have too; other models have no such parameter.
TEST(Language, RandomNumbersOutsideTraining) {
  auto text = [](const std::string& drawn) {
    return "model m(step: f32[B]) -> (z: [B]) {\n  param a: [] = 1\n  z = a * step + " + drawn +
           "\n}\ndata d { train = points(8, step = uniform(0, 1)) }\n"
           "train m on d { loss = mean(z); optimizer = sgd{}; lr = 0; batch = 4 }\n";
  };
  const TestModel plain(text("1"));
  for (const char* entry : {"eval_step", "predict"})
    EXPECT_EQ(plain.compiled.program.entry(entry)->input("step"), nullptr) << entry;
  const TestModel m(text("random([B], always=true)"));
  ASSERT_TRUE(m.ok());
  runtime::Runner runner(m.compiled.program, 2);
  runner.init(3);
  Reference reference(m.compiled);
  std::map<std::string, Tensor> seed;
  seed["seed"] = scalar(DType::I64, 3);
  reference.call("init", seed);
  const runtime::Dataset data = made_up(m.compiled.unit, 8, 7);
  const std::vector<int64_t> rows = {4, 5, 6, 7};
  std::vector<std::vector<double>> drawn;
  for (int64_t batch : {1, 0, 1}) {
    runner.begin("predict", 4);
    runner.set_batch_number(batch);
    runner.set_rows(data, rows);
    runner.call();
    std::map<std::string, Tensor> inputs;
    inputs["step"] = scalar(DType::I64, static_cast<double>(batch));
    Tensor x(DType::F32, {4});
    for (int64_t i = 0; i < 4; ++i) x.set(i, data.fields.at("step").at(rows[static_cast<size_t>(i)]));
    inputs[".step"] = x.clone();
    const Tensor z = to_tensor(runner.output("z"));
    std::string why;
    EXPECT_TRUE(bit_equal(z, reference.call("predict", inputs).at("z"), &why)) << why;
    drawn.emplace_back();
    for (int64_t i = 0; i < 4; ++i) drawn.back().push_back(z.at(i) - x.at(i));
  }
  EXPECT_EQ(drawn[0], drawn[2]);
  for (size_t i = 0; i < 4; ++i) EXPECT_GT(std::fabs(drawn[0][i] - drawn[1][i]), 1e-6);
  const runtime::Split split{&data, {0, 1, 2, 3, 4, 5, 6, 7}};
  const double loss = runner.evaluate(split, 4)[0];
  EXPECT_EQ(loss, runner.evaluate(split, 4)[0]);
  double inputs = 0, second = 0;
  for (int64_t i = 0; i < 8; ++i) inputs += data.fields.at("step").at(i);
  for (double u : drawn[0]) second += u;
  const runtime::Split half{&data, {0, 1, 2, 3}};
  double first = 4 * runner.evaluate(half, 4)[0];
  for (int64_t i = 0; i < 4; ++i) first -= data.fields.at("step").at(i);
  EXPECT_NEAR(8 * loss - inputs, first + second, 1e-5);  // the second batch's draws are those of batch 1
}

}  // namespace
}  // namespace gradc
