// What each node reads once the nodes that are computed in place are looked through. Kept by node and
// composed from the reads of operands, so that a value which many paths lead to is resolved once.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "ir/graph/graph.h"
#include "ir/graph/op_def.h"

namespace gradc::passes {

using graph::NodeId;

// Unknown indices (data dependent, or of a node without a meaning) use this variable.
inline constexpr int kUnknownVar = 1 << 20;

// A read of `node` with indices over the axes of the reading node.
struct ResolvedRead {
  NodeId node;
  std::vector<Index> at;
};

// How many elements there are at 64 for each dimension.
double planned_count(const std::vector<Dim>& axes);
// Whether elements are read, named or converted, and not computed.
bool only_moves(const Meaning& m);
// Whether n is its operand with little around it: computed for each of its elements, the operand costs hardly
// more than in a loop of its own.
bool pads_little(const graph::Function& f, NodeId n);

class ReadTable {
 public:
  // Nodes that only move or name elements are computed in place.
  explicit ReadTable(const graph::Function& f);
  // The nodes that `in_place` says are; only their meanings are kept.
  ReadTable(const graph::Function& f, std::vector<bool> in_place);

  const std::vector<std::shared_ptr<const Meaning>>& meanings() const { return meanings_; }
  // Operands that are computed in place where they are read.
  bool is_inline(NodeId n) const { return inline_[n]; }
  const std::vector<ResolvedRead>& of(NodeId n) const { return reads_[n]; }
  // How many scalar operations, roughly, an element of n costs with what is computed in place.
  int64_t weight(NodeId n) const { return weight_[n]; }

  // `consumer`, which reads p at one map, now computes p in place.
  void inline_into(NodeId p, NodeId consumer);

 private:
  std::vector<double> times_read() const;
  bool is_free(NodeId n, double times) const;
  bool scatters(NodeId n) const;
  bool narrows(NodeId n) const;
  bool grows_cheaply(NodeId n) const;
  bool replaces_its_source(NodeId n, bool far = false) const;
  std::vector<bool> read_far_behind() const;
  void compute(NodeId n);
  void compose(NodeId n, NodeId q, const std::vector<Index>& at, std::vector<ResolvedRead>& out) const;
  void add(std::vector<ResolvedRead>& list, ResolvedRead r) const;

  const graph::Function& f_;
  std::vector<std::shared_ptr<const Meaning>> meanings_;
  std::vector<bool> inline_;
  std::vector<int64_t> weight_;  // operations, with all that is computed in place for them
  std::vector<std::vector<ResolvedRead>> reads_;
};

}  // namespace gradc::passes
