// Every op against values from outside (samples.txt, written by samples.py from NumPy, mpmath and JAX): the graph
// interpreter and compiled code must both come as near as the sample says.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <set>
#include <sstream>

#include "driver/run_function.h"
#include "ir/interp/interpret.h"
#include "passes/pipeline.h"

namespace gradc {
namespace {

struct Sample {
  int line = 0;
  std::string kind, op;  // sample, gradient or second; the op
  std::string text;
  std::vector<Tensor> in, out;
  std::string compare;
  double relative = 0, absolute = 0;  // near
  double ulps = 0;
};

double float_of(DType t, const std::string& word) {
  return t == DType::F32 ? static_cast<double>(std::strtof(word.c_str(), nullptr))
                         : std::strtod(word.c_str(), nullptr);
}

// f32[2,3] 1 2 3 4 5 6
Tensor read_tensor(std::istringstream& words) {
  std::string type, word;
  words >> type;
  const size_t open = type.find('[');
  const DType t = *dtype_named(type.substr(0, open));
  std::vector<int64_t> shape;
  std::istringstream extents(type.substr(open + 1));
  for (int64_t n; extents >> n; extents.get()) shape.push_back(n);
  Tensor x(t, shape);
  for (int64_t i = 0; i < x.count(); ++i) {
    EXPECT_TRUE(words >> word) << "too few values for " << type;
    if (t == DType::I64)
      x.as<int64_t>()[static_cast<size_t>(i)] = std::strtoll(word.c_str(), nullptr, 10);
    else
      x.set(i, float_of(t, word));
  }
  EXPECT_FALSE(words >> word) << "too many values for " << type;
  return x;
}

std::vector<Sample> read_samples() {
  std::ifstream file(std::string(GRADC_SOURCE_DIR) + "/tests/ops/samples.txt");
  std::vector<Sample> all;
  std::string line, word;
  for (int number = 1; std::getline(file, line); ++number) {
    std::istringstream words(line);
    if (!(words >> word)) continue;
    if (word == "text") {
      all.back().text = line.substr(5);
    } else if (word == "in" || word == "out") {
      (word == "in" ? all.back().in : all.back().out).push_back(read_tensor(words));
    } else if (word == "compare") {
      Sample& s = all.back();
      words >> s.compare;
      if (s.compare == "ulp") words >> s.ulps;
      if (s.compare == "near") words >> s.relative >> s.absolute;
    } else {
      all.emplace_back();
      all.back().line = number, all.back().kind = word;
      words >> all.back().op;
    }
  }
  return all;
}

// The distance of neighbours at x.
double unit(DType t, double x) {
  x = std::abs(x);
  if (t == DType::F64) return std::nextafter(x, std::numeric_limits<double>::infinity()) - x;
  const float f = static_cast<float>(x);
  return static_cast<double>(std::nextafterf(f, std::numeric_limits<float>::infinity())) - x;
}

bool is_near(const Sample& s, DType t, double got, double want) {
  if (std::isnan(want) || std::isnan(got)) return std::isnan(want) && std::isnan(got);
  if (got == want) return s.compare == "near" || std::signbit(got) == std::signbit(want);
  if (std::isinf(want)) return false;
  if (std::isinf(got)) return s.compare == "ulp" && s.ulps >= 1 && std::isinf(want + unit(t, want));
  const double allowed =
      s.compare == "ulp" ? s.ulps * unit(t, want) : s.relative * std::abs(want) + s.absolute;
  return std::abs(got - want) <= allowed;
}

void expect_results(const Sample& s, const std::vector<Tensor>& got, const char* engine) {
  ASSERT_EQ(got.size(), s.out.size());
  for (size_t r = 0; r < got.size(); ++r) {
    const Tensor &y = got[r], &want = s.out[r];
    std::string why;
    if (bit_equal(want, y, &why)) continue;
    ASSERT_EQ(y.shape(), want.shape()) << s.op << " at line " << s.line;
    ASSERT_EQ(y.dtype(), want.dtype()) << s.op << " at line " << s.line;
    if (s.compare == "exact") {
      ADD_FAILURE() << s.op << " at line " << s.line << ", " << engine << ", result " << r << ": " << why;
      return;
    }
    for (int64_t i = 0; i < y.count(); ++i) {
      if (is_near(s, y.dtype(), y.at(i), want.at(i))) continue;
      std::string operands;
      for (const Tensor& x : s.in)
        if (x.count() == y.count()) operands += fmt::format(" {:.17g}", x.at(i));
      ADD_FAILURE() << s.op << " at line " << s.line << ", " << engine << ", result " << r << " element " << i
                    << ": " << fmt::format("{:.17g} instead of {:.17g} for{}", y.at(i), want.at(i), operands);
      return;
    }
  }
}

TEST(Samples, EveryEngineGivesTheValuesFromOutside) {
  const std::vector<Sample> all = read_samples();
  ASSERT_GT(all.size(), 500u);
  for (const Sample& s : all) {
    SCOPED_TRACE(s.text);
    try {
      const graph::Module m = passes::run_graph_passes(graph::parse(s.text));
      const graph::Function& f = m.at("predict");
      expect_results(s, interpret(m, f, s.in), "interpreted");
      expect_results(s, CompiledFunction(m, f, {}).run(s.in, 2), "compiled");
    } catch (const std::exception& e) {
      ADD_FAILURE() << s.op << " at line " << s.line << ": " << e.what();
    }
  }
}

// A row without a sample, or a gradient that no value from outside has seen, is an error.
TEST(Samples, EveryRowHasOne) {
  std::set<std::string> values, gradients;
  for (const Sample& s : read_samples()) {
    const graph::Module m = graph::parse(s.text);
    bool used = false;
    for (const auto& [name, f] : m.functions)
      for (const graph::Node& n : f.nodes) used = used || n.op->name == s.op;
    EXPECT_TRUE(used) << "line " << s.line << " is no sample of " << s.op;
    (s.kind == "sample" ? values : gradients).insert(s.op);
  }
  for (const graph::OpDef& d : graph::all_ops()) {
    EXPECT_TRUE(values.count(std::string(d.name))) << d.name << " has no sample";
    const bool needed = d.differentiable == graph::Differentiable::Rule;
    EXPECT_TRUE(!needed || gradients.count(std::string(d.name))) << d.name << " has no gradient sample";
  }
}

}  // namespace
}  // namespace gradc
