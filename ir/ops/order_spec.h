// What `argsort` says: it has no meaning in the form of ir/meaning.h, so the interpreters and lowering ask
// this.
#pragma once

#include "ir/graph/op_def.h"

namespace gradc::graph {

// Positions along the axis in ascending order of the elements, or descending; equals (0 and -0 too) as they
// stood. NaNs are larger than all numbers and equal to each other.
struct OrderSpec {
  size_t axis = 0;
  bool descending = false;
};

inline OrderSpec order_spec(const Attrs& a) {
  return {static_cast<size_t>(a.integer("axis")), a.flag("descending")};
}

}  // namespace gradc::graph
