#include "passes/fuse/ordered_graph.h"

#include <algorithm>
#include <utility>

#include "support/check.h"

namespace gradc::passes {

int OrderedGraph::add() {
  next_.emplace_back();
  before_.emplace_back();
  rank_.push_back(-size());
  seen_.push_back(0);
  return size() - 1;
}

// What `starts` lead to along `edges` within the ranks [low, high].
std::vector<int> OrderedGraph::walk(std::span<const int> starts, const std::vector<std::vector<int>>& edges,
                                    int low, int high) {
  ++walks_;
  std::vector<int> found;
  auto meet = [&](int n) {
    if (rank_[n] < low || rank_[n] > high || seen_[n] == walks_) return;
    seen_[n] = walks_;
    found.push_back(n);
  };
  for (int s : starts) meet(s);
  for (size_t i = 0; i < found.size(); ++i)
    for (int n : edges[found[i]]) meet(n);
  return found;
}

bool OrderedGraph::reached(std::span<const int> sources, int to) {
  std::vector<int> others;
  for (int s : sources)
    if (s != to && rank_[s] < rank_[to]) others.push_back(s);
  if (others.empty()) return false;
  walk(others, next_, -size(), rank_[to]);
  return seen_[to] == walks_;
}

void OrderedGraph::add_edge(int from, int to) {
  if (from == to) return;
  if (rank_[from] > rank_[to]) {
    const int low = rank_[to], high = rank_[from];
    const std::vector<int> after = walk(std::span(&to, 1), next_, low, high);
    GRADC_CHECK(seen_[from] != walks_, "an edge closes a cycle");
    std::vector<int> moved = walk(std::span(&from, 1), before_, low, high);
    auto by_rank = [&](int a, int b) { return rank_[a] < rank_[b]; };
    std::sort(moved.begin(), moved.end(), by_rank);
    std::vector<int> tail = after;
    std::sort(tail.begin(), tail.end(), by_rank);
    moved.insert(moved.end(), tail.begin(), tail.end());
    std::vector<int> ranks;
    for (int n : moved) ranks.push_back(rank_[n]);
    std::sort(ranks.begin(), ranks.end());
    for (size_t i = 0; i < moved.size(); ++i) rank_[moved[i]] = ranks[i];
  }
  next_[from].push_back(to);
  before_[to].push_back(from);
}

void OrderedGraph::merge(int first, int second) {
  const std::vector<int> before = std::exchange(before_[second], {}), next = std::exchange(next_[second], {});
  for (int n : before) std::erase(next_[n], second);
  for (int n : next) std::erase(before_[n], second);
  for (int n : before) add_edge(n, first);
  for (int n : next) add_edge(first, n);
}

}  // namespace gradc::passes
