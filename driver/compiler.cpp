#include "driver/compiler.h"

#include <algorithm>
#include <chrono>

#include "codegen/codegen.h"
#include "codegen/program_cache.h"
#include "driver/element_type.h"
#include "driver/entry_archive.h"
#include "support/check.h"
#include "support/parallel.h"

namespace gradc {
namespace {

class Stopwatch {
 public:
  double lap_ms() {
    const auto now = std::chrono::steady_clock::now();
    const double ms = std::chrono::duration<double, std::milli>(now - last_).count();
    last_ = now;
    return ms;
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

// A constant or a multiple of one of the dimensions.
std::optional<runtime::Extent> simple_extent(const Index& e, const std::vector<std::string>& dims) {
  if (e.is_constant()) return runtime::Extent{e.constant_part(), -1};
  if (e.constant_part() != 0 || e.terms().size() != 1 || e.terms()[0].factors.size() != 1)
    return std::nullopt;
  const Atom& a = e.terms()[0].factors[0];
  for (size_t d = 0; d < dims.size(); ++d)
    if (a.kind == Atom::Kind::Dim && dims[d] == a.name)
      return runtime::Extent{e.terms()[0].coefficient, static_cast<int32_t>(d)};
  return std::nullopt;
}

runtime::Extent extent_of(const Index& e, const std::vector<std::string>& dims) {
  const auto extent = simple_extent(e, dims);
  GRADC_CHECK(extent, "an io extent is a constant or a multiple of one of the step's dimensions, not {}",
              e.str());
  return *extent;
}

runtime::IndexCheck check_of(const frontend::IndexCheck& c, const std::vector<std::string>& dims,
                             const Sources& sources) {
  const LineColumn p = sources.position(c.loc.file, c.loc.begin);
  runtime::IndexCheck out;
  out.place = fmt::format("{}:{}:{}", sources.name(c.loc.file), p.line, p.column);
  out.what = c.what;
  out.limit = simple_extent(c.limit, dims).value_or(runtime::Extent{-1, -1});
  for (const Dim& d : c.shape) {
    const auto extent = simple_extent(d, dims);
    if (!extent) return out.shape.clear(), out;
    out.shape.push_back(*extent);
  }
  return out;
}

runtime::Tensor tensor_of(const std::string& name, const Type& type, const Layout& layout, int64_t offset,
                          const std::vector<std::string>& dims) {
  runtime::Tensor t;
  t.name = name;
  t.dtype = runtime_type(type.dtype);
  t.layout = runtime_layout(layout);
  t.offset = offset;
  for (const Dim& d : type.shape) t.shape.push_back(extent_of(d, dims));
  return t;
}
runtime::Tensor tensor_of(const step::Buffer& b, const std::vector<std::string>& dims) {
  return tensor_of(b.name, {b.dtype, b.shape}, b.layout, b.offset, dims);
}

runtime::Role role_of(frontend::StateSpec::Role r) {
  using From = frontend::StateSpec::Role;
  return r == From::Param   ? runtime::Role::Param
         : r == From::State ? runtime::Role::State
         : r == From::Carry ? runtime::Role::Carry
                            : runtime::Role::OptimizerSlot;
}

// FNV-1a: files carry it, so it is the same in every build.
uint64_t hash_onto(uint64_t hash, std::string_view text) {
  for (char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 1099511628211ULL;
  return (hash ^ 0xFF) * 1099511628211ULL;
}

// All of the program but its entries' functions.
runtime::Program program_of(const frontend::Unit& unit, const passes::StateTable& state,
                            std::map<std::string, runtime::Entry> entries, const Sources& sources) {
  runtime::Program p;
  p.state_bytes = state.bytes;
  for (size_t i = 0; i < state.rows.size(); ++i) {
    const passes::StateRow& row = state.rows[i];
    const bool copy = row.derived_from >= 0;
    const frontend::StateSpec& s = unit.state[copy ? static_cast<size_t>(row.derived_from) : i];
    p.state.push_back(
        {tensor_of(s.path + (copy ? "/copy" : ""), s.type, row.place.layout, row.place.offset, {}),
         role_of(s.role), s.begins_as ? static_cast<int>(*s.begins_as) : -1});
    p.state.back().tensor.derived_from = row.derived_from;
  }
  if (unit.train) {
    p.metrics = unit.train->metrics, p.of_all_rows = unit.train->of_all_rows;
    for (const frontend::TableMetric& t : unit.train->tables)
      p.tables.push_back({t.name, t.rows, t.columns, t.fields});
    p.hyper = unit.train->hyper, p.accumulate = unit.train->accumulate;
  }
  p.fit_phases = unit.fit_phases;
  p.entries = std::move(entries);
  for (auto& [name, e] : p.entries)
    if (auto it = unit.checks.find(name); it != unit.checks.end())
      for (const frontend::IndexCheck& check : it->second)
        e.checks.push_back(check_of(check, e.dims, sources));
  p.model_hash = hash_onto(14695981039346656037ULL, unit.model_name);
  for (const frontend::StateSpec& s : unit.state)
    if (s.role == frontend::StateSpec::Role::Param || s.role == frontend::StateSpec::Role::State)
      p.model_hash = hash_onto(p.model_hash, s.path + " " + s.type.str());
  return p;
}

void take_code(Compiled& c, std::unique_ptr<codegen::Jit> code) {
  c.code = std::move(code);
  for (auto& [name, e] : c.program.entries) e.function = c.code->entry(name);
}

// All that the steps and their machine code depend on, but this build of the compiler. Nothing for options
// that are functions.
std::optional<std::string> key_of(const frontend::Unit& unit, const ModelOptions& o,
                                  const codegen::TargetInfo& t) {
  if (o.layouts || o.compile.layouts) return std::nullopt;
  const Machine m = machine_of(o.compile.codegen.target);
  std::string key = fmt::format(
      "{} {} {} {} {} {}\nwithout {}\nonly {} but {}\nextend {}\n{} {}\n{} {} {} {} {}\n", m.near_bytes,
      m.cores, t.triple, t.cpu, t.features, t.lanes, fmt::join(o.compile.without, " "),
      fmt::join(o.only, " "), fmt::join(o.leave_out, " "), o.extend, o.pipeline.from, o.pipeline.after,
      o.compile.parallel_threshold, o.compile.near_bytes, o.compile.force_rows, o.compile.force_columns,
      o.compile.memory > 0 ? fmt::format("{} {}", o.compile.memory, o.compile.memory_threads) : "");
  for (const frontend::StateSpec& s : unit.state)
    key += fmt::format("{} {} {}\n", static_cast<int>(s.role), s.path, s.type.str());
  return key + graph::print(unit.module);
}

// Whether the cache had the program of the unit.
bool take_cached(Compiled& c, const codegen::ProgramCache& cache, const Sources& sources) {
  std::vector<std::string> parts = cache.load();
  if (parts.size() < 4) return false;
  auto entries = unpack_entries(parts[0]);
  auto extended = unpack_extended(parts[1]);
  const auto layouts = unpack_layouts(parts[2]);
  if (!entries || !extended || !layouts) return false;
  if (layouts->size() != c.unit.state.size() + extended->kept.size()) return false;
  parts.erase(parts.begin(), parts.begin() + 3);
  c.extended = std::move(*extended);
  note_extension(c.unit, c.extended);
  c.state = make_state_table(c.unit, {});
  for (size_t i = 0; i < layouts->size(); ++i)
    c.state.rows[i].place.layout = compiler_layout((*layouts)[i], c.unit.state[i].type.rank());
  c.program = program_of(c.unit, c.state, std::move(*entries), sources);
  take_code(c, codegen::link(parts));
  return c.from_cache = true;
}

}  // namespace

runtime::Entry make_entry(const step::Step& s) {
  runtime::Entry e;
  e.name = s.name;
  std::vector<int64_t> dims;
  for (const step::Dim& d : s.dims) {
    e.dims.push_back(d.name);
    e.max_dims.push_back(d.max);
    dims.push_back(d.max);
  }
  const std::vector<int64_t> table = codegen::make_table(s, dims);
  e.offsets.assign(table.begin() + static_cast<long>(s.dims.size()), table.end());
  for (int b : s.inputs) e.inputs.push_back(tensor_of(s.buffers[b], e.dims));
  for (int b : s.outputs) e.outputs.push_back(tensor_of(s.buffers[b], e.dims));
  e.io_bytes = s.io_bytes;
  e.scratch_bytes = s.scratch_bytes;
  e.thread_scratch_bytes = step::thread_area_bytes(s);
  return e;
}

namespace {

bool is_wanted(const std::string& entry, const ModelOptions& o) {
  const auto among = [&](const std::vector<std::string>& list) {
    return std::find(list.begin(), list.end(), entry) != list.end();
  };
  return (o.only.empty() || among(o.only)) && !among(o.leave_out);
}

// The functions after the graph passes, without entries that nobody asked for and what only they need.
graph::Module primitives(const graph::Module& m, const ModelOptions& o) {
  passes::PipelineOptions pipeline = o.pipeline;
  if (o.extend) pipeline.without.push_back("chunk");  // one place more is a row more, not a chunk
  if (o.only.empty() && o.leave_out.empty()) return passes::run_graph_passes(m, pipeline);
  graph::Module part;
  for (const auto& [name, f] : m.functions)
    if (!passes::is_entry(name) || is_wanted(name, o)) part.functions.emplace(name, f);
  part.drop_unnamed();
  return passes::run_graph_passes(part, pipeline);
}

// Behind the front end, without machine code.
void lower(Compiled& c, const ModelOptions& o, const Sources& sources) {
  Stopwatch watch;
  c.primitive = primitives(c.unit.module, o);
  if (o.extend) {
    c.extended = extend_predict(c.primitive, c.unit, sources);
    note_extension(c.unit, c.extended);
  }
  c.timing.passes_ms = watch.lap_ms();
  c.state = make_state_table(c.unit, o.layouts);
  std::vector<std::pair<const graph::Function*, size_t>> wanted;
  for (const auto& [name, f] : c.primitive.functions)
    if (passes::is_entry(name) && is_wanted(name, o)) wanted.emplace_back(&f, wanted.size());
  c.reports.resize(wanted.size()), c.steps.resize(wanted.size());
  largest_first(wanted, [](const auto& w) { return w.first->nodes.size(); });
  in_parallel(wanted.size(), [&](size_t i) {
    const auto& [f, place] = wanted[i];
    c.steps[place] =
        lower_naive(c.primitive, *f, o.compile, {c.state, state_rows(c.unit, *f)}, &c.reports[place]);
  });
  if (!o.layouts) {
    passes::run_program_passes(c.steps, step_options(o.compile), &c.reports);
    adopt(c.state, c.steps);
  }
  in_parallel(wanted.size(), [&](size_t i) {
    const size_t place = wanted[i].second;
    c.steps[place] = finish_step(std::move(c.steps[place]), o.compile, &c.reports[place]);
  });
  std::map<std::string, runtime::Entry> entries;
  for (const step::Step& s : c.steps) entries[s.name] = make_entry(s);
  c.timing.lower_ms = watch.lap_ms();
  c.program = program_of(c.unit, c.state, std::move(entries), sources);
}

Compiled with_unit(Sources& sources, uint32_t file, const ModelOptions& o, Diagnostics& diagnostics) {
  Stopwatch watch;
  Compiled c;
  c.unit = frontend::compile_model(sources, file, o.frontend, diagnostics);
  diagnostics.check();
  c.timing.frontend_ms = watch.lap_ms();
  return c;
}

}  // namespace

Compiled lower_unit(frontend::Unit unit, const ModelOptions& o, const Sources& sources) {
  Compiled c;
  c.unit = std::move(unit);
  lower(c, o, sources);
  return c;
}

Compiled lower_model(Sources& sources, uint32_t file, const ModelOptions& o, Diagnostics& diagnostics) {
  Compiled c = with_unit(sources, file, o, diagnostics);
  lower(c, o, sources);
  return c;
}

void generate_code(Compiled& c, const ModelOptions& o) {
  Stopwatch watch;
  take_code(c, codegen::jit(c.steps, o.compile.codegen));
  c.timing.codegen_ms = watch.lap_ms();
}

Compiled compile_model(Sources& sources, uint32_t file, const ModelOptions& o, Diagnostics& diagnostics) {
  Compiled c = with_unit(sources, file, o, diagnostics);
  const codegen::TargetInfo target = codegen::resolve(o.compile.codegen.target);
  codegen::check_runs_here(target);
  const std::optional<std::string> key = o.cache_dir.empty() ? std::nullopt : key_of(c.unit, o, target);
  const codegen::ProgramCache cache(key ? o.cache_dir : "", key.value_or(""));
  c.cache_problem = cache.problem();
  Stopwatch watch;
  if (!take_cached(c, cache, sources)) {
    lower(c, o, sources);
    watch.lap_ms();
    std::vector<std::string> parts = codegen::emit_objects(c.steps, o.compile.codegen);
    take_code(c, codegen::link(parts));
    parts.insert(parts.begin(), {pack(c.program.entries), pack(c.extended), pack(c.program.state)});
    cache.store(parts);
  }
  c.timing.codegen_ms = watch.lap_ms();
  return c;
}

}  // namespace gradc
