// The state of the differentiation pass: the functions that are done, and the derivatives made of them. A
// callee is differentiated once, as a closed function; derivatives are by parameter, whatever a caller passes
// for it.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "passes/graph/reverse.h"

namespace gradc::passes {

class Differentiator {
 public:
  explicit Differentiator(const graph::Module& m) : m_(m) {}
  graph::Module run();

 private:
  // A copy of a function on the way to its derivative: control flow on the path is in a form that can be
  // walked backwards.
  struct Open {
    graph::Builder b;
    std::vector<NodeId> map;  // nodes of the function
    ControlGradients control;
  };
  // A scan's body as a forward one, which also gives what the backward one reads again, and a backward one:
  //   (constants, cotangents of carries, sums for constants; values kept, cotangents of ys, xs)
  //     -> (cotangents of carries, sums for constants; cotangents of xs)
  // Lists hold positions among the body's constants, carries, xs or ys.
  struct ScanSplit {
    std::string forward, backward;
    std::vector<size_t> constants_read, carries, constants, ys, xs_read, xs;
    std::vector<Type> kept;
  };

  const graph::Function& expanded(const std::string& name);
  graph::Function expand(const graph::Function& f);
  std::vector<NodeId> value_and_grad(graph::Builder& b, const graph::Node& n, const std::vector<NodeId>& map);
  const graph::Function& gradient_of(const std::string& name, const std::vector<int64_t>& wrt);
  Open open(const graph::Function& f, const std::vector<NodeId>& wrt);

  // control_gradients.cpp
  NodeId open_scan(Open& o, const graph::Node& n, const std::vector<bool>& needed);
  NodeId open_cond(Open& o, const graph::Node& n, const std::vector<bool>& needed);
  NodeId open_while(Open& o, const graph::Node& n);
  const ScanSplit& split(const std::string& name, size_t constants, size_t carries,
                         const std::vector<bool>& needed);
  std::string branch_gradient(const std::string& name, const std::vector<size_t>& wrt);
  std::string add_function(graph::Function f, const std::string& name);

  const graph::Module& m_;
  graph::Module done_;
  std::map<std::pair<std::string, std::vector<int64_t>>, graph::Function> gradients_;
  std::map<std::pair<std::string, std::vector<bool>>, ScanSplit> splits_;
  std::map<std::pair<std::string, std::vector<size_t>>, std::string> branches_;
};

}  // namespace gradc::passes
