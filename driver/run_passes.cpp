#include "driver/run_passes.h"

#include "passes/fuse/fusion.h"
#include "support/diagnostic.h"

namespace gradc {

using passes::Stage;

std::string run_passes(const std::string& text, uint32_t file, const PassRange& range,
                       const CompileOptions& options) {
  const passes::PassInfo* from = passes::find_pass(range.from);
  const passes::PassInfo* after = passes::find_pass(range.after);
  if (from && after && after < from)
    throw CompileError({}, fmt::format("pass {} stands before {}: there is nothing from the one to the other",
                                       after->name, from->name));
  const Stage last = after ? after->stage : Stage::Step;
  passes::StepOptions o = step_options(options);
  o.after = range.after;
  if (from && from->stage == Stage::Step) {
    o.from = range.from;
    step::Step s = step::parse_step(text, file);
    step::verify(s);
    passes::run_step_passes(s, o);
    return step::print(s);
  }
  graph::Module m = graph::parse(text, file);
  graph::verify(m);
  if (!from || from->stage == Stage::Graph) m = passes::run_graph_passes(m, {range.from, range.after});
  if (last == Stage::Graph) return graph::print(m);
  const graph::Function& f = m.functions.size() == 1 ? m.functions.begin()->second : m.at(range.function);
  check_dims(f);
  if (last == Stage::Lower && after->name != "lower") return passes::describe(passes::fuse(m, f), f);
  if (last == Stage::Lower) o.after = "pad";  // none of the passes on steps
  return step::print(passes::build_step(m, f, o));
}

}  // namespace gradc
