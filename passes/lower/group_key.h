// The structure of a fused group as numbers: groups of one function with equal keys lower to one kernel,
// whose buffers stand for the nodes at the same places of their keys.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <unordered_map>
#include <vector>

#include "passes/lower/lower_group.h"

namespace gradc::passes {

// What a kernel sees of the place where a node's value lies.
struct Place {
  Shape shape;
  Layout layout;
  size_t prefix = 0;  // leading axes that the step fixes
  int64_t shift = 0;  // where the axis behind them begins
};

class GroupKeys {
 public:
  struct Key {
    std::vector<uint64_t> numbers;
    std::vector<NodeId> nodes;  // in the order in which they were met
  };
  Key key(const LowerInput& in, const Group& group, const std::function<Place(NodeId)>& storage_place);

 private:
  uint64_t attributes(const graph::Attrs& a);
  uint64_t shape(const Shape& s);
  uint64_t layout(const Layout& l);

  struct HashAttrs {
    size_t operator()(const graph::Attrs& a) const { return a.hash(); }
  };
  struct HashShape {
    size_t operator()(const Shape& s) const {
      size_t h = s.size();
      for (const Dim& d : s) h = h * 1099511628211ULL + d.hash();
      return h;
    }
  };
  std::unordered_map<graph::Attrs, uint64_t, HashAttrs> attributes_;
  std::unordered_map<Shape, uint64_t, HashShape> shapes_;
  std::map<Layout, uint64_t> layouts_;
};

}  // namespace gradc::passes
