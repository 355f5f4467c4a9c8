// Fields of equal length in memory, and the splits that name their rows.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "runtime/array.h"

namespace gradc::runtime {

struct Dataset {
  std::map<std::string, Array> fields;
  int64_t rows = 0;
};

struct Split {
  const Dataset* data = nullptr;  // null: there is no such split
  std::vector<int64_t> rows;
  explicit operator bool() const { return data != nullptr; }
};

struct Splits {
  Split train, val, test;
};

}  // namespace gradc::runtime
