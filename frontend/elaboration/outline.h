// Parts of a function under construction that become functions of their own: the body of a loop, and what
// lies between a number and the values it is differentiated by.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ir/graph/builder.h"

namespace gradc::frontend {

// A function whose first parameters stand for `constants`, values of the function it was cut out of.
struct Outlined {
  graph::Function function;
  std::vector<graph::NodeId> constants;
};

// What `results` need of `inputs`, which become the last parameters, and of whatever depends on them; all
// else is read from outside. The inputs stay where they are, and so does every node.
Outlined outline_between(const graph::Builder& b, const std::string& name,
                         const std::vector<graph::NodeId>& inputs, const std::vector<graph::NodeId>& results);

// The nodes from `first` on, built for the body of a loop and taken back: what does not depend on the
// parameters is built again outside, and the rest is the body's function.
class LoopBody {
 public:
  LoopBody(graph::Builder& b, graph::NodeId first, std::vector<graph::NodeId> parameters);
  graph::Function function(const std::string& name, const std::vector<graph::NodeId>& results);
  std::vector<graph::NodeId> constants;  // the first arguments, once function() is made
  // A value that does not vary, outside.
  graph::NodeId place(graph::NodeId n);

 private:
  graph::Builder& b_;
  graph::NodeId first_;
  std::vector<graph::NodeId> parameters_;
  graph::Function nodes_;  // by number above first_
  std::vector<bool> varies_;
  std::vector<graph::NodeId> outside_;
};

}  // namespace gradc::frontend
