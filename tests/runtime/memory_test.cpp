// What memory a process may take, and that more is refused.
#include <gtest/gtest.h>

#include "runtime/memory.h"
#include "runtime/refusal.h"

namespace gradc::runtime {
namespace {

TEST(Memory, SizesAreReadable) {
  EXPECT_EQ(size_text(0), "0 B");
  EXPECT_EQ(size_text(1023), "1023 B");
  EXPECT_EQ(size_text(1536), "1.5 kB");
  EXPECT_EQ(size_text(int64_t{3} << 30), "3.0 GB");
  EXPECT_EQ(size_text(int64_t{5} << 50), "5120.0 TB");
}

TEST(Memory, WhatIsNotThereIsRefused) {
  EXPECT_GT(available_memory(), int64_t{1} << 20);
  EXPECT_EQ(refusal([] { require_memory(1, "a byte needs"); }), "");
  const std::string said = refusal([] { require_memory(int64_t{1} << 60, "weights need"); });
  EXPECT_EQ(said.find("not enough memory: weights need 1048576.0 TB, "), 0U) << said;
  EXPECT_NE(said.find("are available"), std::string::npos) << said;
}

}  // namespace
}  // namespace gradc::runtime
