// Buffers that live at the same time never share bytes, and the plan is near the most that ever lives at
// once.
#include "passes/step/best_fit.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace gradc::passes {
namespace {

TEST(BestFit, NothingAliveOverlapsAndLittleIsWasted) {
  std::mt19937 random(7);
  for (int round = 0; round < 20; ++round) {
    std::vector<Span> spans;
    const int phases = 200;
    for (int i = 0; i < 400; ++i) {
      const int first = static_cast<int>(random() % phases);
      spans.push_back({static_cast<int64_t>(random() % 64 + 1) * 64, first,
                       std::min(phases - 1, first + static_cast<int>(random() % (round + 3)))});
    }
    std::vector<int64_t> at;
    const int64_t total = place_best_fit(spans, at);
    int64_t peak = 0;
    for (int phase = 0; phase < phases; ++phase) {
      std::vector<std::pair<int64_t, int64_t>> alive;
      int64_t bytes = 0;
      for (size_t i = 0; i < spans.size(); ++i)
        if (spans[i].first <= phase && phase <= spans[i].last)
          alive.push_back({at[i], at[i] + spans[i].size}), bytes += spans[i].size;
      std::sort(alive.begin(), alive.end());
      for (size_t i = 1; i < alive.size(); ++i) EXPECT_LE(alive[i - 1].second, alive[i].first);
      for (const auto& [from, to] : alive) EXPECT_LE(to, total);
      peak = std::max(peak, bytes);
    }
    EXPECT_LE(total, peak * 3 / 2);
  }
}

}  // namespace
}  // namespace gradc::passes
