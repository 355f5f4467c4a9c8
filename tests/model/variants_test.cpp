// Variants of the update, step by step in f64 against NumPy (tests/data/variants.py): gradients of several
// batches, running averages of the weights, rates and settings by parameter.
#include "model/model.h"

namespace gradc {
namespace {

constexpr int kRows = 12, kFeatures = 8, kBatch = 2;

constexpr const char* kModel =
    "model m(x: [B, 8], y: [B, 3]) -> (p: [B, 3]) {\n"
    "  param w: [8, 3] = 0.5\n  param k: [2, 4, 3] = 0.25\n  param b: [3] = 0\n"
    "  p = x @ w + 0.5 * x @ reshape(k, [8, 3]) + b\n}\n"
    "data d { train = csv(\"none.csv\", x = columns(except=\"y\"), y = column(\"y\")) }\n"
    "train m on d { loss = mse(p, y); batch = 12; ";

class Training {
 public:
  // `gathers`: batches that end no update by @gather_step.
  explicit Training(const std::string& fields, int total, bool gathers = false)
      : model_(text_of(fields), in_f64()),
        runner_(model_.compiled.program, 1),
        total_(total),
        gathers_(gathers) {
    for (int i = 0; i < kRows * kFeatures; ++i) x_.set(i, std::sin(1 + i));
    for (int i = 0; i < kRows * 3; ++i) y_.set(i, std::cos(2 + 3 * i));
    runner_.init(0);
  }

  void step() {
    std::vector<int64_t> rows;
    for (int i = 0; i < kBatch; ++i) rows.push_back((done_ * kBatch + i) % kRows);
    const bool ends = (done_ + 1) % model_.compiled.program.accumulate == 0 || done_ + 1 == total_;
    runner_.begin(gathers_ && !ends ? "gather_step" : "train_step", kBatch);
    runner_.set_rows("x", x_, rows);
    runner_.set_rows("y", y_, rows);
    runner_.set("step", done_++);
    runner_.set("total", total_);
    for (const auto& [name, v] : model_.compiled.program.hyper) runner_.set(name, v);
    runner_.call();
  }

  // Steps have losses of their own.
  static std::string text_of(const std::string& fields) {
    std::string text = kModel + fields + " }\n";
    if (const size_t shared = text.find("loss = mse(p, y); batch"); text.find("step one") != text.npos)
      text.erase(shared, std::string("loss = mse(p, y); ").size());
    return text;
  }
  int done() const { return done_; }
  const Compiled& compiled() const { return model_.compiled; }
  runtime::SafeTensors state() const { return runner_.save(); }
  runtime::Runner& runner() { return runner_; }

 private:
  static ModelOptions in_f64() {
    ModelOptions o;
    o.frontend.float_type = DType::F64;
    return o;
  }

  TestModel model_;
  runtime::Runner runner_;
  runtime::Array x_ = runtime::make_array(runtime::DType::F64, {kRows, kFeatures});
  runtime::Array y_ = runtime::make_array(runtime::DType::F64, {kRows, 3});
  int done_ = 0, total_;
  bool gathers_;
};

void expect(const runtime::SafeTensors& state, const std::string& before, std::istringstream& values) {
  for (const char* name : {"w", "k", "b"}) {
    const runtime::Array& got = state.tensors.at(before + name);
    for (int64_t i = 0; i < got.count(); ++i) {
      double want = 0;
      ASSERT_TRUE(values >> want);
      EXPECT_NEAR(got.at(i), want, 1e-12) << before << name;
    }
  }
}

TEST(Variants, EqualNumPyTo1e12StepByStepInF64) {
  std::ifstream in(std::string(GRADC_SOURCE_DIR) + "/tests/data/variants.txt");
  int cases = 0, averaged = 0;
  for (std::string line; std::getline(in, line); ++cases) {
    const size_t tab = line.find('\t');
    SCOPED_TRACE(line.substr(0, tab));
    std::istringstream values(line.substr(tab + 1));
    int total = 0;
    ASSERT_TRUE(values >> total);
    Training t(line.substr(0, tab), total);
    for (const int shown : {1, 2, 3, 5, 6, 9, 11}) {
      SCOPED_TRACE(shown);
      while (t.done() < shown) t.step();
      const runtime::SafeTensors state = t.state();
      expect(state, "", values);
      if (state.tensors.count("__opt__/raw-weight/w") == 0) continue;
      expect(state, "__opt__/raw-weight/", values);
      ++averaged;
    }
    std::string rest;
    EXPECT_FALSE(values >> rest) << rest;
  }
  EXPECT_EQ(cases, 9);
  EXPECT_EQ(averaged, 3 * 7);
}

// One update for each that differs, not for each path.
TEST(Variants, EqualSettingsAreOneFunction) {
  const Training t(
      "optimizer = sgd{weight_decay = 0.1 if param.path == \"q\" else 0}; lr = 0.1 if matches(param.path, "
      "\"*\") else 1",
      4);
  int updates = 0, schedules = 0;
  for (const auto& [name, f] : t.compiled().unit.module.functions) {
    updates += name.starts_with("update") && !name.ends_with(".initial");
    schedules += name.starts_with("schedule");
  }
  EXPECT_EQ(updates, 3);  // types of w, k and b
  EXPECT_EQ(schedules, 1);
}

// Weights from a file are what training goes on from, and not the average alone.
TEST(Variants, LoadedWeightsAreTheRawOnesToo) {
  Training one("optimizer = sgd{}; lr = 0.1", 4), two("optimizer = sgd{}; lr = 0.1; ema = 0.5", 4);
  for (int i = 0; i < 3; ++i) one.step();
  runtime::SafeTensors weights = one.state();
  two.runner().load(weights, "w");
  const runtime::SafeTensors state = two.state();
  for (const char* name : {"w", "k", "b"}) {
    EXPECT_EQ(state.tensors.at(name).bytes, weights.tensors.at(name).bytes);
    EXPECT_EQ(state.tensors.at(std::string("__opt__/raw-weight/") + name).bytes,
              weights.tensors.at(name).bytes);
  }
}

const char* const kSeveralBatches[] = {
    "optimizer = adam{}; lr = cosine(0.1, 0); accumulate = 2; ema = 0.9; clip = norm(0.1)",
    "step one { params = w; loss = mse(p, y); optimizer = adam{}; lr = 0.1 if rank(param) > 1 else 0.2 }\n"
    "step two { params = [k, b]; loss = mse(p, y); optimizer = sgd{}; lr = 0.1 }\n"
    "accumulate = 2; ema = 0.9",
    "optimizer = lbfgs{history=2}; lr = 0.5; accumulate = 3; ema = 0.9; clip = norm(0.3)"};

// Whole states, losses and sums of metrics are those of a training that makes an update of each batch.
TEST(Variants, BatchesThatEndNoUpdateGiveTheSameBitsWithoutOne) {
  for (const char* fields : kSeveralBatches) {
    SCOPED_TRACE(fields);
    Training whole(fields, 8), gathered(fields, 8, true);
    const auto& functions = gathered.compiled().unit.module.functions;
    EXPECT_LT(functions.at("gather_step").results.size(), functions.at("train_step").results.size());
    while (whole.done() < 8) {
      whole.step(), gathered.step();
      const runtime::SafeTensors want = whole.state(), got = gathered.state();
      ASSERT_EQ(want.tensors.size(), got.tensors.size());
      for (const auto& [name, a] : want.tensors) EXPECT_EQ(a.bytes, got.tensors.at(name).bytes) << name;
      for (const char* name : {"loss", "sums"})
        EXPECT_EQ(whole.runner().output(name).bytes, gathered.runner().output(name).bytes) << name;
    }
  }
}

// The same bits by the graph interpreter, several updates a step among them.
TEST(Variants, AgreeWithTheInterpreter) {
  for (const char* fields : kSeveralBatches) {
    SCOPED_TRACE(fields);
    const TestModel m(Training::text_of(fields));
    ASSERT_TRUE(m.ok());
    expect_same_training(m.compiled, 2, 5, 6);
  }
}

}  // namespace
}  // namespace gradc
