// Loops over places: a scan forward over all of them is one step of its body at each place.
#pragma once

#include <optional>
#include <span>

#include "passes/extend/places.h"

namespace gradc::passes {

// A value that stacks what the steps of a scan give.
struct Stacked {
  graph::NodeId scan = graph::kNone;
  size_t consts = 0, carries = 0;  // of the scan's operands
  size_t result = 0;               // of the scan's results
};
std::optional<Stacked> stacked(const graph::Function& f, graph::NodeId n, int64_t places);

// Its places along axis 0, where what the steps share and begin with depends on no token, and what they read
// one by one on no later place.
Places places_of(const graph::Function& f, const Stacked& s, std::span<const Places> known);

}  // namespace gradc::passes
