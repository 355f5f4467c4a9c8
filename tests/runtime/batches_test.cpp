// Rows that share batches: by their order alone, and by buckets.
#include "runtime/batches.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

namespace gradc::runtime {
namespace {

std::vector<std::vector<int64_t>> all_of(const Batches& batches) {
  std::vector<std::vector<int64_t>> out;
  for (int64_t i = 0; i < batches.size(); ++i) {
    const Batch b = batches[i];
    out.emplace_back(b.rows.begin(), b.rows.end());
    out.back().insert(out.back().begin(), b.extent);
  }
  return out;
}

using Lists = std::vector<std::vector<int64_t>>;

TEST(Batches, FollowTheOrder) {
  EXPECT_EQ(all_of(Batches({}, {5, 3, 1, 4, 2}, 2)), (Lists{{0, 5, 3}, {0, 1, 4}, {0, 2}}));
  EXPECT_EQ(all_of(Batches({{7}, {}}, {5, 3, 1}, 2)), (Lists{{7, 5, 3}, {7, 1}}));
  EXPECT_EQ(Batches({}, {}, 2).size(), 0);
  EXPECT_EQ(Batches({{3, 6}, {}}, {}, 2).size(), 0);
}

TEST(Batches, AFullBucketIsTheNextOne) {
  //                            row: 0  1  2  3  4  5  6
  const Buckets buckets{{3, 6, 9}, {0, 1, 0, 2, 1, 0, 1}};
  EXPECT_EQ(all_of(Batches(buckets, {0, 1, 2, 3, 4, 5, 6}, 2)),
            (Lists{{3, 0, 2}, {6, 1, 4}, {3, 5}, {6, 6}, {9, 3}}));
  EXPECT_EQ(all_of(Batches(buckets, {6, 3, 4, 4, 4}, 2)), (Lists{{6, 6, 4}, {6, 4, 4}, {9, 3}}));
}

TEST(Batches, AnEpochHasEveryRowOnceWhateverItsOrder) {
  Dataset data;
  data.rows = 101;
  Split train{&data, std::vector<int64_t>(101)};
  std::iota(train.rows.begin(), train.rows.end(), 0);
  train.buckets.extents = {4, 8, 12};
  for (int64_t row = 0; row < 101; ++row)
    train.buckets.number.push_back(static_cast<uint32_t>(row * row % 3));
  TrainBatches order(train, 8, 7);
  const int64_t steps = order.steps_per_epoch();
  // Of squares a third is 0 and two thirds are 1 after a division by 3: 34 and 67 rows.
  EXPECT_EQ(steps, 5 + 9);
  std::vector<std::vector<int64_t>> epochs(2);
  for (int64_t step = 0; step < 2 * steps; ++step) {
    const Batch b = order.of_step(step);
    EXPECT_LE(b.rows.size(), 8u);
    for (int64_t row : b.rows) {
      EXPECT_EQ(b.extent, train.buckets.extents[train.buckets.of(row)]);
      epochs[static_cast<size_t>(order.epoch_of(step))].push_back(row);
    }
  }
  EXPECT_NE(epochs[0], epochs[1]);
  // A step is found by its number alone.
  TrainBatches again(train, 8, 7);
  const Batch late = again.of_step(steps + 3), same = order.of_step(steps + 3);
  EXPECT_TRUE(std::equal(late.rows.begin(), late.rows.end(), same.rows.begin(), same.rows.end()));
  for (auto& e : epochs) {
    EXPECT_EQ(e.size(), 101u);
    EXPECT_EQ(std::set<int64_t>(e.begin(), e.end()).size(), 101u);
  }
}

}  // namespace
}  // namespace gradc::runtime
