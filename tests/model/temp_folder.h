// A test with a folder of its own, empty at first and gone at the end.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace gradc {

struct TempFolder : testing::Test {
  std::filesystem::path dir;
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "gradc_test_XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    dir = name;
  }
  void TearDown() override { std::filesystem::remove_all(dir); }
  std::string write(const std::string& name, const std::string& bytes) {
    std::ofstream(dir / name, std::ios::binary) << bytes;
    return (dir / name).string();
  }
};

}  // namespace gradc
