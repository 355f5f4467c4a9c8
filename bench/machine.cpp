// What the machine gives, for bench/kernels.py to compare with: c++ -O3 -march=native -std=c++20 -pthread.
// Reads requests, one a line: `peak THREADS`, `copy THREADS BYTES`, `read THREADS BYTES`, `write THREADS
// BYTES`; answers each with Gflop/s or GB/s. The bytes of a copy are those read and those written together;
// each thread has its share.
#include <algorithm>
#include <barrier>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace {

#if defined(__AVX512F__)
constexpr int kWidth = 16;
#elif defined(__AVX__)
constexpr int kWidth = 8;
#else
constexpr int kWidth = 4;
#endif
typedef float Floats __attribute__((vector_size(4 * kWidth)));
typedef int32_t Ints __attribute__((vector_size(4 * kWidth)));
constexpr int kChains = 12;  // independent, to hide the latency of a multiply-add
constexpr int kUnroll = 8;

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

float multiply_add(int rounds, float seed) {
  Floats acc[kChains], a, b;
  for (int l = 0; l < kWidth; ++l) a[l] = 1 - 1e-7f * seed, b[l] = 1e-9f * seed;
  for (Floats& v : acc) v = b;
  for (int r = 0; r < rounds; ++r)
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) acc[c] = acc[c] * a + b;
  float sum = 0;
  for (const Floats& v : acc) sum += v[0];
  return sum;
}

// Memory of one thread: `count` vectors to read, as many to write.
struct Area {
  explicit Area(int64_t bytes)
      : count(std::max<int64_t>(bytes / static_cast<int64_t>(sizeof(Ints)) / kUnroll, 1) * kUnroll),
        from(std::make_unique<Ints[]>(static_cast<size_t>(count))),
        to(std::make_unique<Ints[]>(static_cast<size_t>(count))) {
    for (int64_t i = 0; i < count; ++i) from[i][0] = static_cast<int32_t>(i), to[i][0] = 1;
  }
  int64_t count;
  std::unique_ptr<Ints[]> from, to;
};

void copy_by_vectors(const Area& a) {
  for (int64_t i = 0; i < a.count; i += kUnroll) {
#pragma GCC unroll 8
    for (int c = 0; c < kUnroll; ++c) a.to[i + c] = a.from[i + c];
  }
  asm volatile("" : : "r"(a.to.get()) : "memory");
}

void copy_by_library(const Area& a) {
  std::memcpy(a.to.get(), a.from.get(), static_cast<size_t>(a.count) * sizeof(Ints));
  asm volatile("" : : "r"(a.to.get()) : "memory");
}

void read_all(const Area& a) {
  Ints acc[kUnroll] = {};
  for (int64_t i = 0; i < a.count; i += kUnroll) {
#pragma GCC unroll 8
    for (int c = 0; c < kUnroll; ++c) acc[c] ^= a.from[i + c];
  }
  for (const Ints& v : acc) a.to[0] ^= v;
  asm volatile("" : : "r"(a.to.get()) : "memory");
}

void write_by_vectors(const Area& a) {
  const Ints value = a.from[0];
  for (int64_t i = 0; i < a.count; i += kUnroll) {
#pragma GCC unroll 8
    for (int c = 0; c < kUnroll; ++c) a.to[i + c] = value;
  }
  asm volatile("" : : "r"(a.to.get()) : "memory");
}

void write_by_library(const Area& a) {
  std::memset(a.to.get(), 1, static_cast<size_t>(a.count) * sizeof(Ints));
  asm volatile("" : : "r"(a.to.get()) : "memory");
}

// The least seconds of `rounds` in which every thread runs its work once, from the first start to the last
// end.
template <class Work>
double least_seconds(int threads, int rounds, Work work) {
  std::barrier meet(threads);
  double least = 1e30;
  const auto body = [&](int t) {
    for (int r = 0; r < rounds; ++r) {
      meet.arrive_and_wait();
      const double start = seconds();
      work(t);
      meet.arrive_and_wait();
      if (t == 0) least = std::min(least, seconds() - start);
    }
  };
  std::vector<std::thread> team;
  for (int t = 1; t < threads; ++t) team.emplace_back(body, t);
  body(0);
  for (std::thread& t : team) t.join();
  return least;
}

double peak(int threads) {
  constexpr int kRounds = 100000;
  std::vector<float> sinks(static_cast<size_t>(threads));
  const double s = least_seconds(threads, 8, [&](int t) {
    sinks[static_cast<size_t>(t)] = multiply_add(kRounds, static_cast<float>(t + 1));
  });
  // The sums are small and positive; reading them keeps the loops alive.
  const bool alive = *std::min_element(sinks.begin(), sinks.end()) > -1;
  return alive ? 2.0 * kWidth * kChains * kRounds * threads / s / 1e9 : 0;
}

// `moved`: how many times its area's bytes a pass moves, 1 for reading or writing, 2 for copying.
template <class Pass>
double rate(int threads, int64_t bytes, int moved, Pass pass) {
  std::vector<Area> areas;
  for (int t = 0; t < threads; ++t) areas.emplace_back(bytes / moved / threads);
  const double once = static_cast<double>(areas[0].count) * sizeof(Ints) * moved * threads;
  const auto passes = static_cast<int>(std::max(1.0, 2e7 / once));
  const double s = least_seconds(threads, 7, [&](int t) {
    for (int p = 0; p < passes; ++p) pass(areas[static_cast<size_t>(t)]);
  });
  return once * passes / s / 1e9;
}

}  // namespace

int main() {
  std::string what;
  for (int threads = 1; std::cin >> what >> threads;) {
    int64_t bytes = 0;
    if (what == "peak") {
      std::cout << peak(threads) << std::endl;
      continue;
    }
    if (!(std::cin >> bytes) || (what != "copy" && what != "read" && what != "write")) return 1;
    if (what == "read")
      std::cout << rate(threads, bytes, 1, read_all) << std::endl;
    else if (what == "write")
      std::cout << std::max(rate(threads, bytes, 1, write_by_vectors),
                            rate(threads, bytes, 1, write_by_library))
                << std::endl;
    else
      std::cout << std::max(rate(threads, bytes, 2, copy_by_vectors),
                            rate(threads, bytes, 2, copy_by_library))
                << std::endl;
  }
}
