// Threads that meet at barriers, and the order of samples.
#include <gtest/gtest.h>

#include <algorithm>

#include "runtime/shuffle.h"
#include "runtime/team.h"

namespace gradc::runtime {
namespace {

// Every thread writes its cell, meets the others, and adds up all cells; `rounds` times.
void add_up(void* state, void* io, void*, const int64_t* table, uint32_t tid, uint32_t n,
            const gradc_barrier* barrier) {
  auto* cells = static_cast<int64_t*>(state);
  auto* sums = static_cast<int64_t*>(io);
  for (int64_t round = 1; round <= table[0]; ++round) {
    cells[tid * 8] = round * (tid + 1);
    if (barrier != nullptr) barrier->wait(barrier->context, tid);
    int64_t sum = 0;
    for (uint32_t t = 0; t < n; ++t) sum += cells[t * 8];
    sums[tid * 8] += sum;
    if (barrier != nullptr) barrier->wait(barrier->context, tid);
  }
}

TEST(Team, ThreadsMeetAtBarriersAndResultsAreWhole) {
  for (int n : {1, 2, 3, 7}) {
    Team team(n);
    EXPECT_EQ(team.size(), n);
    std::vector<int64_t> cells(64), sums(64);
    const int64_t rounds = 50;
    for (int call = 0; call < 20; ++call) team.call(add_up, cells.data(), sums.data(), nullptr, &rounds);
    for (int t = 0; t < n; ++t)
      EXPECT_EQ(sums[static_cast<size_t>(t) * 8], 20 * (rounds * (rounds + 1) / 2) * (n * (n + 1) / 2));
  }
  EXPECT_GE(available_cores(), 1);
}

TEST(Team, AnyNumberOfItsThreadsTakesACall) {
  Team team(5);
  std::vector<int64_t> cells(64), sums(64), want(64);
  const int64_t rounds = 3;
  for (int call = 0; call < 2000; ++call) {
    const int n = 1 + call * 7 % 11 % 5;
    team.activate(n);
    team.call(add_up, cells.data(), sums.data(), nullptr, &rounds);
    for (int t = 0; t < n; ++t) want[static_cast<size_t>(t) * 8] += 6 * n * (n + 1) / 2;
    ASSERT_EQ(sums, want) << call;
  }
}

TEST(Shuffle, APermutationThatDependsOnItsArgumentsAlone) {
  for (int64_t n : {0, 1, 2, 1000}) {
    std::vector<int64_t> p = permutation(1, 2, n);
    EXPECT_EQ(p, permutation(1, 2, n));
    std::sort(p.begin(), p.end());
    for (int64_t i = 0; i < n; ++i) ASSERT_EQ(p[static_cast<size_t>(i)], i);
  }
  EXPECT_NE(permutation(1, 2, 100), permutation(1, 3, 100));
  EXPECT_NE(permutation(1, 2, 100), permutation(2, 2, 100));
}

TEST(Shuffle, EveryOrderIsAboutEquallyLikely) {
  std::vector<int> counts(6);
  for (uint64_t s = 0; s < 6000; ++s) {
    const std::vector<int64_t> p = permutation(s, 0, 3);
    ++counts[static_cast<size_t>(p[0] * 2 + (p[1] > p[2]))];
  }
  for (int c : counts) EXPECT_NEAR(c, 1000, 150);
}

}  // namespace
}  // namespace gradc::runtime
