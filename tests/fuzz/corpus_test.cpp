// What the fuzzers (fuzzer/main.cpp) found, kept in corpus/PARSER/: each is read or refused, in time.
#include <gtest/gtest.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "fuzz/parsers.h"

namespace gradc {
namespace {

namespace fs = std::filesystem;

TEST(Corpus, PastFindingsAreReadOrRefused) {
  int files = 0;
  for (const fuzz::Parser& p : fuzz::parsers()) {
    const fs::path folder = fs::path(GRADC_SOURCE_DIR) / "tests/fuzz/corpus" / p.name;
    if (!fs::is_directory(folder)) continue;
    for (const auto& entry : fs::directory_iterator(folder)) {
      SCOPED_TRACE(entry.path().string());
      std::ifstream in(entry.path(), std::ios::binary);
      const std::string bytes{std::istreambuf_iterator<char>(in), {}};
      const std::clock_t from = std::clock();
      EXPECT_EQ(fuzz::finding(p, bytes), "");
      // Seconds of the processor, about 2 without sanitizers.
      EXPECT_LT(std::clock() - from, 10 * CLOCKS_PER_SEC);
      ++files;
    }
  }
  EXPECT_GT(files, 0);
}

TEST(Corpus, EveryFolderIsOfAParser) {
  for (const auto& entry : fs::directory_iterator(fs::path(GRADC_SOURCE_DIR) / "tests/fuzz/corpus"))
    EXPECT_NE(fuzz::find_parser(entry.path().filename().string()), nullptr) << entry.path();
}

}  // namespace
}  // namespace gradc
