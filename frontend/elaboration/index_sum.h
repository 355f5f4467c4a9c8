// Subscripts that are sums of indices, and what the subscripts of an operand do to its axes.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "ir/ops/window_spec.h"
#include "support/source.h"

namespace gradc::frontend {

// A subscript that is a sum of indices times constants: sum(terms) + offset.
struct IndexSum {
  std::vector<std::pair<std::string, int64_t>> terms;
  Index offset;

  void add(const std::string& index, int64_t coefficient) {
    for (auto& [name, c] : terms)
      if (name == index) return void(c += coefficient);
    terms.emplace_back(index, coefficient);
  }
};

// A place where one stands, and the extent of its axis; kept until the ranges of plain indices are known.
struct SumSite {
  IndexSum sum;
  Dim extent;
  Loc loc;
};

// What the subscripts of an operand do to its axes: a part of each, then windows along some.
struct Cut {
  Shape start, limit, kept;
  std::vector<int64_t> stride, reversed;
  graph::WindowSpec windows;
  std::vector<std::string> axes;

  bool whole(const Shape& from) const {
    return limit == from && start == Shape(from.size(), Dim(0)) &&
           std::all_of(stride.begin(), stride.end(), [](int64_t s) { return s == 1; });
  }
};

}  // namespace gradc::frontend
