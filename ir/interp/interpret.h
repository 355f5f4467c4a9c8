// The graph interpreter: the reference that says what a function means, bit for bit. It evaluates the
// meanings of ops, in strips, in the order that each node states; only scatter_add,
// running sums, argsort and control flow have code
// of their own.
#pragma once

#include <span>
#include <vector>

#include "ir/graph/graph.h"
#include "ir/graph/op_def.h"
#include "ir/interp/index_strip.h"
#include "ir/tensor.h"

namespace gradc {

struct InterpretOptions {
  interp::Dims dims;  // dimensions that no parameter's shape gives
  // Sees every node's value, parameters too, in order of evaluation; all results of control flow, one by one.
  std::function<void(const graph::Function&, graph::NodeId, const Tensor&)> observe;
};

// The results in order. Throws CompileError where arguments do not fit the parameters.
std::vector<Tensor> interpret(const graph::Module& m, const graph::Function& f, std::span<const Tensor> args,
                              const InterpretOptions& o = {});

// One meaning, for folding and tests: the result has the concrete shape of the output axes.
Tensor evaluate_meaning(const Meaning& m, DType result, std::span<const Tensor* const> operands, bool fma,
                        const interp::Dims& dims);

}  // namespace gradc
