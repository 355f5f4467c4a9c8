// The share of the points of some axes that conditions leave, beside counting every point.
#include <gtest/gtest.h>

#include <random>

#include "ir/meaning.h"

namespace gradc {
namespace {

double counted(const std::vector<Index>& conditions, const std::vector<int64_t>& extents) {
  int64_t points = 1, within = 0;
  for (int64_t n : extents) points *= n;
  for (int64_t p = 0; p < points; ++p) {
    std::vector<int64_t> at(extents.size());
    for (size_t a = extents.size(), rest = static_cast<size_t>(p); a-- > 0;) {
      at[a] = static_cast<int64_t>(rest) % extents[a];
      rest /= static_cast<size_t>(extents[a]);
    }
    bool all = true;
    for (const Index& e : conditions)
      all = all && e.evaluate([&](int v) { return at[static_cast<size_t>(v)]; },
                              [](const std::string&) -> int64_t { return 0; }) >= 0;
    within += all;
  }
  return static_cast<double>(within) / static_cast<double>(points);
}

TEST(Share, IsWhatCountingGives) {
  const Index i = Index::var(0), j = Index::var(1), k = Index::var(2);
  const std::vector<int64_t> extents{16, 9, 24};
  for (const std::vector<Index>& c : std::vector<std::vector<Index>>{{i - j},
                                                                     {i.floor_div(8) * 8 + 7 - k},
                                                                     {k - i.floor_div(4) * 4, i + 3 - k},
                                                                     {i + j - 4, Index(13) - i * 2 - j},
                                                                     {k * 3 - i * 2 - 5},
                                                                     {Index(20) - k * 7 + j},
                                                                     {i - 100},
                                                                     {i + j + k},
                                                                     {j - i, k - 5}})
    EXPECT_DOUBLE_EQ(share_within(c, extents), counted(c, extents)) << c[0].str();
  std::mt19937 draw(3);
  auto below = [&](int n) { return static_cast<int64_t>(draw() % static_cast<unsigned>(n)); };
  for (int n = 0; n < 300; ++n) {
    std::vector<Index> c;
    for (int64_t m = 1 + below(3); m > 0; --m)
      c.push_back(i * (below(7) - 3) + j * (below(7) - 3) + k * (below(9) - 4) + Index::var(2) +
                  (below(41) - 20));
    EXPECT_NEAR(share_within(c, extents), counted(c, extents), 1e-12) << c[0].str();
  }
}

}  // namespace
}  // namespace gradc
