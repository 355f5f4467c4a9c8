// Models of the language: compiled code against the interpreter bit for bit, and what users see of training.
#include "model/model.h"

#include <sys/resource.h>

#include <filesystem>

namespace gradc {
namespace {

std::string with_training(const std::string& model, const std::string& optimizer,
                          const std::string& more = "") {
  return model +
         "\ndata d { train = csv(\"none.csv\", x = columns(except=\"y\"), y = column(\"y\", i32)) }\n" +
         "train m on d {\n  loss = cross_entropy(logits, y)\n  metric accuracy = accuracy(logits, y)\n  "
         "optimizer = " +
         optimizer + "\n  lr = cosine(1e-2, 1e-3, warmup=3)\n  batch = 6; seed = 5\n" + more + "}\n";
}

const char* kPlain =
    "model m(x: f32[B, 8]) -> (logits: [B, 3]) { logits = x |> Dense{5} |> tanh |> Dense{3} }\n";

void check(const std::string& text) {
  const TestModel m(text);
  ASSERT_TRUE(m.ok());
  for (int threads : {1, 2, 3}) expect_same_training(m.compiled, threads, 7, 6);
}

TEST(Model, EveryOptimiserAgreesWithTheInterpreter) {
  for (const char* o :
       {"sgd{}", "sgd{momentum=0.9, weight_decay=0.01}", "sgd{momentum=0.9, nesterov=true, dampening=0}",
        "rmsprop{}", "rmsprop{momentum=0.5}", "adagrad{lr_decay=0.1}", "adadelta{}", "adam{weight_decay=0.1}",
        "adamw{weight_decay = 0.1 if rank(param) >= 2 else 0}", "nadam{weight_decay=0.1}", "radam{beta2=0.9}",
        "adamax{}", "lion{weight_decay=0.1}", "lamb{weight_decay=0.1}", "rprop{}", "adafactor{}"}) {
    SCOPED_TRACE(o);
    check(with_training(kPlain, o));
  }
}

TEST(Model, ClippedAndTiedAndFrozenParameters) {
  check(with_training(kPlain, "adam{}", "  clip = norm(0.1)\n"));
  check(
      with_training("model m(x: f32[B, 8]) -> (logits: [B, 3]) {\n  d = Dense{8}\n  h = x |> d |> relu |> "
                    "d\n  logits = h |> Dense{3}\n}\n",
                    "sgd{momentum=0.9}"));
  check(
      with_training("model m(x: f32[B, 8]) -> (logits: [B, 3]) {\n  e = Dense{8}\n  h = "
                    "stop_gradient(e(x))\n  logits = h |> Dense{3}\n}\n",
                    "adam{}"));
}

TEST(Model, LayersAndActivations) {
  for (const char* h : {"x |> LayerNorm{} |> gelu", "x |> Dropout{0.3} |> silu",
                        "x |> leaky_relu |> softplus", "x |> gelu_tanh", "softmax(x) + log_softmax(x)",
                        "x |> Standardize{}", "concat(sigmoid(x), exp(-x * x), over=1)", "x[:, 1:7] * 2",
                        "x |> Dense{4, bias=false, init=normal(0.1)} as \"first\""}) {
    SCOPED_TRACE(h);
    check(with_training(std::string("model m(x: f32[B, 8]) -> (logits: [B, 3]) {\n  h = ") + h +
                            "\n  logits = h |> Dense{3, init=he}\n}\n",
                        "adam{}"));
  }
}

TEST(Model, IndexNotation) {
  for (const char* h :
       {"h[b, o] = sum[i] x[b, i] * x[b, o]", "a[b, i, j] = x[b, i] * x[b, j]\n  h[b, i] = max[j] a[b, i, j]",
        "h[b, i] = softmax[i] x[b, i]", "h[b, i] = x[b, i] + (mean[j where j <= i] x[b, j])",
        "h[b, j] = x[b, 0] * j + (x[b, j] if j > 3 else 1)",
        "s[b] = logsumexp[i] x[b, i]\n  h[b, i] = x[b, i] - s[b]"}) {
    SCOPED_TRACE(h);
    check(with_training(std::string("model m(x: f32[B, 8]) -> (logits: [B, 3]) {\n  ") + h +
                            "\n  logits = h |> Dense{3}\n}\n",
                        "sgd{}"));
  }
}

TEST(Model, EmbeddingsRepeatsAndPaths) {
  const std::string text = with_training(
      "const V = 11, n = 4\nlayer Block{k}(h: [..., d]) -> [..., d] { return h + (h |> LayerNorm{} as "
      "\"norm\" |> Dense{k} |> relu |> Dense{d}) }\n"
      "model m(x: i32[B, 5]) -> (logits: [B, 3]) {\n  h = x |> Embed{V, n}\n  repeat i in 2 { h = h |> "
      "Block{6} as \"h.{i}\" }\n  repeat 2 { h = h |> Dense{n} }\n"
      "  logits = mean(h, over=1) |> Dense{3}\n}\n",
      "adamw{}");
  const TestModel m(text);
  ASSERT_TRUE(m.ok());
  std::vector<std::string> paths;
  for (const frontend::StateSpec& s : m.compiled.unit.state)
    if (s.role == frontend::StateSpec::Role::Param && s.path.find("weight") != std::string::npos)
      paths.push_back(s.path);
  EXPECT_EQ(paths, (std::vector<std::string>{"embed.weight", "h.0.norm.weight", "h.0.dense.weight",
                                             "h.0.dense_2.weight", "h.1.norm.weight", "h.1.dense.weight",
                                             "h.1.dense_2.weight", "dense.0.weight", "dense.1.weight",
                                             "dense_2.weight"}));
  expect_same_training(m.compiled, 2, 5, 6);
}

TEST(Model, AScanOfACellThatTheUserWrote) {
  const std::string text = with_training(
      "layer LSTMCell{n, forget_bias=1}(x: [B, d], h: [B, n], c: [B, n]) -> (h: [B, n], c: [B, n]) {\n"
      "  param w: [d + n, 4*n] = orthogonal()\n  param b: [4*n] = blocks(0, forget_bias, 0, 0)\n"
      "  i, f, g, o = split(concat(x, h) @ w + b, 4)\n  c = sigmoid(f)*c + sigmoid(i)*tanh(g)\n  h = "
      "sigmoid(o)*tanh(c)\n}\n"
      "layer LSTM{n}(x: [B, T, d]) -> y: [B, T, n] {\n  cell = LSTMCell{n}\n  h, c = zeros([B, n]), "
      "zeros([B, n])\n"
      "  scan t in T { h, c = cell(x[:, t], h, c);  y[:, t] = h }\n}\n"
      "model m(x: i32[B, 4]) -> (logits: [B, 3]) {\n  h = x |> Embed{2, 3} |> LSTM{5}\n  logits = h[:, -1] "
      "|> Dense{3}\n}\n",
      "adam{}", "  clip = norm(1)\n");
  const TestModel m(text);
  ASSERT_TRUE(m.ok());
  expect_same_training(m.compiled, 2, 4, 6);
  runtime::Runner runner(m.compiled.program, 1);
  runner.init(3);
  const runtime::Array w = runner.save().tensors.at("lstm.cell.w");
  ASSERT_EQ(w.shape, (std::vector<int64_t>{8, 20}));
  for (int64_t a = 0; a < 8; ++a)  // 8 orthonormal rows
    for (int64_t b = 0; b < 8; ++b) {
      double dot = 0;
      for (int64_t k = 0; k < 20; ++k) dot += w.at(a * 20 + k) * w.at(b * 20 + k);
      EXPECT_NEAR(dot, a == b, 1e-5);
    }
  EXPECT_EQ(runner.save().tensors.at("lstm.cell.b").at(7), 1);
}

TEST(Model, ALayerAppliedTwiceSharesTheLayersInIt) {
  const TestModel m(with_training(
      "layer Two{k}(x: [..., d]) -> [..., d] { return x |> Dense{k} |> relu |> Dropout{0.5} |> Dense{d} }\n"
      "model m(x: f32[B, 8]) -> (logits: [B, 3]) {\n  t = Two{4}\n  logits = x |> t |> t |> Dense{3}\n}\n",
      "sgd{}"));
  ASSERT_TRUE(m.ok());
  int params = 0;
  for (const frontend::StateSpec& s : m.compiled.unit.state)
    params += s.role == frontend::StateSpec::Role::Param;
  EXPECT_EQ(params, 6);
  expect_same_training(m.compiled, 2, 4, 6);
}

TEST(Model, NamesOfAChainAreInItsOrder) {
  const TestModel m(with_training(kPlain, "sgd{}"));
  ASSERT_TRUE(m.ok());
  std::map<std::string, std::string> types;
  for (const frontend::StateSpec& s : m.compiled.unit.state) types[s.path] = s.type.str();
  EXPECT_EQ(types["dense.weight"], "f32[8,5]");
  EXPECT_EQ(types["dense_2.weight"], "f32[5,3]");
}

TEST(Model, F64AndWithoutFma) {
  ModelOptions o;
  o.frontend.float_type = DType::F64;
  const TestModel a(
      with_training("model m(x: [B, 8]) -> (logits: [B, 3]) { logits = x |> Dense{5} |> gelu |> Dense{3} }\n",
                    "adam{}"),
      o);
  ASSERT_TRUE(a.ok());
  expect_same_training(a.compiled, 2, 5, 6);
  o.frontend.fma = false;
  o.frontend.float_type = DType::F32;
  const TestModel b(with_training(kPlain, "adam{}"), o);
  ASSERT_TRUE(b.ok());
  expect_same_training(b.compiled, 2, 5, 6);
}

// The bodies of loops and what is differentiated are functions of their own, and round as their callers do.
TEST(Model, WithoutFmaHoldsForEveryFunction) {
  ModelOptions o;
  o.frontend.fma = false;
  const TestModel m(with_training("model m(x: [B, 8]) -> (logits: [B, 3]) {\n  h = x\n"
                                  "  scan t in 4 { h = h * 0.5 + x * h }\n  g = grad(sum(h * h), h)\n"
                                  "  logits = g |> Dense{3}\n}\n",
                                  "sgd{}"),
                    o);
  ASSERT_TRUE(m.ok());
  for (const auto& [name, f] : m.compiled.unit.module.functions) EXPECT_EQ(f.notes.at("fma"), "off") << name;
  expect_same_training(m.compiled, 2, 5, 6);
}

// Calls are inlined before anything is decided or differentiated: sub-expressions that a function shares with
// its caller are one value, whose gradient is summed in one order.
TEST(Model, FunctionsMoveNoBit) {
  const std::string head = "model m(x: [B, 8]) -> (logits: [B, 3]) {\n  w = Dense{8}\n",
                    tail = "  logits = y |> Dense{3} as \"out\"\n}\n";
  const std::vector<std::string> forms = {
      head + "  h = tanh(w(x))\n  y = h + exp(h * 0.5) * tanh(w(x)) + exp(h * 0.5)\n" + tail,
      "fn f(h, k) = exp(h * k)\nfn g(h, a) {\n  e = f(h, 0.5)\n  return h + e * a + e\n}\n" + head +
          "  y = g(tanh(w(x)), tanh(w(x)))\n" + tail,
      "layer Mix{}(h: [..., d]) -> [..., d] {\n  e = exp(h * 0.5)\n  return h + e * h + e\n}\n" + head +
          "  y = w(x) |> tanh |> Mix{}\n" + tail};
  std::vector<std::map<std::string, runtime::Array>> states;
  for (const std::string& form : forms) {
    const TestModel m(with_training(form, "adam{}"));
    ASSERT_TRUE(m.ok());
    runtime::Runner runner(m.compiled.program, 1);
    runner.init(5);
    const runtime::Dataset data = made_up(m.compiled.unit, 6, 7);
    for (int step = 0; step < 4; ++step) {
      runner.begin("train_step", 6);
      for (const auto& [name, field] : data.fields)
        runner.set_rows(name, field, std::vector<int64_t>{0, 1, 2, 3, 4, 5});
      runner.set("step", step), runner.set("total", 4), runner.set("seed", 5);
      for (const auto& [name, v] : m.compiled.program.hyper) runner.set(name, v);
      runner.call();
    }
    states.push_back(runner.save().tensors);
  }
  for (size_t i = 1; i < states.size(); ++i) {
    ASSERT_EQ(states[i].size(), states[0].size());
    for (const auto& [path, a] : states[0])
      EXPECT_TRUE(states[i].at(path).bytes == a.bytes) << path << " " << i;
  }
}

TEST(Model, FirstValuesMayReadEachOther) {
  const TestModel m(
      with_training("layer keep{}(p: [...], g: [...], lr, step) -> p {\n  state first: [...] = p + 1\n"
                    "  p = first\n}\n"
                    "model m(x: [B, 8]) -> (logits: [B, 3]) {\n  param a: [3] = 2\n"
                    "  param b: [3] = a * 3\n  state s: [3] = b + 1\n"
                    "  logits = x |> Dense{3}\n  logits = logits * a * b * s\n}\n",
                    "keep{}"));
  ASSERT_TRUE(m.ok());
  runtime::Runner runner(m.compiled.program, 1);
  runner.init(1);
  const runtime::SafeTensors state = runner.save();
  EXPECT_EQ(state.tensors.at("b").at(0), 6);
  EXPECT_EQ(state.tensors.at("s").at(2), 7);
  EXPECT_EQ(state.tensors.at("__opt__/first/b").at(1), 7);
  expect_same_training(m.compiled, 2, 3, 6);
}

// ---- training

struct Trained {
  runtime::SafeTensors state;
  runtime::TrainResult result;
};

Trained train_digits(int threads, int64_t epochs, const std::string& folder) {
  const TestModel m(read_example("digits.grad"), {}, std::string(GRADC_SOURCE_DIR) + "/examples/digits.grad");
  const LoadedData data =
      load_data(m.compiled.unit, {std::string(GRADC_SOURCE_DIR) + "/examples", ""}, m.sources);
  runtime::Runner runner(m.compiled.program, threads);
  runtime::TrainOptions o;
  o.batch = 32, o.epochs = epochs, o.seed = 1, o.quiet = true;
  o.keep = runtime::Rule{{"val", "accuracy", true}, 0, 0};
  o.run_dir = folder;
  Trained t;
  t.result = runtime::train(runner, data.splits, o, stdout);
  t.state = runner.save();
  // What was saved is what the runner holds now: the chosen weights.
  runtime::Runner again(m.compiled.program, 1);
  again.init(99);
  again.load(runtime::read_safetensors(folder + "/best.safetensors"), "best");
  EXPECT_EQ(again.evaluate(data.splits.test, 32), t.result.test);
  return t;
}

TEST(Training, DigitsReachTheirAccuracyWithTheSameBitsAtAnyNumberOfThreads) {
  const std::string folder = (std::filesystem::temp_directory_path() / "gradc_digits_test").string();
  // 0: the count changes between steps, as measuring goes.
  const Trained one = train_digits(1, 30, folder), three = train_digits(3, 30, folder),
                chosen = train_digits(0, 30, folder);
  ASSERT_EQ(one.result.test.size(), 2u);
  EXPECT_GT(one.result.test[1], 0.96);
  for (const auto& [path, a] : one.state.tensors) {
    EXPECT_TRUE(bit_equal(to_tensor(a), to_tensor(three.state.tensors.at(path)))) << path;
    EXPECT_TRUE(bit_equal(to_tensor(a), to_tensor(chosen.state.tensors.at(path)))) << path;
  }
  std::filesystem::remove_all(folder);
}

TEST(Training, DivergenceIsReported) {
  const TestModel m(with_training(kPlain, "sgd{}"));
  ASSERT_TRUE(m.ok());
  runtime::Dataset data = made_up(m.compiled.unit, 12, 3);
  data.fields.at("x").set(5, std::nan(""));
  runtime::Splits splits;
  splits.train = {&data, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}};
  runtime::Runner runner(m.compiled.program, 2);
  runtime::TrainOptions o;
  o.batch = 6, o.epochs = 3, o.quiet = true;
  EXPECT_THROW(runtime::train(runner, splits, o, stdout), std::runtime_error);
}

TEST(Training, WeightsOfAnotherModelAreRefusedByName) {
  const TestModel a(with_training(kPlain, "sgd{}")),
      b(with_training(
          "model m(x: f32[B, 8]) -> (logits: [B, 3]) { logits = x |> Dense{4} |> tanh |> Dense{3} }\n",
          "sgd{}"));
  runtime::Runner ra(a.compiled.program, 1), rb(b.compiled.program, 1);
  ra.init(1);
  try {
    rb.load(ra.save(), "w.safetensors");
    FAIL();
  } catch (const std::runtime_error& e) {
    EXPECT_NE(std::string(e.what()).find("dense.weight is f32[8, 5], needs f32[8, 4]"), std::string::npos)
        << e.what();
  }
}

TEST(Training, AFittedLayerHoldsTheStatisticsOfTheTrainingSplit) {
  const TestModel m(with_training(
      "model m(x: f32[B, 8]) -> (logits: [B, 3]) { logits = x |> Standardize{} |> Dense{3} }\n", "sgd{}"));
  ASSERT_TRUE(m.ok());
  const runtime::Dataset data = made_up(m.compiled.unit, 50, 3);
  runtime::Split train{&data, {}};
  for (int64_t i = 0; i < 40; ++i) train.rows.push_back(i);
  runtime::Runner runner(m.compiled.program, 2);
  runner.init(1);
  runner.fit(train, 6);
  const runtime::SafeTensors state = runner.save();
  for (int64_t f = 0; f < 8; ++f) {
    double mean = 0, square = 0;
    for (int64_t i = 0; i < 40; ++i) mean += data.fields.at("x").at(i * 8 + f) / 40;
    for (int64_t i = 0; i < 40; ++i) square += std::pow(data.fields.at("x").at(i * 8 + f) - mean, 2) / 40;
    EXPECT_NEAR(state.tensors.at("standardize.mu").at(f), mean, 1e-6);
    EXPECT_NEAR(state.tensors.at("standardize.sd").at(f), std::sqrt(square), 1e-6);
  }
}

// A step walks the same memory each time: pages come in with the first, none with those after it.
TEST(Training, NoPageFaultsAfterTheFirstStep) {
  std::string text = with_training(
      "model m(x: f32[B, 64]) -> (logits: [B, 3]) { logits = x |> Dense{256} |> relu |> Dense{256} |> "
      "Dense{3} "
      "}\n",
      "adam{}");
  text.replace(text.find("batch = 6"), 9, "batch = 512");
  const TestModel m(text);
  ASSERT_TRUE(m.ok());
  runtime::Runner runner(m.compiled.program, 2);
  runner.init(1);
  const auto steps = [&](int n) {
    for (int i = 0; i < n; ++i) {
      runner.begin("train_step", 512);
      runner.set("total", 20.0);
      runner.call();
    }
  };
  const auto faults = [] {
    rusage u{};
    getrusage(RUSAGE_SELF, &u);
    return u.ru_minflt;
  };
  steps(2);
  const int64_t before = faults();
  steps(20);
  const int64_t pages = runner.arena_bytes() / 4096;
  EXPECT_GT(pages, 200);
  EXPECT_LT(faults() - before, pages / 20);
}

}  // namespace
}  // namespace gradc
