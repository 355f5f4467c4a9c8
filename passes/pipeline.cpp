// Why this order: calls go first, since differentiation walks bodies; differentiation goes before pruning,
// which then drops what the walk built in vain; numerics is last, since whatever may change a rounding must
// precede it.
#include "passes/pipeline.h"

#include <algorithm>
#include <array>

#include "passes/graph/expand.h"
#include "support/check.h"

namespace gradc::passes {
namespace {

struct Pass {
  std::string_view name;
  graph::Module (*run)(const graph::Module&);
};

constexpr std::array kPasses{
    Pass{"inline", inline_calls},
    Pass{"differentiate", differentiate},
    Pass{"prune", prune},
    Pass{"numerics", numerics},
};

}  // namespace

graph::Module run_graph_passes(const graph::Module& m, const PipelineOptions& o) {
  graph::Module now = m;
  for (const Pass& p : kPasses) {
    if (std::find(o.without.begin(), o.without.end(), p.name) != o.without.end()) continue;
    now = p.run(now);
    try {
      graph::verify(now);
    } catch (const InternalError& e) {
      throw InternalError(fmt::format("after pass {}: {}", p.name, e.what()));
    }
    if (o.after) o.after(p.name, now);
    if (p.name == o.stop_after) break;
  }
  return now;
}

std::vector<std::string> graph_pass_names() {
  std::vector<std::string> names;
  for (const Pass& p : kPasses) names.emplace_back(p.name);
  return names;
}

bool is_entry(std::string_view f) {
  for (std::string_view e : {"init", "train_step", "eval_step", "finish", "predict"})
    if (f == e) return true;
  return f.starts_with("fit_");
}

}  // namespace gradc::passes
