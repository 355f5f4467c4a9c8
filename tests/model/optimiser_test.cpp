// The optimisers of the standard library, 100 steps in f64: against PyTorch's (tests/data/optimisers.py), and
// step by step against formulas in NumPy (tests/data/optimiser_formulas.py).
#include "model/model.h"

namespace gradc {
namespace {

constexpr int kRows = 6, kFeatures = 8, kSteps = 100;

const char* const kData =
    "data d { train = csv(\"none.csv\", x = columns(except=\"y\"), y = column(\"y\")) }\n"
    "train m on d {\n  loss = mse(p, y)\n  lr = 0.01\n  batch = 6\n  optimizer = ";

const char* const kOneMatrix =
    "model m(x: [B, 8]) -> (p: [B]) { p = x |> Dense{1, bias=false, init=constant(0.5)} |> "
    "squeeze(over=1) }\n";

// Parameters of one, two and three axes; labels are three numbers a row.
const char* const kThreeRanks =
    "model m(x: [B, 8], y: [B, 3]) -> (p: [B, 3]) {\n"
    "  param w: [8, 3] = 0.5\n  param k: [2, 4, 3] = 0.25\n  param b: [3] = 0\n"
    "  p = x @ w + 0.5 * x @ reshape(k, [8, 3]) + b\n}\n";

// The same behind tanh, so that the curvature changes.
const char* const kBent =
    "model m(x: [B, 8], y: [B, 3]) -> (p: [B, 3]) {\n"
    "  param w: [8, 3] = 0.5\n  param k: [2, 4, 3] = 0.25\n  param b: [3] = 0\n"
    "  p = tanh(x @ w + 0.5 * x @ reshape(k, [8, 3]) + b)\n}\n";

// A training of one optimiser on rows of sines, whose labels are cosines.
struct Training {
  TestModel model;
  runtime::Runner runner;
  runtime::Array x = runtime::make_array(runtime::DType::F64, {kRows, kFeatures});
  runtime::Array y;
  double rate;
  int done = 0;

  static ModelOptions in_f64() {
    ModelOptions o;
    o.frontend.float_type = DType::F64;
    return o;
  }

  Training(const std::string& text, double rate, std::vector<int64_t> labels)
      : model(text, in_f64()),
        runner(model.compiled.program, 1),
        y(runtime::make_array(runtime::DType::F64, labels)),
        rate(rate) {
    const int64_t count = labels.size() == 1 ? kRows : kRows * labels[1];
    for (int i = 0; i < kRows * kFeatures; ++i) x.set(i, std::sin(1 + i));
    for (int64_t i = 0; i < count; ++i) y.set(i, std::cos(2 + 3 * static_cast<double>(i)));
    runner.init(0);
  }

  void step() {
    const std::vector<int64_t> rows = {0, 1, 2, 3, 4, 5};
    runner.begin("train_step", kRows);
    runner.set_rows("x", x, rows);
    runner.set_rows("y", y, rows);
    runner.set("step", done++);
    runner.set("lr", rate);
    runner.call();
  }

  // The elements of these parameters are the next numbers of the line.
  void expect(const std::vector<std::string>& names, std::istringstream& values) {
    const runtime::SafeTensors state = runner.save();
    for (const std::string& name : names) {
      const runtime::Array& got = state.tensors.at(name);
      for (int64_t i = 0; i < got.count(); ++i) {
        double want = 0;
        ASSERT_TRUE(values >> want);
        EXPECT_NEAR(got.at(i), want, 1e-12) << name << " after " << done << " steps";
      }
    }
  }
};

TEST(Optimisers, EqualPyTorchTo1e12Over100StepsInF64) {
  std::ifstream in(std::string(GRADC_SOURCE_DIR) + "/tests/data/optimisers.txt");
  int cases = 0;
  for (std::string line; std::getline(in, line); ++cases) {
    const size_t tab = line.find('\t');
    SCOPED_TRACE(line.substr(0, tab));
    Training t(kOneMatrix + (kData + line.substr(0, tab)) + "\n}\n", 0.01, {kRows});
    while (t.done < kSteps) t.step();
    std::istringstream values(line.substr(tab + 1));
    t.expect({"dense.weight"}, values);
  }
  EXPECT_EQ(cases, 12);
}

// Each line of a file: an optimiser, which "tanh " before it sets on the bent problem, its rate, and weights.
void expect_step_by_step(const std::string& file, int count) {
  std::ifstream in(std::string(GRADC_SOURCE_DIR) + "/tests/data/" + file);
  int cases = 0;
  for (std::string line; std::getline(in, line); ++cases) {
    SCOPED_TRACE(line.substr(0, line.find('\t')));
    const bool bent = line.starts_with("tanh ");
    if (bent) line = line.substr(line.find(' ') + 1);
    const size_t tab = line.find('\t');
    std::istringstream values(line.substr(tab + 1));
    double rate = 0;
    ASSERT_TRUE(values >> rate);
    Training t((bent ? kBent : kThreeRanks) + (kData + line.substr(0, tab)) + "\n}\n", rate, {kRows, 3});
    for (const int shown : {1, 3, 10, 30, 100}) {
      while (t.done < shown) t.step();
      t.expect({"w", "k", "b"}, values);
    }
    std::string rest;
    EXPECT_FALSE(values >> rest) << rest;
  }
  EXPECT_EQ(cases, count);
}

TEST(Optimisers, EqualTheirFormulasTo1e12StepByStepInF64) {
  expect_step_by_step("optimiser_formulas.txt", 19);
}

// All parameters at once, of three ranks.
TEST(Optimisers, LbfgsEqualsPyTorchTo1e12StepByStepInF64) { expect_step_by_step("lbfgs.txt", 6); }

}  // namespace
}  // namespace gradc
