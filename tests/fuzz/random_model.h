// A seeded generator of small models with training and a table, valid by construction: it knows the type of
// every value it makes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace gradc::fuzz {

struct ModelText {
  std::string text, csv;
  int64_t batch = 1, rows = 1;
  bool wide = false, fma = true;  // --float f64, --no-fma
};

// The table's rows have x0.. (numbers), t0.. (0 to 4), s (a number), y (a class of 3) and z (a number).
ModelText random_model(uint64_t seed);

}  // namespace gradc::fuzz
