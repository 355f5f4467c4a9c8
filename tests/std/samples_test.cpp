// The standard library and programs of the language against values from outside (samples.txt, written by
// samples.py from NumPy, SciPy and JAX, and measures.txt, by measure_samples.py from scikit-learn), in f64 by
// compiled code.
#include <algorithm>
#include <numeric>
#include <set>

#include "model/model.h"
#include "ops/sample_file.h"

namespace gradc {
namespace {

using Named = std::map<std::string, Tensor>;

runtime::Array to_array(const Tensor& t) {
  runtime::Array a = runtime::make_array(static_cast<runtime::DType>(t.dtype()), t.shape());
  if (t.bytes() > 0) std::memcpy(a.bytes.data(), t.data(), static_cast<size_t>(t.bytes()));
  return a;
}

const char* entry_of(const Sample& s) {
  if (s.kind == "train") return "train_step";
  if (s.kind == "metrics") return "eval_step";
  return s.kind == "predict" || s.kind == "program" || s.kind == "fit" ? "predict" : "init";
}

// A sample's model with its inputs as a table; given parameters and states are in the runner.
struct Loaded {
  TestModel model;
  runtime::Runner runner;
  runtime::Dataset data;
  std::vector<int64_t> rows;
  std::map<std::string, double> scalars;

  static ModelOptions options(const Sample& s) {
    ModelOptions o;
    o.frontend.float_type = DType::F64;
    o.only = {entry_of(s), "init"};
    if (s.kind == "metrics") o.only.push_back("finish");
    if (s.kind == "fit") o.only.insert(o.only.end(), {"fit_0", "fit_0_finish", "fit_1", "fit_1_finish"});
    return o;
  }

  explicit Loaded(const Sample& s) : model(s.text, options(s)), runner(model.compiled.program, 2) {
    runner.init(0);
    runtime::SafeTensors state = runner.save();
    for (size_t i = 0; i < s.in.size(); ++i) {
      const std::string& name = s.in_names[i];
      const auto stored = state.tensors.find(name);
      if (stored != state.tensors.end())
        stored->second = to_array(s.in[i]);
      else if (s.in[i].shape().empty())
        scalars[name] = s.in[i].at(0);
      else
        data.fields[name] = to_array(s.in[i]), data.rows = s.in[i].shape()[0];
    }
    if (!state.tensors.empty()) runner.load(state, "the sample");
    rows.resize(static_cast<size_t>(data.rows));
    std::iota(rows.begin(), rows.end(), 0);
  }

  // One call of an entry on all rows. Scalars that the sample does not give are 0.
  void call(const std::string& entry) {
    runner.begin(entry, data.rows);
    const runtime::Entry& e = *model.compiled.program.entry(entry);
    for (const runtime::Tensor& t : e.inputs)
      if (data.fields.count(t.name))
        runner.set_rows(t.name, data.fields.at(t.name), rows);
      else
        runner.set(t.name, scalars[t.name]);
    runner.call();
  }

  Tensor result(const std::string& name) {
    const runtime::SafeTensors state = runner.save();
    const auto stored = state.tensors.find(name);
    return to_tensor(stored != state.tensors.end() ? stored->second : runner.output(name));
  }
};

void expect_results(const Sample& s, Loaded& m) {
  for (size_t i = 0; i < s.out.size(); ++i)
    EXPECT_EQ(difference(s, m.result(s.out_names[i]), s.out[i]), "") << s.out_names[i];
}

void expect_metrics(const Sample& s, Loaded& m) {
  std::vector<std::string> names = m.model.compiled.program.metrics;
  for (const runtime::Table& t : m.model.compiled.program.tables) names.push_back(t.name);
  const std::vector<double> values = m.runner.evaluate({&m.data, m.rows}, 4);
  ASSERT_EQ(names, s.out_names);
  size_t at = 0;
  for (size_t i = 0; i < s.out.size(); ++i) {
    Tensor got(DType::F64, s.out[i].shape());
    for (int64_t k = 0; k < got.count(); ++k) got.set(k, values.at(at++));
    EXPECT_EQ(difference(s, got, s.out[i]), "") << names[i];
  }
  EXPECT_EQ(at, values.size());
}

std::vector<double> drawn(Loaded& m, const std::string& path, int seeds) {
  std::vector<double> all;
  for (int seed = 0; seed < seeds; ++seed) {
    m.runner.init(seed);
    const Tensor w = m.result(path);
    for (int64_t i = 0; i < w.count(); ++i) all.push_back(w.at(i));
  }
  return all;
}

double mean(const std::vector<double>& x) {
  return std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(x.size());
}

// 9,600 draws of each of two parameters: bounds, mean, deviation, chi-square over 64 equally likely bins, and
// no correlation between the parameters, nor between neighbours.
void expect_distribution(const Sample& s, Loaded& m) {
  const auto want = [&](size_t i) { return s.out[i].at(0); };
  const std::vector<double> w = drawn(m, "w", 100), v = drawn(m, "v", 100);
  const double n = static_cast<double>(w.size()), centre = want(0), deviation = want(1);
  double square = 0, between = 0, neighbours = 0;
  std::vector<double> bins(64);
  for (size_t i = 0; i < w.size(); ++i) {
    EXPECT_TRUE(w[i] >= want(2) && w[i] <= want(3)) << w[i];
    const double x = (w[i] - centre) / deviation;
    square += x * x, between += x * (v[i] - centre) / deviation;
    neighbours += x * (w[(i + 1) % w.size()] - centre) / deviation;
    size_t bin = 0;
    while (bin < 63 && w[i] >= s.out[4].at(static_cast<int64_t>(bin))) ++bin;
    bins[bin] += 1;
  }
  double chi = 0;
  for (double c : bins) chi += (c - n / 64) * (c - n / 64) / (n / 64);
  EXPECT_NEAR(mean(w), centre, 4 * deviation / std::sqrt(n));
  EXPECT_NEAR(square / n, 1, 4 * std::sqrt(2 / n));
  EXPECT_LT(chi, 113);  // 63 degrees of freedom: one time in ten thousand
  EXPECT_LT(std::fabs(between / n), 4 / std::sqrt(n));
  EXPECT_LT(std::fabs(neighbours / n), 4 / std::sqrt(n));
}

void expect_orthonormal(const Sample& s, Loaded& m) {
  const double gain = s.out[0].at(0);
  for (int seed = 0; seed < 10; ++seed) {
    m.runner.init(seed);
    const Tensor w = m.result("w");
    const int64_t rows = w.shape()[0], columns = w.shape()[1], n = std::min(rows, columns);
    const bool tall = rows >= columns;
    for (int64_t a = 0; a < n; ++a)
      for (int64_t b = 0; b < n; ++b) {
        double dot = 0;
        for (int64_t k = 0; k < std::max(rows, columns); ++k)
          dot += tall ? w.at(k * columns + a) * w.at(k * columns + b)
                      : w.at(a * columns + k) * w.at(b * columns + k);
        EXPECT_NEAR(dot, a == b ? gain * gain : 0, s.absolute) << "seed " << seed;
      }
  }
  const std::vector<double> all = drawn(m, "w", 100);  // no direction is preferred
  double square = 0;
  for (double x : all) square += x * x;
  EXPECT_LT(std::fabs(mean(all)), 4 * std::sqrt(square) / static_cast<double>(all.size()));
}

void run(const Sample& s) {
  Loaded m(s);
  if (s.kind == "draws") return expect_distribution(s, m);
  if (s.kind == "orthogonal") return expect_orthonormal(s, m);
  if (s.kind == "metrics") return expect_metrics(s, m);
  if (s.kind == "fit") m.runner.fit({&m.data, m.rows}, 3);
  if (std::string(entry_of(s)) != "init") m.call(entry_of(s));
  expect_results(s, m);
}

std::vector<Sample> all_samples() {
  std::vector<Sample> all = read_samples("tests/std/samples.txt");
  for (Sample& s : read_samples("tests/std/measures.txt")) all.push_back(std::move(s));
  return all;
}

TEST(Samples, CompiledModelsGiveTheValuesFromOutside) {
  const std::vector<Sample> all = all_samples();
  ASSERT_GT(all.size(), 200u);
  for (const Sample& s : all) {
    SCOPED_TRACE(fmt::format("{} at line {}\n{}", s.op, s.line, s.text));
    try {
      run(s);
    } catch (const std::exception& e) {
      ADD_FAILURE() << e.what();
    }
  }
}

// A definition without a sample, or whose gradient no value from outside has seen, is an error.
TEST(Samples, EveryDefinitionOfTheStandardLibraryHasOne) {
  std::set<std::string> values, gradients;
  for (const Sample& s : all_samples()) {
    EXPECT_TRUE(s.kind == "program" || s.text.find(s.op) != s.text.npos) << "line " << s.line;
    EXPECT_FALSE(s.out.empty()) << "line " << s.line;
    (s.kind == "train" ? gradients : values).insert(s.op);
  }
  for (const char* file : {"optimisers", "optimiser_formulas", "lbfgs"}) {
    std::ifstream in(std::string(GRADC_SOURCE_DIR) + "/tests/data/" + file + ".txt");
    for (std::string line; std::getline(in, line);) values.insert(line.substr(0, line.find('{')));
  }
  int definitions = 0;
  for (const char* file : {"audio", "conv", "init", "loss", "nn", "optim"}) {
    const bool differentiable = file != std::string("init") && file != std::string("optim");
    std::ifstream in(std::string(GRADC_SOURCE_DIR) + "/frontend/std/" + file + ".grad");
    for (std::string line; std::getline(in, line);) {
      std::istringstream words(line);
      std::string word, name;
      if (!(words >> word >> name) || (word != "fn" && word != "layer")) continue;
      name = name.substr(0, name.find_first_of("({"));
      ++definitions;
      EXPECT_TRUE(values.count(name)) << name << " has no sample";
      const std::set<std::string> without = {
          "accuracy",         "same_padding", "transposed_extent", "within",        "sinusoidal_positions",
          "mel_filters",      "ctc_frames",   "ctc_greedy",        "edit_distance", "f1",
          "confusion_matrix", "auc",          "word_count",        "word_distance", "top_k_accuracy"};
      const bool needed = differentiable && without.count(name) == 0;
      EXPECT_TRUE(!needed || gradients.count(name)) << name << " has no sample of its gradient";
    }
  }
  EXPECT_GT(definitions, 35);
}

}  // namespace
}  // namespace gradc
