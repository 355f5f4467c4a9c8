// The choice of the number of threads, on machines whose times are made up.
#include <gtest/gtest.h>

#include <functional>

#include "runtime/thread_choice.h"

namespace gradc::runtime {
namespace {

struct Machine {
  ThreadChoice choice;
  double time = 0;
  int64_t calls = 0;

  explicit Machine(int most) : choice(most) {}
  // Calls until `seconds` have passed; how long a call took on average.
  double run(double seconds, const std::function<double(int threads, int64_t call)>& cost) {
    const double from = time;
    const int64_t first = calls;
    while (time - from < seconds) {
      const double took = cost(choice.threads(), calls++);
      choice.add(took);
      time += took;
    }
    return (time - from) / static_cast<double>(calls - first);
  }
};

TEST(ThreadChoice, OneCoreLeavesNothingToChoose) {
  Machine m(1);
  EXPECT_TRUE(m.choice.tried());
  m.run(1, [](int n, int64_t) { return n == 1 ? 0.1 : 1e9; });
  EXPECT_EQ(m.choice.chosen(), 1);
}

TEST(ThreadChoice, TheTrialIsShort) {
  for (double one : {3e-6, 1e-4, 1e-2, 1.0})
    for (double speedup : {0.5, 1.0, 1.8}) {
      ThreadChoice c(2);
      double spent[3] = {};
      int steps[3] = {};
      while (!c.tried()) {
        const int n = c.threads();
        const double took = n == 1 ? one : one / speedup;
        c.add(took);
        spent[n] += took, ++steps[n];
      }
      EXPECT_TRUE(spent[1] + spent[2] <= 50e-3 || (steps[1] <= 3 && steps[2] <= 3)) << one << " " << speedup;
      EXPECT_EQ(c.chosen(), speedup > 1.1 ? 2 : 1) << one << " " << speedup;
    }
}

TEST(ThreadChoice, LooksAgainAtACostBelowAPercent) {
  for (double one : {3e-6, 1e-3, 1.0})
    for (double speedup : {0.01, 0.5, 0.98, 1.8}) {
      Machine m(2);
      auto cost = [&](int n, int64_t) { return n == 1 ? one : one / speedup; };
      const double seconds = std::max(20.0, 1000 * one);
      m.run(seconds, cost);
      EXPECT_LT(m.run(seconds, cost), 1.025 * one / std::max(1.0, speedup)) << one << " " << speedup;
    }
}

TEST(ThreadChoice, ANeighbourComesAndGoes) {
  for (double one : {3e-6, 1e-4, 1e-2, 1.0}) {
    Machine m(2);
    auto idle = [&](int n, int64_t) { return n == 1 ? one : one / 1.7; };
    // Now and then the partner waits for a whole time slice, else all looks well.
    auto busy = [&](int n, int64_t call) {
      const auto every = std::max<int64_t>(1, static_cast<int64_t>(4e-3 / one));
      return n == 1 ? one : one / 1.7 + (call % every == 0 ? 4e-3 + one : 0);
    };
    const double seconds = std::max(30.0, 300 * one);
    m.run(seconds, idle);
    EXPECT_EQ(m.choice.chosen(), 2) << one;
    EXPECT_LT(m.run(seconds, busy), 1.3 * one) << one;
    m.run(seconds, idle);
    EXPECT_LT(m.run(seconds, idle), one / 1.7 * 1.05) << one;
  }
}

TEST(ThreadChoice, StepsThatGrowFindTheirThreads) {
  Machine m(2);
  m.run(5, [](int n, int64_t) { return n == 1 ? 3e-6 : 10e-6; });
  EXPECT_EQ(m.choice.chosen(), 1);
  m.run(60, [](int n, int64_t) { return n == 1 ? 1.0 : 0.6; });
  EXPECT_EQ(m.choice.chosen(), 2);
}

TEST(ThreadChoice, AProcessThatSleptChangesNothing) {
  Machine m(2);
  auto idle = [](int n, int64_t) { return n == 1 ? 1e-4 : 0.6e-4; };
  m.run(1, idle);
  const int64_t slept = m.calls + 40;
  m.run(11, [&](int n, int64_t call) { return call == slept ? 10.0 : idle(n, call); });
  EXPECT_LT(m.run(5, idle), 0.63e-4);
}

TEST(ThreadChoice, ThousandThreadsEndUpFew) {
  Machine m(1024);
  m.run(60, [](int n, int64_t) { return n <= 2 ? 1e-4 / n : 1e-4 + 5e-6 * n; });
  EXPECT_EQ(m.choice.chosen(), 2);
}

}  // namespace
}  // namespace gradc::runtime
