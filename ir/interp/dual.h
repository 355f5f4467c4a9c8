// Dual numbers: a function's exact directional derivatives, from the meanings of its ops and one table of
// forward rules. It shares nothing with the gradient rules of ir/ops and is what they are checked against, in
// f64.
#pragma once

#include <span>
#include <vector>

#include "ir/interp/interpret.h"

namespace gradc {

struct Dual {
  Tensor value;
  Tensor tangent;  // f64, of the value's shape; zero for results that are no floats
};

// `tangents` holds one f64 tensor for each argument, of its shape (ignored for integers and bools).
std::vector<Dual> interpret_dual(const graph::Module& m, const graph::Function& f,
                                 std::span<const Tensor> args, std::span<const Tensor> tangents,
                                 const InterpretOptions& o = {});

}  // namespace gradc
