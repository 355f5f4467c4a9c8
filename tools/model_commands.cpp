// Commands on model files.
#include <unistd.h>

#include <cstdio>
#include <iostream>

#include "driver/compiler.h"
#include "driver/header.h"
#include "driver/load_data.h"
#include "ir/graph/graph.h"
#include "runtime/error.h"
#include "runtime/file.h"
#include "runtime/memory.h"
#include "runtime/progress.h"
#include "runtime/runner.h"
#include "support/check.h"
#include "tools/commands.h"
#include "tools/metric_tables.h"
#include "tools/model_options.h"
#include "tools/weights.h"

namespace gradc {

using runtime::size_text;
namespace {

// Messages to standard error; the code to leave with.
int show(const Diagnostics& d, const Sources& sources) {
  std::cerr << render(d, sources, isatty(2) != 0 && std::getenv("NO_COLOR") == nullptr);
  for (const Diagnostic& x : d.all()) {
    const std::string_view from = x.loc ? sources.name(x.loc.file) : "";
    if (x.severity == Severity::Error && (from.starts_with("-D ") || from.starts_with("--set ")))
      return kUsage;
  }
  return d.has_errors() ? kError : kOk;
}

// Numbers mean what they meant in training, or the metrics would be of nothing.
void check_vocabulary(const LoadedData& data, const Weights& weights) {
  const FittedFields fitted = fitted_of(weights);
  for (const auto& [field, names] : data.vocabulary) {
    const auto it = fitted.vocabulary.find(field);
    if (it == fitted.vocabulary.end() || it->second == names) continue;
    throw runtime::Error(
        runtime::Failure::Mismatch,
        fmt::format(
            "{}: was trained with {} values of '{}', the training split now has {}, not the same ones",
            weights.path, it->second.size(), field, names.size()));
  }
  for (const auto& [field, text] : data.tokenizers) {
    const auto it = fitted.tokenizers.find(field);
    if (it == fitted.tokenizers.end() || it->second == text) continue;
    throw runtime::Error(
        runtime::Failure::Mismatch,
        fmt::format("{}: was trained with another tokenizer of '{}' than the data now names; the one it was "
                    "trained with is its metadata gradc.tokenizer.{}",
                    weights.path, field, field));
  }
  for (const auto& [field, fills] : data.fills) {
    const auto it = fitted.fills.find(field);
    if (it == fitted.fills.end() || it->second == fills) continue;
    throw runtime::Error(
        runtime::Failure::Mismatch,
        fmt::format("{}: the training split now fills missing cells of '{}' by other numbers "
                    "than it was trained with",
                    weights.path, field));
  }
}

int evaluate(const Arguments& a, const Compiled& c, const Sources& sources) {
  const frontend::TrainSpec& t = trained(c);
  const LoadedData data = load_data(c.unit, places_of(a), sources);
  const runtime::Split& split = a.split == "train" ? data.splits.train
                                : a.split == "val" ? data.splits.val
                                                   : data.splits.test;
  if (!split) throw CompileError(t.loc, fmt::format("the data has no split '{}'", a.split));
  runtime::Runner runner(c.program, threads_of(a));
  runner.init(t.seed);
  const Weights weights = weights_of(a);
  check_vocabulary(data, weights);
  runner.load(weights.file, weights.path);
  for (const std::string& remark : data.remarks) fmt::print(stderr, "{}\n", printable(remark));
  const std::vector<double> values = runner.evaluate(split, t.batch);
  fmt::print("{}  {}\n{}", a.split, runtime::metrics_text(c.program, values),
             tables_text(c.program, data, values));
  return weights.nan ? kDiverged : kOk;
}

int summary(const Arguments& a, const Compiled& c) {
  fmt::print("{}\n", c.unit.model_name);
  for (const frontend::Input& in : c.unit.inputs)
    fmt::print("  {:28} {:14} {:22}\n", in.name, in.model_input ? "input" : "field", in.type.str());
  for (const frontend::LayerNote& l : c.unit.layers)
    fmt::print("  {:28} {:14} {:22} {:>12}\n", printable(l.path), l.type, l.output, l.parameters);
  int64_t state = 0, slots = 0;
  for (const frontend::StateSpec& s : c.unit.state) {
    const int64_t bytes = element_count(s.type.shape).constant_part() * size_of(s.type.dtype);
    (s.role == frontend::StateSpec::Role::OptimizerSlot ? slots : state) += bytes;
  }
  fmt::print("parameters  {}\nstate       {} (and {} of the optimiser)\n", parameters(c.program),
             size_text(state), size_text(slots));
  const double forward = work_of(c, "predict"), step = work_of(c, "train_step");
  if (step > 0)
    fmt::print(
        "operations  {:.0f} a batch forward, {:.0f} a step (forward, backward, update), at 2 a "
        "multiply-add\n",
        forward, step);
  else
    fmt::print("operations  {:.0f} a batch forward, at 2 a multiply-add\n", forward);
  const int threads = threads_of(a) > 0 ? threads_of(a) : runtime::available_cores();
  const runtime::MemoryNeed need = runtime::memory_need(c.program, threads);
  fmt::print("arena       {} for {} threads, state region {}\n", size_text(need.arena()), threads,
             size_text(need.state));
  return kOk;
}

const step::Step& step_named(const Compiled& c, const std::string& name) {
  for (const step::Step& s : c.steps)
    if (s.name == name) return s;
  std::vector<std::string> known;
  for (const auto& [entry, f] : c.unit.module.functions)
    if (passes::is_entry(entry)) known.push_back(entry);
  throw CompileError(
      {}, fmt::format("the program has no function '{}'; there are {}", name, fmt::join(known, ", ")));
}

int compile(const Arguments& a, ModelOptions o, uint32_t file, Sources& sources, Diagnostics& d) {
  const std::string after = "graph-after=";
  if (a.emit.rfind(after, 0) == 0) {
    const frontend::Unit unit = frontend::compile_model(sources, file, o.frontend, d);
    d.check();
    const std::string pass = a.emit.substr(after.size());
    const passes::PassInfo* known = passes::find_pass(pass);
    if (!known || known->stage != passes::Stage::Graph)
      throw runtime::Error(runtime::Failure::Usage,
                           fmt::format("--emit={}: there is no graph pass '{}'", a.emit, pass));
    return write_text(a.output, graph::print(passes::run_graph_passes(unit.module, {"", pass}))), kOk;
  }
  o.extend = a.function == "extend";
  if (!a.object && a.emit != "graph") o.only = {a.function, o.extend ? "predict" : a.function};
  const Compiled c = lower_model(sources, file, o, d);
  if (!c.extended.refusal.empty())
    throw CompileError({}, fmt::format("@predict has no @extend: {}", c.extended.refusal));
  if (a.object) {
    const std::string prefix = a.prefix.empty() ? c.unit.model_name + "_" : a.prefix;
    check_prefix(prefix);
    if (!a.header.empty()) write_text(a.header, c_header(c, prefix, o.compile.codegen));
    return write_text(a.output, codegen::emit_object(c.steps, prefix, o.compile.codegen)), kOk;
  }
  if (a.emit == "graph")
    return write_text(a.output,
                      o.extend ? graph::print(c.primitive.at("extend")) : graph::print(c.unit.module)),
           kOk;
  const step::Step& s = step_named(c, a.function);
  if (a.emit == "step" || a.emit == "kernels") return write_text(a.output, step::print(s)), kOk;
  if (a.emit == "llvm") return write_text(a.output, codegen::emit_llvm({&s, 1}, o.compile.codegen)), kOk;
  if (a.emit == "asm") return write_text(a.output, codegen::emit_assembly({&s, 1}, o.compile.codegen)), kOk;
  if (a.emit != "schedule")
    throw runtime::Error(
        runtime::Failure::Usage,
        fmt::format("--emit={}: graph, graph-after=PASS, schedule, kernels, step, llvm or asm", a.emit));
  std::string text;
  for (size_t i = 0; i < c.steps.size(); ++i)
    if (c.steps[i].name == a.function) text += passes::describe(c.reports[i]);
  return write_text(a.output, text), kOk;
}

}  // namespace

int64_t parameters(const runtime::Program& p) {
  int64_t n = 0;
  for (const runtime::StateTensor& s : p.state) {
    if (s.role != runtime::Role::Param || s.tensor.derived_from >= 0) continue;
    int64_t count = 1;
    for (const runtime::Extent& e : s.tensor.shape) count *= e.scale;
    n += count;
  }
  return n;
}

const frontend::TrainSpec& trained(const Compiled& c) {
  if (!c.unit.train) throw CompileError({}, "the file has no train block");
  if (!c.unit.data) throw CompileError({}, "the file has no data block");
  return *c.unit.train;
}

int run_on_model(const Arguments& a, const std::string& command, Sources& sources) {
  ModelOptions o = options_of(a);
  const uint32_t file = sources.add(a.file, read_text(a.file));
  Diagnostics d;
  try {
    if (command == "compile") return compile(a, o, file, sources, d);
    if (command == "render") {
      const frontend::Unit unit = frontend::compile_model(sources, file, o.frontend, d);
      d.check();
      return write_text(a.output, unit.rendered), kOk;
    }
    if (command == "check") {
      const Compiled c = lower_model(sources, file, o, d);
      show(d, sources);
      fmt::print("{}: ok: model {}, {} parameters, {} entries\n", a.file, c.unit.model_name,
                 parameters(c.program), c.steps.size());
      return kOk;
    }
    if (command == "summary") {  // of what was lowered: a cached program tells less
      const Compiled c = lower_model(sources, file, o, d);
      show(d, sources);
      return summary(a, c);
    }
    if (command == "bench") {
      o.only = {"init", "train_step", "gather_step"};
      return bench_model(a, o, file, sources, d);
    }
    if (command == "train") o.leave_out = {"predict"};
    if (command == "eval") o.only = {"init", "eval_step", "finish"};
    if (command == "predict" || command == "generate") o.only = {"init", "predict"};
    if (command == "generate") o.only.push_back("extend"), o.extend = true;
    const Compiled c = compile_model(sources, file, o, d);
    show(d, sources);
    if (!c.cache_problem.empty()) std::cerr << "warning: " << printable(c.cache_problem) << "\n";
    if (command == "train") return train(a, c, sources);
    if (command == "eval") return evaluate(a, c, sources);
    if (command == "predict") return predict(a, c, sources);
    if (command == "generate") return generate(a, c);
    GRADC_CHECK(false, "command {}", command);
  } catch (const CompileError& e) {
    if (!d.has_errors()) throw;
    return show(d, sources);
  }
}

}  // namespace gradc
