// The twelve steps at full size: compiled code against digests that the graph interpreter left, in
// digests.txt. It takes it seconds to an hour a step, so that they are kept:
//
//   GRADC_INTERPRET=lenet_b64_sgd build/tests/test_twelve --gtest_filter=Interpret.OneStep
//
// interprets that step and prints its lines.
#include <cstdio>
#include <cstdlib>

#include "twelve/twelve.h"

namespace gradc::test {
namespace {

Digests kept(const std::string& name) {
  std::ifstream in(std::string(GRADC_SOURCE_DIR) + "/tests/twelve/digests.txt");
  Digests out;
  for (std::string line; std::getline(in, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    std::string step;
    int updates = 0;
    uint64_t digest = 0;
    words >> step >> updates >> std::hex >> digest;
    if (step == name) out[updates] = digest;
  }
  return out;
}

class FullSize : public testing::TestWithParam<std::string> {};

TEST_P(FullSize, TwentyUpdatesHaveTheInterpretersBits) {
  const Digests want = kept(GetParam());
  ASSERT_EQ(want.size(), kMarks.size()) << "no digests of " << GetParam();
  const TestModel m(text_of_step(GetParam()), options_of_step());
  EXPECT_EQ(trained(m.compiled, 2, kMarks.back()), want);
}

TEST_P(FullSize, OtherWidthsAndThreadCounts) {
  const Digests want = kept(GetParam());
  for (const auto& [lanes, threads] : {std::pair{4, 3}, {8, 1}, {16, 7}}) {
    const TestModel m(text_of_step(GetParam()), options_of_step(lanes));
    EXPECT_EQ(trained(m.compiled, threads, kMarks[0]).at(kMarks[0]), want.at(kMarks[0]))
        << lanes << " lanes, " << threads << " threads";
  }
}

INSTANTIATE_TEST_SUITE_P(Twelve, FullSize, testing::ValuesIn(kTwelve), [](const auto& i) { return i.param; });

TEST(Interpret, OneStep) {
  const char* name = std::getenv("GRADC_INTERPRET");
  if (name == nullptr) GTEST_SKIP() << "GRADC_INTERPRET names no step";
  Sources sources;
  Diagnostics diagnostics;
  const uint32_t file = sources.add(name, text_of_step(name));
  const Compiled c = lower_model(sources, file, options_of_step(), diagnostics);
  for (const auto& [updates, digest] : interpreted(c, kMarks.back()))
    std::printf("%s %d %016llx\n", name, updates, static_cast<unsigned long long>(digest));
}

}  // namespace
}  // namespace gradc::test
