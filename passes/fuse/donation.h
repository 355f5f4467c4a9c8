// Which donated parameters are overwritten in place, and what must run before that.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "passes/fuse/reads.h"

namespace gradc::passes {

struct Donation {
  std::vector<std::vector<NodeId>> after;  // by node: writers that must follow this reader
  std::map<NodeId, NodeId> into;           // writer -> the parameter that it overwrites
  std::set<NodeId> copied;                 // donated parameters whose new value is copied at the end
  std::vector<NodeId> order;               // the nodes, operands and readers first
};

// A new value may be computed in place when its node reads the old one at its own element only, and when all
// other readers can run before it. Where readers and writers wait for each other in a circle, a writer of the
// circle is copied instead.
Donation decide_donation(const graph::Function& f, const ReadTable& reads);

// Whether n reads the parameter, if at all, only at the element where n itself stands.
bool reads_own_element(const ReadTable& reads, NodeId n, NodeId param);
// Whether n is its first operand, the parameter, with some elements changed, and reads nothing else of it.
bool updates_in_place(const graph::Function& f, NodeId n, NodeId param);
bool is_identity(const std::vector<Index>& at, size_t n);

}  // namespace gradc::passes
