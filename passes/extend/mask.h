// Values that do not depend on tokens, where they are the same behind every place: masks above all.
#pragma once

#include <map>
#include <optional>
#include <tuple>

#include "ir/graph/graph.h"
#include "ir/scalar.h"

namespace gradc::passes {

class Masks {
 public:
  Masks(const graph::Function& f, const graph::Module& m, int64_t places) : f_(f), m_(m), places_(places) {}

  // The value of all elements of `n` whose index i along `axis` stands behind the new place, the index along
  // `row`: i + last > it, at any place. Nothing where they differ or depend on a parameter. A negative `row`
  // or `axis`: the value does not depend on it.
  std::optional<Literal> behind(graph::NodeId n, int row, int axis, int64_t last);

 private:
  std::optional<Literal> evaluate(graph::NodeId n, int row, int axis, int64_t last) const;

  const graph::Function& f_;
  const graph::Module& m_;
  int64_t places_;
  std::map<std::tuple<graph::NodeId, int, int, int64_t>, std::optional<Literal>> known_;
};

}  // namespace gradc::passes
