// What texts that hold more than graph functions share with graph text: names of nodes, and one function of a
// longer text.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "ir/graph/graph.h"

namespace gradc::graph {

// What print calls each node, without %.
std::vector<std::string> text_names(const Function& f);

// A function of a longer text, with its nodes by the names that the text gives them.
struct NamedFunction {
  Function function;
  std::map<std::string, NodeId> names;
};
// The function that starts at byte `at`; `at` moves behind it. It may name functions of `m`.
NamedFunction parse_function_at(std::string_view text, size_t& at, uint32_t file, const Module& m);

// `f` and the functions that it names, directly or through others; callees first.
std::vector<const Function*> reached(const Module& m, const Function& f);

}  // namespace gradc::graph
