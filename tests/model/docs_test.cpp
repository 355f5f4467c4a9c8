// Every grad block of docs/language.md and every example file compiles.
#include <cstdlib>
#include <filesystem>

#include "model/model.h"

namespace gradc {
namespace frontend {
std::vector<std::string> builtin_names();  // elaboration/builtin.cpp
}
namespace {

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream s;
  s << in.rdbuf();
  return s.str();
}

TEST(Docs, EveryExampleOfTheLanguagePageCompiles) {
  const std::string page = read_file(std::string(GRADC_SOURCE_DIR) + "/docs/language.md"), open = "```grad\n";
  int blocks = 0;
  for (size_t at = page.find(open); at != std::string::npos; at = page.find(open, at), ++blocks) {
    at += open.size();
    const std::string text = page.substr(at, page.find("```", at) - at);
    SCOPED_TRACE(text);
    const TestModel m(text);
    ASSERT_TRUE(m.ok());
    if (m.compiled.unit.train)
      expect_same_training(m.compiled, 2, 3, std::min<int64_t>(6, m.compiled.unit.train->batch));
  }
  EXPECT_EQ(blocks, 17);
}

TEST(Docs, EveryBuiltInFunctionIsListed) {
  const std::string page = read_file(std::string(GRADC_SOURCE_DIR) + "/docs/language.md");
  const size_t from = page.find("## Built-in functions"), to = page.find("```", from);
  ASSERT_NE(from, std::string::npos);
  const std::string table = page.substr(from, to - from);
  const std::vector<std::string> names = frontend::builtin_names();
  EXPECT_GT(names.size(), 50u);
  for (const std::string& name : names)
    EXPECT_TRUE(table.find("`" + name + "(") != std::string::npos ||
                table.find("`" + name + "`") != std::string::npos)
        << name;
}

TEST(Docs, EveryExampleFileCompiles) {
  int files = 0;
  for (const auto& e : std::filesystem::directory_iterator(std::string(GRADC_SOURCE_DIR) + "/examples")) {
    if (e.path().extension() != ".grad") continue;
    SCOPED_TRACE(e.path().string());
    const TestModel m(read_file(e.path()), {}, e.path().string());
    EXPECT_TRUE(m.ok());
    ++files;
  }
  EXPECT_GE(files, 4);
}

// Two steps and the evaluation of each example on the first rows of its real data.
TEST(Docs, ExamplesOnLargeDataTrain) {
  const char* env = std::getenv("GRADC_DATA");
  const std::string root = env != nullptr ? env : std::string(GRADC_SOURCE_DIR) + "/../shared/data";
  if (!std::filesystem::is_directory(root)) GTEST_SKIP() << "no data below " << root;
  const std::pair<const char*, double> losses[] = {
      // what no loss so early is above
      {"lenet", 10}, {"gpt", 10},      {"resnet", 10},       {"autoencoder", 1},   {"vae", 1000},
      {"pinn", 10},  {"charlstm", 10}, {"speech_words", 20}, {"speech_ctc", 1000}, {"speech_buckets", 1000},
      {"gan", 100},  {"finetune", 10}};
  for (const auto& [name, most] : losses) {
    SCOPED_TRACE(name);
    const TestModel m(read_example(std::string(name) + ".grad"));
    ASSERT_TRUE(m.ok());
    LoadedData data = load_data(m.compiled.unit, {"/nowhere", root}, m.sources);
    runtime::TrainOptions o;
    o.batch = 8, o.steps = 2, o.quiet = true;
    for (runtime::Split* s : {&data.splits.train, &data.splits.val, &data.splits.test})
      if (*s) s->rows.resize(16);
    runtime::Runner runner(m.compiled.program, 1);
    const runtime::TrainResult r = runtime::train(runner, data.splits, o, stdout);
    EXPECT_EQ(r.step, 2);
    const std::vector<double>& end = r.val.empty() ? r.test : r.val;
    ASSERT_FALSE(end.empty());
    EXPECT_GT(end[0], 0);
    EXPECT_LT(end[0], most);
  }
}

}  // namespace
}  // namespace gradc
