#include "ir/graph/operands.h"

#include <gtest/gtest.h>

#include <numeric>

namespace gradc::graph {
namespace {

std::vector<NodeId> counted(size_t n) {
  std::vector<NodeId> list(n);
  std::iota(list.begin(), list.end(), 10);
  return list;
}

TEST(Operands, AreCopiedMovedAndMappedInAnyNumber) {
  for (size_t n = 0; n < 12; ++n) {
    const std::vector<NodeId> list = counted(n);
    const Operands made = list;
    EXPECT_EQ(made.size(), n);
    EXPECT_EQ(made.list(), list);
    Operands copy = made, moved = std::move(copy);
    EXPECT_EQ(moved, made);
    EXPECT_TRUE(copy.empty()) << "moved from, it holds nothing";  // NOLINT(bugprone-use-after-move)
    for (size_t m = 0; m < 12; ++m) {                             // from any number to any other
      Operands other = counted(m);
      other = made;
      EXPECT_EQ(other.list(), list);
      Operands third = counted(m);
      third = Operands(list);
      EXPECT_EQ(third, made);
    }
    std::vector<NodeId> map(30), expected;
    for (NodeId i = 0; i < map.size(); ++i) map[i] = 100 - i;
    for (NodeId q : list) expected.push_back(100 - q);
    EXPECT_EQ(made.through(map).list(), expected);
    EXPECT_EQ(made.list(), list) << "mapping makes a copy";
    EXPECT_EQ(std::vector<NodeId>(made.rbegin(), made.rend()),
              std::vector<NodeId>(list.rbegin(), list.rend()));
  }
  EXPECT_NE(Operands({1, 2}), Operands({1, 2, 3}));
  EXPECT_NE(Operands({1, 2}), Operands({2, 1}));
  EXPECT_EQ(Operands({1, 2, 3}).back(), 3U);
}

}  // namespace
}  // namespace gradc::graph
