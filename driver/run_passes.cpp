#include "driver/run_passes.h"

#include "passes/fuse/fusion.h"
#include "support/check.h"
#include "support/diagnostic.h"

namespace gradc {

using passes::Stage;

namespace {

// The function that a text of graph functions is about.
const graph::Function& chosen(const graph::Module& m, const std::string& name) {
  const graph::Function& f = m.functions.size() == 1 ? m.functions.begin()->second : m.at(name);
  check_dims(f);
  return f;
}

step::Step& chosen(std::vector<step::Step>& entries, const std::string& name) {
  for (step::Step& s : entries)
    if (entries.size() == 1 || s.name == name) return s;
  throw CompileError({}, fmt::format("a text of {} steps: name one of them, or stop after the passes on all",
                                     entries.size()));
}

std::string printed(const std::vector<step::Step>& entries) {
  std::string out;
  for (const step::Step& s : entries) out += (out.empty() ? "" : "\n") + step::print(s);
  return out;
}

// What a verifier finds in a text is a mistake of the text; of what a pass made it would be one of ours.
template <class F>
void verify_text(uint32_t file, F verify) {
  try {
    verify();
  } catch (const InternalError& e) {
    const std::string_view why = e.what(), mark = "check failed: ";
    const size_t at = why.find(mark);
    throw CompileError({file, 0, 0}, fmt::format("the text breaks a rule of its form: {}",
                                                 at == why.npos ? why : why.substr(at + mark.size())));
  }
}

std::string from_fused(const graph::Module& m, const passes::FusedStep& fused, const passes::StepOptions& o) {
  if (o.after == "fuse") return passes::print(m, fused);
  step::Step s = passes::run_lower(m, fused);
  passes::run_step_passes(s, o);
  return step::print(s);
}

}  // namespace

std::string run_passes(const std::string& text, uint32_t file, const PassRange& range,
                       const CompileOptions& options) {
  const passes::PassInfo* from = passes::find_pass(range.from);
  const passes::PassInfo* after = passes::find_pass(range.after);
  if (from && after && after < from)
    throw CompileError({}, fmt::format("pass {} stands before {}: there is nothing from the one to the other",
                                       after->name, from->name));
  passes::StepOptions o = step_options(options);
  o.from = range.from;
  o.after = range.after;
  const Stage first = from ? from->stage : Stage::Graph;
  if (first == Stage::Program) {
    std::vector<step::Step> entries = step::parse_steps(text, file);
    for (const step::Step& s : entries) verify_text(file, [&] { step::verify(s); });
    passes::run_program_passes(entries, o);
    if (after && after->stage == Stage::Program) return printed(entries);
    step::Step& s = chosen(entries, range.function);
    passes::run_step_passes(s, o);
    return step::print(s);
  }
  if (first == Stage::Step) {
    step::Step s = step::parse_step(text, file);
    verify_text(file, [&] { step::verify(s); });
    passes::run_step_passes(s, o);
    return step::print(s);
  }
  if (first == Stage::Lower) {
    const passes::ParsedStep p = passes::parse_fused(text, file);
    verify_text(file, [&] {
      graph::verify(p.module);
      passes::verify(p.module, p.fused);
    });
    check_dims(p.module.at(p.fused.entry));
    return from_fused(p.module, p.fused, o);
  }
  graph::Module m = graph::parse(text, file);
  verify_text(file, [&] { graph::verify(m); });
  if (first == Stage::Graph) m = passes::run_graph_passes(m, {range.from, range.after});
  if (after && after->stage == Stage::Graph) return graph::print(m);
  const graph::Function& f = chosen(m, range.function);
  return from_fused(m, passes::run_fuse(m, f, o), o);
}

}  // namespace gradc
