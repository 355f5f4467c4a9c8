// Functions that go on by one place: tests/passes/extend/NAME.in holds functions whose first parameter is the
// tokens, NAME.out what stands for each, or why nothing does. GRADC_UPDATE=1 writes the latter.
#include "passes/extend/extend.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "ir/graph/text.h"
#include "passes/pipeline.h"
#include "support/diagnostic.h"
#include "support/source.h"

namespace gradc {
namespace {

namespace fs = std::filesystem;

const fs::path kFolder = std::string(GRADC_SOURCE_DIR) + "/tests/passes/extend";

std::string read(const fs::path& p) {
  std::ifstream in(p, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

graph::Module behind_fold(Sources& sources, const std::string& text) {
  const uint32_t file = sources.add("f.ir", text);
  return passes::run_graph_passes(graph::parse(text, file), {"", "fold"});
}

std::string place(const Sources& sources, Loc loc) {
  if (!loc) return "";
  const LineColumn at = sources.position(loc.file, loc.begin);
  return fmt::format(" at {}:{}", at.line, at.column);
}

std::string extended(const std::string& text) {
  Sources sources;
  const graph::Module m = behind_fold(sources, text);
  std::string out;
  for (const auto& [name, f] : m.functions) {
    try {
      out += fmt::format("// @{}\n{}\n", name, graph::print(passes::extend(m, f, f.params[0]).function));
    } catch (const CompileError& e) {
      out += fmt::format("// @{}\nrefused{}: {}\n\n", name, place(sources, e.diagnostic.loc), e.what());
    }
  }
  return out;
}

TEST(ExtendText, EveryFunctionGivesWhatItGave) {
  int files = 0;
  for (const auto& e : fs::directory_iterator(kFolder)) {
    if (e.path().extension() != ".in") continue;
    const std::string got = extended(read(e.path()));
    const fs::path out = fs::path(e.path()).replace_extension(".out");
    if (std::getenv("GRADC_UPDATE") != nullptr) std::ofstream(out, std::ios::binary) << got;
    EXPECT_EQ(got, read(out)) << e.path() << "\nif this is right: GRADC_UPDATE=1 build/tests/test_passes";
    ++files;
  }
  EXPECT_GE(files, 3);
}

}  // namespace
}  // namespace gradc
