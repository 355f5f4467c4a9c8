// What running sums and products combine, along which axis: `cumsum` and `cumprod` have no meaning in the
// form of ir/meaning.h, so the interpreters and lowering ask this.
#pragma once

#include "ir/graph/op_def.h"

namespace gradc::graph {

// Element i along the axis is the combination of the elements up to i (`reverse`: from i on; `exclusive`:
// without i itself), a chain from the combiner's identity whose partial results are of the type
// `accumulator`.
struct RunningSpec {
  Combiner combine = Combiner::Add;
  size_t axis = 0;
  bool reverse = false, exclusive = false;
  DType accumulator = DType::F32;
};

RunningSpec running_spec(const OpDef& op, const Attrs& a, DType operand);

}  // namespace gradc::graph
