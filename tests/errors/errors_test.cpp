// Every file of cases/ gives exactly the messages of its .expected file: place, text, excerpt, notes, help.
// Comment lines
// "# -D NAME=VALUE" and "# --set NAME=VALUE" at a file's top are options. GRADC_UPDATE=1 writes the
// expectations anew; read the difference before committing it.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "frontend/frontend.h"
#include "support/check.h"

namespace gradc {
namespace {

namespace fs = std::filesystem;

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream s;
  s << in.rdbuf();
  return s.str();
}

frontend::Options options_of(const std::string& text) {
  frontend::Options o;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line) && line.rfind("# -", 0) == 0;) {
    const size_t space = line.find(' ', 2), equal = line.find('=');
    const frontend::Override v{line.substr(space + 1, equal - space - 1), line.substr(equal + 1)};
    (line.rfind("# -D", 0) == 0 ? o.defines : o.sets).push_back(v);
  }
  return o;
}

std::string messages(const std::string& name, const std::string& text, int* errors = nullptr) {
  Sources sources;
  Diagnostics d;
  frontend::compile_model(sources, sources.add(name, text), options_of(text), d);
  if (errors != nullptr) *errors = d.error_count();
  return render(d, sources);
}

std::vector<fs::path> cases() {
  std::vector<fs::path> files;
  for (const auto& e : fs::directory_iterator(std::string(GRADC_SOURCE_DIR) + "/tests/errors/cases"))
    if (e.path().extension() == ".grad") files.push_back(e.path());
  std::sort(files.begin(), files.end());
  return files;
}

TEST(Errors, EveryCaseGivesItsMessages) {
  const bool update = std::getenv("GRADC_UPDATE") != nullptr;
  const std::vector<fs::path> files = cases();
  EXPECT_GE(files.size(), 60u);
  for (const fs::path& path : files) {
    const std::string got = messages(path.filename().string(), read(path));
    const fs::path expected = fs::path(path).replace_extension(".expected");
    if (update) std::ofstream(expected, std::ios::binary) << got;
    EXPECT_FALSE(got.empty()) << path;
    EXPECT_EQ(got, read(expected)) << path;
  }
}

TEST(Errors, FiveIndependentMistakesGiveFiveMessages) {
  int errors = 0;
  messages("five_errors.grad", read(std::string(GRADC_SOURCE_DIR) + "/tests/errors/cases/five_errors.grad"),
           &errors);
  EXPECT_EQ(errors, 5);
}

// Damaged files give messages or compile, and nothing else: no crash, no internal error, no endless loop.
TEST(Errors, DamagedFilesNeverCrash) {
  std::vector<std::string> texts;
  for (const fs::path& p : cases()) texts.push_back(read(p));
  for (const char* n : {"digits", "mnist", "diabetes", "breast_cancer"})
    texts.push_back(read(std::string(GRADC_SOURCE_DIR) + "/examples/" + n + ".grad"));
  const char* const count = std::getenv("GRADC_MUTATIONS");
  const int rounds = count != nullptr ? std::atoi(count) : 2000;
  uint64_t seed = 11;
  auto random = [&](size_t n) {
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<size_t>(seed >> 33) % std::max<size_t>(1, n);
  };
  constexpr std::string_view bits[] = {"{",  "}",  "(",      ")",   "[",
                                       "]",  "|>", "=",      "...", "sum[i]",
                                       "x",  "B",  "-1",     "0",   "1e30",
                                       "\"", "\n", "repeat", "as",  "**",
                                       ",",  ":",  "\xFF",   "if",  "param w: [3] = 0"};
  for (int round = 0; round < rounds; ++round) {
    std::string text = texts[random(texts.size())];
    for (size_t edits = 1 + random(3); edits > 0 && !text.empty(); --edits) {
      const size_t at = random(text.size()), n = random(12);
      switch (random(4)) {
        case 0:
          text.erase(at, n);
          break;
        case 1:
          text.insert(at, bits[random(std::size(bits))]);
          break;
        case 2:
          text.insert(at, text.substr(random(text.size()), n * 3));
          break;
        default:
          text[at] = static_cast<char>(random(128));
          break;
      }
    }
    try {
      messages("damaged.grad", text);
    } catch (const std::exception& e) {
      FAIL() << "round " << round << ": " << e.what() << "\n" << text;
    }
  }
}

}  // namespace
}  // namespace gradc
