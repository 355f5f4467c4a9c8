// The graph passes, one function each; pipeline.cpp lists them with the reasons for their order.
#pragma once

#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "ir/graph/builder.h"
#include "support/parallel.h"

namespace gradc::passes {

// Expands every call, innermost functions first. Recursion is refused.
graph::Module inline_calls(const graph::Module& m);
// Expands every value_and_grad by the derivative of its callee, innermost functions first, so that gradients
// of gradients need nothing special. Missing rules are reported all at once, by op and place.
graph::Module differentiate(const graph::Module& m);
// Rewrites elementwise nodes by the rules of simplify.cpp.
graph::Module simplify(const graph::Module& m);
// Rows of masked scores in chunks, without what no row of a chunk reads.
graph::Module chunk(const graph::Module& m);
// Drops what no result needs; parameters stay.
graph::Module prune(const graph::Module& m);
graph::Function prune_function(const graph::Function& f, const graph::Module& m);
// Moves contractions out of the bodies of scans.
graph::Module hoist(const graph::Module& m);
// Products in the bodies of scans that differ in a constant alone become one.
graph::Module siblings(const graph::Module& m);
// Rewrites contractions where that saves work or memory; what algebra.cpp lists.
graph::Module algebra(const graph::Module& m);
// Contractions leave out the terms that padding or a mask of places makes zero.
graph::Module skip(const graph::Module& m);
// Decides every rounding that is still open: multiply-adds, the order of reductions. From here on the text
// says each one, and every later pass is exact.
graph::Module numerics(const graph::Module& m);

// Replaces what is computed from constants by constants.
graph::Module fold(const graph::Module& m);

// Loops are handed what they read, and rows of small tables as the numbers of the rows.
graph::Module inputs(const graph::Module& m);

// Values that are read padded are stored once, padded: their other readers read the inside, so that they are
// computed where they are padded. Small operands whose elements lie apart along the last axis of the result,
// along which lanes run, are transposed once instead of for each piece of the result. What windows of a
// convolution to few channels are of has a row of the image last, along which lanes run then. Exact.
graph::Module arrange(const graph::Module& m);

// At the planned values of a function's dimensions, 64 where the text says none.
int64_t planned(const graph::Function& f, const Dim& d);

bool has_scans(const graph::Module& m);

// A function made anew, node by node. `replace` gives the results of what stands for a node, by the nodes
// made before it: an empty list where nothing does, no list where the node is copied. Parameters and notes
// stay.
using Results = std::optional<std::vector<graph::NodeId>>;
using Replace =
    std::function<Results(graph::Builder&, graph::NodeId, const std::vector<graph::NodeId>& made)>;
graph::Function rebuild(const graph::Function& f, const graph::Module& m, const Replace& replace);

// Applies a function-to-function pass to every function, the largest first.
template <class F>
graph::Module each_function(const graph::Module& m, F&& pass) {
  graph::Module out;
  std::vector<std::pair<const graph::Function*, graph::Function*>> work;
  for (const auto& [name, f] : m.functions) work.emplace_back(&f, &out.functions[name]);
  largest_first(work, [](const auto& w) { return w.first->nodes.size(); });
  in_parallel(
      work.size(), [&](size_t i) { *work[i].second = pass(*work[i].first, m); }, functions_a_thread(m));
  return out;
}

}  // namespace gradc::passes
