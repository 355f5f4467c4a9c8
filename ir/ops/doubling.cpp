#include "ir/ops/doubling.h"

#include <algorithm>

namespace gradc::graph {

int doublings(const Function& f, const Dim& extent) {
  int64_t most = int64_t{1} << 40;  // no array is longer
  if (extent.is_constant()) {
    most = extent.constant_part();
  } else {
    bool known = true;
    auto largest = [&](const std::string& name) {
      const auto it = f.dims.find(name);
      known = known && it != f.dims.end() && it->second.max > 0;
      return known ? it->second.max : 1;
    };
    const bool grows = std::all_of(extent.terms().begin(), extent.terms().end(), [](const Index::Term& t) {
      return t.coefficient > 0 && std::all_of(t.factors.begin(), t.factors.end(),
                                              [](const Atom& a) { return a.kind == Atom::Kind::Dim; });
    });
    const int64_t top = extent.evaluate([](int) -> int64_t { return 0; }, largest);
    if (known && grows) most = top;
  }
  int steps = 0;
  while ((int64_t{1} << steps) < most - 1) ++steps;
  return steps;
}

NodeId shifted(Builder& b, NodeId x, int64_t axis, int64_t by, double fill) {
  Shape low(b.shape(x).size(), Dim(0)), high = low;
  low[axis] = by, high[axis] = -by;
  return b.make("pad", {x},
                {{"low", low}, {"high", high}, {"interior", Shape(low.size(), Dim(0))}, {"value", fill}});
}

}  // namespace gradc::graph
