// Layouts for tests: of three plain kinds, and drawn from all there are.
#pragma once

#include <numeric>
#include <random>

#include "ir/layout.h"

namespace gradc::test {

inline Layout transposed(int rank) {
  std::vector<int> order(static_cast<size_t>(rank));
  for (int a = 0; a < rank; ++a) order[static_cast<size_t>(a)] = rank - 1 - a;
  return Layout::make(rank, order, {}, {});
}

// As OIhw4i4o: of the last axis, then of the first.
inline Layout blocked(int rank, int64_t size = 4) {
  if (rank == 0) return {};
  std::vector<Layout::Block> blocks{{rank - 1, size}};
  if (rank > 1) blocks.push_back({0, size});
  return Layout::make(rank, {}, blocks, {});
}

inline Layout padded(int rank) {
  return Layout::padded(rank, std::vector<int64_t>(static_cast<size_t>(rank), 3));
}

// Any order, up to three blocks, some padding; an axis may have two blocks.
inline Layout draw_layout(int rank, uint64_t seed) {
  if (rank == 0) return {};
  std::mt19937_64 random(seed);
  auto below = [&](uint64_t n) { return static_cast<int64_t>(random() % n); };
  std::vector<int> order(static_cast<size_t>(rank));
  std::iota(order.begin(), order.end(), 0);
  for (size_t i = order.size(); i-- > 1;) std::swap(order[i], order[static_cast<size_t>(below(i + 1))]);
  std::vector<Layout::Block> blocks;
  for (int64_t n = below(4); n > 0; --n)
    blocks.push_back({static_cast<int>(below(static_cast<uint64_t>(rank))), below(4) ? 2 + below(4) : 16});
  std::vector<int64_t> padding;
  if (below(2))
    for (size_t i = 0; i < order.size() + blocks.size(); ++i) padding.push_back(below(3) ? 0 : below(4));
  return Layout::make(rank, order, blocks, padding);
}

// The same for equal types of one seed.
inline Layout draw_layout(const Type& t, uint64_t seed) {
  for (const Dim& d : t.shape) seed = seed * 0x9E3779B97F4A7C15ULL + d.hash();
  return draw_layout(t.rank(), seed);
}

}  // namespace gradc::test
