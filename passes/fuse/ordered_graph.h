// A growing acyclic graph that keeps an order of its nodes (Pearce and Kelly, 2007): whether an edge would
// close a cycle is answered by walking what lies between its ends in that order, not the whole graph.
#pragma once

#include <span>
#include <vector>

namespace gradc::passes {

class OrderedGraph {
 public:
  // A new node that stands before all others.
  int add();
  int size() const { return static_cast<int>(next_.size()); }
  int rank(int node) const { return rank_[node]; }
  // Whether a path leads from one of `sources`, `to` itself excepted, to `to`.
  bool reached(std::span<const int> sources, int to);
  // From must run before to; the edge must not close a cycle.
  void add_edge(int from, int to);
  // Whether `second` may run as part of `first`, from which an edge leads to it: no other path does.
  bool can_merge(int first, int second) { return !reached(next_[first], second); }
  // The edges of `second` become those of `first`.
  void merge(int first, int second);

 private:
  std::vector<int> walk(std::span<const int> starts, const std::vector<std::vector<int>>& edges, int low,
                        int high);

  std::vector<std::vector<int>> next_, before_;
  std::vector<int> rank_;
  std::vector<int> seen_;  // the walk that met a node last
  int walks_ = 0;
};

}  // namespace gradc::passes
