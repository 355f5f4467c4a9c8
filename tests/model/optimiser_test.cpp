// The optimisers of the standard library against PyTorch's, 100 steps in f64. The values come from
// tests/data/optimisers.py.
#include "model/model.h"

namespace gradc {
namespace {

constexpr int kRows = 6, kFeatures = 8, kSteps = 100;

std::string model_with(const std::string& optimizer) {
  return "model m(x: [B, 8]) -> (p: [B]) { p = x |> Dense{1, bias=false, init=constant(0.5)} |> "
         "squeeze(over=1) }\n"
         "data d { train = csv(\"none.csv\", x = columns(except=\"y\"), y = column(\"y\")) }\n"
         "train m on d {\n  loss = mse(p, y)\n  lr = 0.01\n  batch = 6\n  optimizer = " +
         optimizer + "\n}\n";
}

std::vector<double> train(const Compiled& c) {
  runtime::Array x = runtime::make_array(runtime::DType::F64, {kRows, kFeatures}),
                 y = runtime::make_array(runtime::DType::F64, {kRows});
  for (int i = 0; i < kRows * kFeatures; ++i) x.set(i, std::sin(1 + i));
  for (int r = 0; r < kRows; ++r) y.set(r, std::cos(2 + 3 * r));
  const std::vector<int64_t> rows = {0, 1, 2, 3, 4, 5};
  runtime::Runner runner(c.program, 1);
  runner.init(0);
  for (int step = 0; step < kSteps; ++step) {
    runner.begin("train_step", kRows);
    runner.set_rows("x", x, rows);
    runner.set_rows("y", y, rows);
    runner.set("step", step);
    runner.set("lr", 0.01);
    runner.call();
  }
  const runtime::SafeTensors state = runner.save();
  std::vector<double> w;
  for (int i = 0; i < kFeatures; ++i) w.push_back(state.tensors.at("dense.weight").at(i));
  return w;
}

TEST(Optimisers, EqualPyTorchTo1e12Over100StepsInF64) {
  std::ifstream in(std::string(GRADC_SOURCE_DIR) + "/tests/data/optimisers.txt");
  ModelOptions o;
  o.frontend.float_type = DType::F64;
  int cases = 0;
  for (std::string line; std::getline(in, line); ++cases) {
    const size_t tab = line.find('\t');
    SCOPED_TRACE(line.substr(0, tab));
    const TestModel m(model_with(line.substr(0, tab)), o);
    ASSERT_TRUE(m.ok());
    const std::vector<double> w = train(m.compiled);
    std::istringstream values(line.substr(tab + 1));
    for (double got : w) {
      double want = 0;
      ASSERT_TRUE(values >> want);
      EXPECT_NEAR(got, want, 1e-12);
    }
  }
  EXPECT_EQ(cases, 12);
}

}  // namespace
}  // namespace gradc
