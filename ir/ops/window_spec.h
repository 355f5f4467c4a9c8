// What the attributes of `windows` and `overlap_add` say.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/graph/builder.h"

namespace gradc::graph {

inline constexpr int64_t kMaxWindow = int64_t{1} << 24;  // a size, a stride, a dilation

struct WindowSpec {
  std::vector<int64_t> axes, sizes, strides, dilations;

  // Elements from the first to the last of a window, both included.
  int64_t span(size_t i) const { return (sizes[i] - 1) * dilations[i] + 1; }
  // The axis of window i in the result of `windows`, right behind the axis that its windows lie along.
  size_t window_axis(size_t i) const { return static_cast<size_t>(axes[i]) + i + 1; }
  // Windows in an axis of this extent.
  Dim count(size_t i, const Dim& extent) const;
};

WindowSpec window_spec(const Attrs& a);
Attrs attributes(const WindowSpec& w);  // without `extents`
NodeId windows(Builder& b, NodeId x, const WindowSpec& w);
// `to`: the shape of the result.
NodeId overlap_add(Builder& b, NodeId g, const WindowSpec& w, const Shape& to);

}  // namespace gradc::graph
