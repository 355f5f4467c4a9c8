// Commands on graph IR files: pass by pass, lowered, compiled, measured.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>

#include "driver/element_type.h"
#include "driver/header.h"
#include "driver/run_function.h"
#include "driver/run_passes.h"

#include "ir/graph/graph.h"
#include "ir/interp/interpret.h"
#include "passes/pipeline.h"
#include "runtime/error.h"
#include "runtime/file.h"
#include "runtime/safetensors.h"
#include "runtime/team.h"
#include "support/check.h"
#include "support/diagnostic.h"
#include "tools/commands.h"
#include "tools/model_options.h"

namespace gradc {

constexpr int64_t kLargestText = int64_t(256) << 20;

std::string read_text(const std::string& path) { return runtime::read_file(path, kLargestText); }

void write_text(const std::string& path, const std::string& text) {
  if (path.empty() || path == "-")
    std::fwrite(text.data(), 1, text.size(), stdout);
  else
    runtime::write_file(path, text);
}

namespace {

template <class... A>
runtime::Error usage(fmt::format_string<A...> text, A&&... args) {
  return {runtime::Failure::Usage, fmt::format(text, std::forward<A>(args)...)};
}

// What is said of a model and asked of a file that holds none.
void refuse_model_options(const Arguments& a) {
  const Arguments plain;
  for (const auto& [given, name] : {std::pair{!a.defines.empty(), "-D"},
                                    {!a.sets.empty(), "--set"},
                                    {!a.data.empty(), "--data"},
                                    {!a.header.empty(), "--header"},
                                    {a.kernels, "--kernels"},
                                    {a.plans, "--plans"},
                                    {a.float_type != plain.float_type, "--float"}})
    if (given) throw usage("{} is for model files, and {} is IR", name, a.file);
}

CompileOptions ir_options(const Arguments& a) {
  CompileOptions o;
  o.codegen.target.cpu = a.cpu;
  o.codegen.target.lanes = a.lanes;
  o.without = a.without;
  o.segments = a.segments;
  return o;
}

void run_compile(const Arguments& a, const graph::Module& m) {
  const std::string after = "graph-after=";
  if (a.emit.starts_with(after)) {
    const std::string pass = a.emit.substr(after.size());
    const passes::PassInfo* known = passes::find_pass(pass);
    if (!known || known->stage != passes::Stage::Graph)
      throw usage("--emit={}: there is no graph pass '{}'", a.emit, pass);
    return write_text(a.output, graph::print(passes::run_graph_passes(m, {"", pass})));
  }
  const graph::Module primitive = passes::run_graph_passes(m);
  const CompileOptions o = ir_options(a);
  passes::StepReport report;
  const step::Step s = lower_function(primitive, primitive.at(a.function), o, {}, &report);
  if (a.object) check_prefix(a.prefix);
  if (a.object) return write_text(a.output, codegen::emit_object({&s, 1}, a.prefix, o.codegen));
  if (a.emit == "graph") return write_text(a.output, graph::print(primitive.at(a.function)));
  if (a.emit == "step" || a.emit == "kernels") return write_text(a.output, step::print(s));
  if (a.emit == "schedule") return write_text(a.output, passes::describe(report));
  if (a.emit == "llvm") return write_text(a.output, codegen::emit_llvm({&s, 1}, o.codegen));
  if (a.emit != "asm")
    throw usage("--emit={}: graph, graph-after=PASS, schedule, kernels, step, llvm or asm", a.emit);
  write_text(a.output, codegen::emit_assembly({&s, 1}, o.codegen));
}

double now_ms() {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// Zeros would flatter a processor's adders; small numbers of both signs do not.
std::vector<Tensor> synthetic_arguments(const graph::Function& f,
                                        const std::map<std::string, int64_t>& dims) {
  std::vector<Tensor> args;
  uint64_t s = 1;
  for (const Type& t : f.param_types()) {
    Tensor x(t.dtype, concrete(t.shape, dims));
    for (int64_t i = 0; i < x.count(); ++i) {
      s = s * 6364136223846793005ULL + 1442695040888963407ULL;
      const double u = static_cast<double>(s >> 11) * 0x1p-53;
      x.set(i, is_float(t.dtype) ? 0.1 * (u - 0.5) : static_cast<double>(static_cast<int64_t>(10 * u)));
    }
    args.push_back(std::move(x));
  }
  return args;
}

void run_bench(const Arguments& a, const graph::Module& m) {
  const double start = now_ms();
  const graph::Module primitive = passes::run_graph_passes(m);
  const graph::Function& f = primitive.at(a.function);
  const CompiledFunction compiled(primitive, f, ir_options(a));
  const double compile_ms = now_ms() - start;
  std::map<std::string, int64_t> dims;
  for (const auto& [name, info] : f.dims) dims[name] = a.batch ? a.batch : info.max;
  const int threads = a.threads > 0 ? a.threads : runtime::available_cores();
  const std::vector<double> ms = compiled.measure(synthetic_arguments(f, dims), threads, a.rounds);
  // A kernel of 16 x 16 takes a tenth of a microsecond: digits down to a nanosecond.
  fmt::print(
      "{{\"step_ms\": {:.6f}, \"p10_ms\": {:.6f}, \"p90_ms\": {:.6f}, \"compile_cold_ms\": {:.1f}, "
      "\"threads\": {}, "
      "\"kernels\": {}, \"arena_bytes\": {}, \"io_bytes\": {}}}\n",
      ms[ms.size() / 2], ms[ms.size() / 10], ms[ms.size() * 9 / 10], compile_ms, threads,
      compiled.report().kernels.size(), codegen::scratch_bytes(compiled.step(), threads),
      compiled.step().io_bytes);
}

runtime::Array to_array(const Tensor& t) {
  runtime::Array a = runtime::make_array(runtime_type(t.dtype()), t.shape());
  if (t.bytes() > 0) std::memcpy(a.bytes.data(), t.data(), static_cast<size_t>(t.bytes()));
  return a;
}

// Arguments by the parameters' names; results by their names, the donated parameter's, or their number.
void run_function(const Arguments& a, const graph::Module& m) {
  runtime::check_target(a.output);
  const runtime::SafeTensors inputs = runtime::read_safetensors(a.input);
  const graph::Function& written = m.at(a.function);
  std::vector<Tensor> args;
  for (graph::NodeId p : written.params) {
    const std::string& name = written.names.at(p);
    auto it = inputs.tensors.find(name);
    if (it == inputs.tensors.end())
      throw CompileError({},
                         fmt::format("{} has no tensor '{}', a parameter of @{}", a.input, name, a.function));
    Tensor t(compiler_type(it->second.dtype), it->second.shape);
    if (t.dtype() != written.type(p).dtype)
      throw CompileError({}, fmt::format("'{}' is {} in {}, @{} takes {}", name, name_of(t.dtype()), a.input,
                                         a.function, written.type(p).str()));
    if (t.bytes() > 0) std::memcpy(t.data(), it->second.bytes.data(), static_cast<size_t>(t.bytes()));
    args.push_back(std::move(t));
  }
  graph::Module primitive = passes::run_graph_passes(m);
  graph::Function& f = primitive.functions.at(a.function);
  std::vector<const Tensor*> pointers;
  for (const Tensor& t : args) pointers.push_back(&t);
  for (const auto& [name, value] : bind_dims(f.param_types(), pointers))
    if (f.dims[name].max == 0) f.dims[name] = {value, value};  // no bound is written: plan for what is given
  const int threads = a.threads > 0 ? a.threads : runtime::available_cores();
  const std::vector<Tensor> results = a.interpret
                                          ? interpret(primitive, f, args)
                                          : CompiledFunction(primitive, f, ir_options(a)).run(args, threads);
  runtime::SafeTensors out;
  for (size_t i = 0; i < results.size(); ++i) {
    const graph::Result& r = written.results[i];
    const std::string name = !r.name.empty()          ? r.name
                             : r.into != graph::kNone ? written.names.at(r.into)
                                                      : std::to_string(i);
    out.tensors.emplace(name, to_array(results[i]));
  }
  runtime::write_safetensors(a.output, out);
}

}  // namespace

void run_on_ir(const Arguments& a, const std::string& command, Sources& sources) {
  refuse_model_options(a);
  const uint32_t file = sources.add(a.file, read_text(a.file));
  if (command == "opt") {
    const PassRange range{a.from, a.after.empty() && a.from.empty() ? "numerics" : a.after, a.function};
    return write_text(a.output, run_passes(std::string(sources.text(file)), file, range, ir_options(a)));
  }
  graph::Module m = graph::parse(sources.text(file), file);
  if (a.no_fma)
    for (auto& [name, f] : m.functions) f.notes["fma"] = "off";
  const bool fused = std::any_of(m.functions.begin(), m.functions.end(), [](const auto& f) {
    auto it = f.second.notes.find("fma");
    return it == f.second.notes.end() || it->second != "off";
  });
  if (!a.interpret && fused && emulates_fma(ir_options(a).codegen.target))
    for (auto& [name, f] : m.functions) f.notes["fma"] = "off";
  if (command == "compile") run_compile(a, m);
  if (command == "bench") run_bench(a, m);
  if (command == "run") run_function(a, m);
}

}  // namespace gradc
