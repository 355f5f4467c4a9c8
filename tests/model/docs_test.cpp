// Every grad block of docs/language.md and every example file compiles.
#include <filesystem>

#include "model/model.h"

namespace gradc {
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
  EXPECT_EQ(blocks, 7);
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

}  // namespace
}  // namespace gradc
