// Reverse accumulation over a closed function that continues under construction.
#pragma once

#include <functional>
#include <map>
#include <vector>

#include "ir/graph/builder.h"

namespace gradc::passes {

using graph::NodeId;

struct Seed {
  NodeId node, cotangent;
};

// For control flow: the cotangents of a node's results (kNone for a structural zero) to those of its
// operands.
using ControlGradient = std::function<std::vector<NodeId>(graph::Builder&, const std::vector<NodeId>&)>;
using ControlGradients = std::map<NodeId, ControlGradient>;

// Nodes [0, end) are the function's own; what is built comes after them.
class Reverse {
 public:
  // Walks from the seeds to `wrt`. Missing rules are reported all at once, by op and place.
  Reverse(graph::Builder& b, NodeId end, const std::vector<Seed>& seeds, const std::vector<NodeId>& wrt,
          const ControlGradients& control);
  // The cotangent of one of `wrt`, zeros where none arrived.
  NodeId of(NodeId n);

 private:
  // A cotangent, and where it is not a zero by construction: outside the mask nothing of the node was used,
  // so that whatever a local derivative is there (NaN of a branch not taken), it contributes exactly 0.
  struct Cotangent {
    NodeId value = graph::kNone;
    NodeId mask = graph::kNone;  // bool of the node's shape; kNone: everywhere
  };

  void visit(NodeId i);
  void visit_control(NodeId i, const graph::Node& node);
  NodeId local(const graph::Node& node, NodeId g, NodeId d, NodeId mask);
  std::vector<NodeId> operand_masks(NodeId i, const graph::Node& node);
  NodeId both(NodeId a, NodeId b);
  void accumulate(NodeId n, NodeId g, NodeId mask);
  void report_missing();

  graph::Builder& b_;
  const ControlGradients& control_;
  std::vector<Cotangent> gradients_;                  // by node
  std::map<NodeId, std::vector<NodeId>> of_results_;  // by node with several results
  std::vector<bool> needed_;
  std::vector<NodeId> missing_;
};

// Nodes of f, or of the first `end` of a builder's, that some of `wrt` reach.
std::vector<bool> reached_from(const graph::Function& f, NodeId end, const std::vector<NodeId>& wrt);

}  // namespace gradc::passes
