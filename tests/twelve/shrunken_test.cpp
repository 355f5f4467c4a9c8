// The twelve steps at a size that the interpreter takes seconds for: twenty updates with every exact pass off
// in turn, at other vector widths and thread counts. The last batches of each three are not full.
#include <regex>

#include "passes/pipeline.h"
#include "twelve/twelve.h"

namespace gradc::test {
namespace {

struct Shrunken {
  std::string name;
  std::vector<std::pair<std::string, std::string>> replaced;
};

const std::vector<Shrunken> kShrunken = {
    {"tab_b32_sgd", {}},
    {"tab_b32_adam", {}},
    {"mlp_b64_sgd", {{"784", "52"}, {"512", "40"}, {"256", "24"}, {"batch = 64", "batch = 19"}}},
    {"mlp_b64_adam", {{"784", "33"}, {"512", "56"}, {"256", "17"}, {"batch = 64", "batch = 12"}}},
    {"mlp_b256_sgd", {{"784", "20"}, {"512", "24"}, {"256\\}", "31}"}, {"batch = 256", "batch = 70"}}},
    {"mlp_b256_adam", {{"784", "48"}, {"512", "16"}, {"256\\}", "64}"}, {"batch = 256", "batch = 37"}}},
    {"lenet_b64_sgd", {{"28, 28", "16, 16"}, {"batch = 64", "batch = 6"}}},
    {"lenet_b64_adam", {{"28, 28", "20, 12"}, {"batch = 64", "batch = 5"}}},
    {"resnet20_b32_sgd",
     {{"32, 32", "8, 8"},
      {"repeat i in [23]", "repeat i in 1"},
      {"\\{64", "{40"},
      {"batch = 32", "batch = 4"}}},
    {"charlstm_b32_adam", {{"64\\]", "9]"}, {"64, 65", "9, 65"}, {"256", "24"}, {"batch = 32", "batch = 7"}}},
    {"gptmini_b16_adam",
     {{"64\\]", "12]"},
      {"64, 65\\]", "12, 65]"},
      {"64\\)", "12)"},
      {"\\{64,", "{12,"},
      {"128", "32"},
      {"in 4", "in 1"},
      {"batch = 16", "batch = 3"}}},
    {"gpt768x2_b4_adam",
     {{"256\\]", "40]"},
      {"256, 65\\]", "40, 65]"},
      {"256\\)", "40)"},
      {"\\{256,", "{40,"},
      {"768", "48"},
      {"batch = 4", "batch = 3"}}},
};

std::string text_of(const Shrunken& s) {
  std::string text = text_of_step(s.name);
  for (const auto& [from, to] : s.replaced) {
    const std::string before = text;
    text = std::regex_replace(text, std::regex(from), to);
    EXPECT_NE(text, before) << s.name << ": nothing to replace for " << from;
  }
  return text;
}

class Small : public testing::TestWithParam<Shrunken> {};

TEST_P(Small, TwentyUpdatesWithoutAPassAtAnyWidthAndThreadCount) {
  const std::string text = text_of(GetParam());
  const TestModel plain(text, options_of_step());
  ASSERT_TRUE(plain.ok());
  const Digests want = interpreted(plain.compiled, kMarks.back());
  for (const int threads : {1, 2, 3, 4, 7})
    EXPECT_EQ(trained(plain.compiled, threads, kMarks.back()), want) << threads << " threads";
  for (const int lanes : {4, 8, 16}) {
    const TestModel m(text, options_of_step(lanes));
    EXPECT_EQ(trained(m.compiled, 3, kMarks.back()), want) << lanes << " lanes";
  }
  for (const passes::PassInfo& pass : passes::all_passes()) {
    if (!pass.switchable) continue;
    const TestModel m(text, options_of_step(0, {std::string(pass.name)}));
    EXPECT_EQ(trained(m.compiled, 2, kMarks.back()), want) << "without " << pass.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Twelve, Small, testing::ValuesIn(kShrunken),
                         [](const auto& i) { return i.param.name; });

}  // namespace
}  // namespace gradc::test
