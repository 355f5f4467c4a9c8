// The networks of bench/models in f64 beside PyTorch's: losses and the gradients of every parameter, to 1e-10
// (gradients.txt, made by gradients.py). After one update from empty moments the first moment of Adam is a
// tenth of the gradient, the velocity of SGD is the gradient.
#include <cmath>
#include <regex>

#include "twelve/twelve.h"

namespace gradc::test {
namespace {

// As in gradients.py.
double uniform(const std::string& name, int64_t i) {
  uint64_t h = 0xcbf29ce484222325ULL;
  for (const char c : name) h = (h ^ static_cast<uint8_t>(c)) * 0x100000001b3ULL;
  uint64_t z = static_cast<uint64_t>(i) * 0x9E3779B97F4A7C15ULL + h;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  z ^= z >> 31;
  return static_cast<double>(z >> 11) * 0x1p-53;
}

runtime::Array filled(DType t, const std::vector<int64_t>& shape,
                      const std::function<double(int64_t)>& value) {
  runtime::Array a = runtime::make_array(static_cast<runtime::DType>(t), shape);
  for (int64_t i = 0; i < a.count(); ++i) a.set(i, value(i));
  return a;
}

struct Kept {
  double norm = 0, products[2] = {}, first = 0, last = 0;
};
struct Case {
  std::string name;
  int64_t rows = 0;
  double loss = 0;
  std::map<std::string, Kept> gradients;
};

std::vector<Case> cases() {
  std::ifstream in(std::string(GRADC_SOURCE_DIR) + "/tests/twelve/gradients.txt");
  std::vector<Case> out;
  for (std::string line; std::getline(in, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    std::string name, second, loss;
    words >> name >> second;
    if (out.empty() || out.back().name != name) {
      out.push_back({name, std::stoll(second), 0, {}});
      words >> loss >> out.back().loss;
    } else {
      Kept& k = out.back().gradients[second];
      words >> k.norm >> k.products[0] >> k.products[1] >> k.first >> k.last;
    }
  }
  return out;
}

// Values by the formula for every parameter; the optimiser's slots stay empty.
runtime::SafeTensors first_weights(const runtime::SafeTensors& initial) {
  runtime::SafeTensors out;
  for (const auto& [path, a] : initial.tensors) {
    if (path.starts_with("__opt__")) continue;
    const bool about_one = path.ends_with(".weight") && path.find("norm") != std::string::npos;
    out.tensors[path] = filled(static_cast<DType>(a.dtype), a.shape, [&](int64_t i) {
      return (2 * uniform(path, i) - 1) * 0.1 + (about_one ? 1 : 0);
    });
  }
  return out;
}

class Gradients : public testing::TestWithParam<Case> {};

TEST_P(Gradients, AreThoseOfPyTorch) {
  const Case& want = GetParam();
  ModelOptions o = options_of_step();
  o.frontend.float_type = DType::F64;
  const std::string text = std::regex_replace(text_of_step(want.name), std::regex("f32\\["), "f64[");
  const TestModel m(text, o);
  ASSERT_TRUE(m.ok());
  runtime::Runner runner(m.compiled.program, 2);
  runner.init(1);
  runner.load(first_weights(runner.save()), "formula");
  runtime::Dataset data;
  data.rows = want.rows;
  for (const frontend::Input& in : m.compiled.unit.inputs) {
    std::vector<int64_t> shape = {want.rows};
    for (size_t i = 1; i < in.type.shape.size(); ++i) shape.push_back(in.type.shape[i].constant().value());
    const double limit = in.name == "y" ? 10 : 65;
    data.fields.emplace(in.name, filled(in.type.dtype, shape, [&](int64_t i) {
                          const double u = uniform(in.name, i);
                          return is_float(in.type.dtype) ? 4 * u - 2 : std::floor(limit * u);
                        }));
  }
  inputs_of_step(m.compiled, data, 0, 1, &runner);
  runner.call();
  EXPECT_NEAR(runner.output("loss").at(0), want.loss, 1e-10 * std::abs(want.loss));
  const runtime::SafeTensors after = runner.save();
  const bool adam = want.name.ends_with("adam");
  for (const auto& [path, kept] : want.gradients) {
    const std::string slot = "__opt__/m/" + path;
    ASSERT_EQ(after.tensors.count(slot), 1U) << slot;
    const runtime::Array& g = after.tensors.at(slot);
    const double scale = adam ? 10 : 1;
    double squares = 0, products[2] = {};
    for (int64_t i = 0; i < g.count(); ++i) {
      const double v = g.at(i) * scale;
      squares += v * v;
      for (int k = 0; k < 2; ++k) products[k] += v * (2 * uniform(path + "#" + std::to_string(k), i) - 1);
    }
    const double most = 1e-10 * kept.norm;
    EXPECT_NEAR(std::sqrt(squares), kept.norm, most) << path;
    for (int k = 0; k < 2; ++k) EXPECT_NEAR(products[k], kept.products[k], most) << path;
    EXPECT_NEAR(g.at(0) * scale, kept.first, most) << path;
    EXPECT_NEAR(g.at(g.count() - 1) * scale, kept.last, most) << path;
  }
}

INSTANTIATE_TEST_SUITE_P(Twelve, Gradients, testing::ValuesIn(cases()),
                         [](const auto& i) { return i.param.name; });

}  // namespace
}  // namespace gradc::test
