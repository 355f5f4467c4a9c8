// Where the state of a program lies, the same for all its entries, and which parameters of one entry are
// state.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/layout.h"

namespace gradc::passes {

struct StatePlace {
  Layout layout;
  int64_t offset = 0;  // bytes within the state region
  bool operator==(const StatePlace&) const = default;
};

// A row is a tensor. Where `derived_from` is a row, this one is a copy of it in another layout: who writes
// the original writes the copy too, who only reads reads the copy.
struct StateRow {
  StatePlace place;
  int derived_from = -1;
};
struct StateTable {
  std::vector<StateRow> rows;
  int64_t bytes = 0;
};

struct StateBinding {
  StateTable table;
  std::vector<int> row_of_param;  // by position, -1 for inputs; empty where all are inputs
};

}  // namespace gradc::passes
