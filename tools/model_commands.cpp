// Commands on model files.
#include <unistd.h>

#include <cstdio>
#include <iostream>

#include "driver/compiler.h"
#include "driver/element_type.h"
#include "driver/header.h"
#include "driver/load_data.h"
#include "ir/graph/graph.h"
#include "runtime/csv.h"
#include "runtime/error.h"
#include "runtime/file.h"
#include "runtime/json.h"
#include "runtime/memory.h"
#include "runtime/progress.h"
#include "runtime/runner.h"
#include "support/check.h"
#include "tools/commands.h"
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
  for (const auto& [field, names] : data.vocabulary) {
    const auto it = weights.file.metadata.find("gradc.vocabulary." + field);
    if (it == weights.file.metadata.end()) continue;
    std::vector<std::string> trained;
    for (const runtime::Json& j : runtime::parse_json(it->second).items) trained.push_back(j.text);
    if (trained == names) continue;
    throw runtime::Error(
        runtime::Failure::Mismatch,
        fmt::format(
            "{}: was trained with {} values of '{}', the training split now has {}, not the same ones",
            weights.path, trained.size(), field, names.size()));
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
  fmt::print("{}  {}\n", a.split, runtime::metrics_text(c.program, runner.evaluate(split, t.batch)));
  return weights.nan ? kDiverged : kOk;
}

// The columns that training used for an input, from the weights' metadata, else from the data block.
std::vector<std::string> input_columns(const Compiled& c, const runtime::SafeTensors& weights,
                                       const frontend::Input& in, const runtime::CsvTable& table) {
  if (auto it = weights.metadata.find("gradc.columns." + in.name); it != weights.metadata.end()) {
    std::vector<std::string> names;
    for (const runtime::Json& j : runtime::parse_json(it->second).items) names.push_back(j.text);
    return names;
  }
  if (c.unit.data)
    for (const frontend::SourceSpec& s : c.unit.data->sources)
      for (const frontend::FieldSpec& f : s.fields)
        if (f.name == in.name && s.kind == "csv") return field_columns(f, table.columns());
  throw CompileError(in.loc, fmt::format("nothing says which columns the input '{}' takes", in.name));
}

std::string number_text(const runtime::Array& v, int64_t i) {
  // From 10^9 on the shortest text would show digits before the point that the f32 does not have.
  if (v.dtype == runtime::DType::F32 && std::abs(v.at(i)) >= 1e9) return fmt::format("{:.9g}", v.at(i));
  if (v.dtype == runtime::DType::F32) return fmt::format("{}", static_cast<float>(v.at(i)));
  if (v.dtype == runtime::DType::F64) return fmt::format("{}", v.at(i));
  return fmt::format("{}", v.whole_at(i));
}

int predict(const Arguments& a, const Compiled& c, const Sources&) {
  runtime::Runner runner(c.program, threads_of(a));
  const Weights weights = weights_of(a);
  runner.init(0);
  runner.load(weights.file, weights.path);
  const runtime::CsvTable table = runtime::read_csv(a.input);
  runtime::Dataset rows;
  rows.rows = table.rows();
  for (const frontend::Input& in : c.unit.inputs) {
    if (!in.model_input) continue;
    const auto t = runtime_type(in.type.dtype);
    const std::vector<std::string> names = input_columns(c, weights.file, in, table);
    runtime::Array x = in.type.rank() == 1 ? table.column(names[0], t) : table.columns(names, t);
    if (in.type.rank() == 2 && !in.type.shape[1].is_constant())
      throw CompileError(in.loc,
                         fmt::format("the input '{}' has {} numbers a row, any number of them; tables give "
                                     "a constant number: write {} in its place",
                                     in.name, in.type.shape[1].str(), names.size()));
    if (in.type.rank() == 2 && !(in.type.shape[1] == Dim(static_cast<int64_t>(names.size()))))
      throw CompileError(in.loc, fmt::format("the input '{}' has {} columns, the table gives {}", in.name,
                                             in.type.shape[1].str(), names.size()));
    rows.fields.emplace(in.name, std::move(x));
  }
  const int64_t batch = c.program.entry("predict")->max_dims.at(0);
  std::string out;
  for (int64_t from = 0; from == 0 || from < rows.rows; from += batch) {
    const int64_t n = std::min(batch, rows.rows - from);
    std::vector<int64_t> numbers;
    for (int64_t i = 0; i < n; ++i) numbers.push_back(from + i);
    runner.begin("predict", n);
    for (const auto& [name, x] : rows.fields) runner.set_rows(name, x, numbers);
    runner.call();
    std::vector<runtime::Array> results;
    for (const std::string& name : c.unit.outputs) results.push_back(runner.output(name));
    if (from == 0)
      for (size_t r = 0; r < results.size(); ++r) {
        const Type type = c.unit.module.at("predict").result_types()[r];
        const int64_t width =
            type.rank() == 1 ? 0 : element_count({type.shape.begin() + 1, type.shape.end()}).constant_part();
        for (int64_t i = 0; i < std::max<int64_t>(1, width); ++i)
          out += (out.empty() ? "" : ",") + c.unit.outputs[r] + (width > 0 ? "." + std::to_string(i) : "");
      }
    if (from == 0) out += "\n";
    for (int64_t i = 0; i < n; ++i) {
      std::string line;
      for (const runtime::Array& v : results) {
        const int64_t each = v.count() / n;
        for (int64_t k = 0; k < each; ++k) line += (line.empty() ? "" : ",") + number_text(v, i * each + k);
      }
      out += line + "\n";
    }
  }
  write_text(a.output, out);
  return kOk;
}

int summary(const Arguments& a, const Compiled& c, const Sources&) {
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
  for (const step::Step& s : c.steps) known.push_back(s.name);
  throw CompileError(
      {}, fmt::format("the program has no function '{}'; there are {}", name, fmt::join(known, ", ")));
}

int compile(const Arguments& a, const ModelOptions& o, uint32_t file, Sources& sources, Diagnostics& d) {
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
  const Compiled c = lower_model(sources, file, o, d);
  if (a.object) {
    const std::string prefix = a.prefix.empty() ? c.unit.model_name + "_" : a.prefix;
    check_prefix(prefix);
    if (!a.header.empty()) write_text(a.header, c_header(c, prefix, o.compile.codegen));
    return write_text(a.output, codegen::emit_object(c.steps, prefix, o.compile.codegen)), kOk;
  }
  if (a.emit == "graph") return write_text(a.output, graph::print(c.unit.module)), kOk;
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
    if (command == "bench") return bench_model(a, o, file, sources, d);
    if (command == "eval") o.only = {"init", "eval_step", "finish"};
    if (command == "predict") o.only = {"init", "predict"};
    const Compiled c = compile_model(sources, file, o, d);
    show(d, sources);
    if (const std::string problem = c.code->cache_problem(); !problem.empty())
      std::cerr << "warning: " << printable(problem) << "\n";
    if (command == "train") return train(a, c, sources);
    if (command == "eval") return evaluate(a, c, sources);
    if (command == "predict") return predict(a, c, sources);
    if (command == "summary") return summary(a, c, sources);
    GRADC_CHECK(false, "command {}", command);
  } catch (const CompileError& e) {
    if (!d.has_errors()) throw;
    return show(d, sources);
  }
}

}  // namespace gradc
