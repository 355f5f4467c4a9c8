// What is known of the elements of a function's tensors by where they stand: padding, masks of places, and
// what is made of them.
#pragma once

#include <optional>
#include <vector>

#include "ir/graph/node_kind.h"

namespace gradc::passes {

// Conditions over a tensor's axes (variable a is axis a): an element for which one is negative has this
// value.
struct Region {
  std::vector<Index> within;
  double outside = 0;
  bool masked = false;  // by a comparison of places, not by padding alone
};

// A sum of axes times constants, and a constant.
bool is_affine(const Index& e);

class Regions {
 public:
  explicit Regions(const graph::Function& f)
      : f_(f), meanings_(f), regions_(f.nodes.size()), numbers_(f.nodes.size()) {}

  // In the order of the nodes.
  void note(graph::NodeId n);
  const Region& of(graph::NodeId n) const { return regions_[n]; }
  // Whether anything is known of what a node reads.
  bool knows(const graph::Node& n) const;

 private:
  void count(graph::NodeId n, std::string_view op);
  std::shared_ptr<const Meaning> moved(graph::NodeId n);
  void move(graph::NodeId n, const Read& read);
  void compare(graph::NodeId n, graph::NodeId a, graph::NodeId b, bool strict);
  void either(graph::NodeId n);
  void select(graph::NodeId n);
  std::optional<double> constant(graph::NodeId n) const;

  const graph::Function& f_;
  graph::Meanings meanings_;
  std::vector<Region> regions_;
  std::vector<std::optional<Index>> numbers_;  // of tensors of whole numbers, what each element is
  const Region none_;
};

}  // namespace gradc::passes
