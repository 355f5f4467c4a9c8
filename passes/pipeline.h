// The list of graph passes, in order, with the reasons for the order; and the names of what comes after them.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "ir/graph/graph.h"

namespace gradc::passes {

struct PipelineOptions {
  std::vector<std::string> without;  // exact passes that are switched off
  std::function<void(std::string_view pass, const graph::Module&)> after;  // sees the module after each pass
  std::string stop_after;                                                  // the name of a pass; "" runs all
};

// Every function made primitive: no calls, no value_and_grad; dead nodes gone; every rounding decided.
graph::Module run_graph_passes(const graph::Module& m, const PipelineOptions& o = {});
std::vector<std::string> graph_pass_names();

// Whether a function is compiled to a step of its own: init, train_step, eval_step, finish, predict, fit_N,
// ...
bool is_entry(std::string_view function);

}  // namespace gradc::passes
