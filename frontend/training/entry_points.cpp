// The other functions: @init, @predict, @fit_N, @eval_step and @finish.
#include <algorithm>
#include <functional>

#include "frontend/training/model_compiler.h"
#include "support/check.h"
#include "support/parallel.h"

namespace gradc::frontend {

void ModelCompiler::build() {
  try {
    if (train_ != nullptr) build_training();
    check_carried_data();
    build_entries();
  } catch (const CompileError& error) {
    if (!error.reported) {
      Diagnostic& d = s_.diagnostics.error(error.diagnostic.loc, error.diagnostic.text);
      d.notes = error.diagnostic.notes, d.help = error.diagnostic.help;
    }
    GRADC_CHECK(s_.diagnostics.has_errors(), "a mistake that was not reported");
  }
}

// The entries beside the training step, on all cores. Where one of them has something to say, they are made
// again one after another, so that messages have an order, and each knows of those before.
void ModelCompiler::build_entries() {
  using Build = std::function<void(Part&)>;
  std::vector<Build> builds{[&](Part& p) { build_init(p); }, [&](Part& p) { build_predict(p); }};
  for (int n = 0; n < fits_; ++n) builds.push_back([&, n](Part& p) { build_fit(n, p); });
  if (train_ != nullptr) builds.push_back([&](Part& p) { build_evaluation(p); });
  std::vector<Part> parts(builds.size());
  std::vector<char> silent(builds.size(), 0);
  in_parallel(builds.size(), [&](size_t i) {
    parts[i].diagnostics = s_.diagnostics;
    try {
      builds[i](parts[i]);
      silent[i] = parts[i].diagnostics.all().size() == s_.diagnostics.all().size();
    } catch (const CompileError&) {  // found again below
    }
  });
  const bool all_silent = std::find(silent.begin(), silent.end(), 0) == silent.end();
  for (size_t i = 0; i < builds.size(); ++i) {
    if (!all_silent) {
      parts[i] = {};
      parts[i].diagnostics = s_.diagnostics;
      try {
        builds[i](parts[i]);
      } catch (const CompileError&) {
        s_.diagnostics = parts[i].diagnostics;
        throw;
      }
    }
    s_.diagnostics = parts[i].diagnostics;
    add(std::move(parts[i]));
  }
}

void ModelCompiler::add(Part part) {
  unit_.module.functions.merge(part.module.functions);
  unit_.checks.merge(part.checks);
  entries_.insert(part.entries.begin(), part.entries.end());
  unit_.outputs.insert(unit_.outputs.end(), part.outputs.begin(), part.outputs.end());
  unit_.state.insert(unit_.state.end(), part.state.begin(), part.state.end());
  note_labels(part.labels);
  if (std::find(part.entries.begin(), part.entries.end(), "init") == part.entries.end()) return;
  assemble_init(unit_, "init.values", part.init_checks, train_ != nullptr ? &parts_ : nullptr,
                check_output());
}

void ModelCompiler::keep(graph::Function f, Part& part) {
  part.entries.push_back(f.name);
  part.module.functions[f.name] = std::move(f);
}

// What holds for functions: bodies of loops and differentiated parts among them.
void ModelCompiler::note_functions() {
  for (auto& [name, f] : unit_.module.functions) {
    if (!s_.options.fma) f.notes["fma"] = "off";
    if (entries_.count(name) == 0) f.notes["private"] = "yes";
  }
}

// First values are made before there is any data.
void ModelCompiler::refuse_inputs(const Pass& p, const StateSpec& spec, graph::NodeId first) const {
  const graph::Builder& b = p.e.builder();
  std::vector<graph::NodeId> work{first};
  std::set<graph::NodeId> seen;
  while (!work.empty()) {
    const graph::NodeId n = work.back();
    work.pop_back();
    if (!seen.insert(n).second) continue;
    for (const auto& [name, input] : p.inputs)
      if (n == input)
        throw CompileError(spec.loc,
                           fmt::format("the first value of {} depends on the input {}", spec.path, name));
    work.insert(work.end(), b[n].operands.begin(), b[n].operands.end());
  }
}

// The model runs only to meet its parameters; of what it reads, the seed alone may reach their first values.
void ModelCompiler::build_init(Part& part) {
  Pass p(s_, "init.values", Mode::Init, part.module, part.diagnostics);
  if (!apply_model(p, false, 0)) throw CompileError(part.diagnostics);
  graph::Builder& b = p.e.builder();
  if (train_ == nullptr)
    for (const std::string& path : p.e.slot_order()) part.state.push_back(p.e.slots().at(path).spec);
  for (const StateSpec& spec : train_ == nullptr ? part.state : unit_.state) {
    if (spec.role == StateSpec::Role::OptimizerSlot) break;  // they are the last
    auto s = p.e.slots().find(spec.path);
    if (s == p.e.slots().end())
      throw CompileError(spec.loc, fmt::format("param {} is there only while training; declare it outside "
                                               "`if training`",
                                               spec.path));
    refuse_inputs(p, spec, s->second.initial->node);
    b.result(s->second.initial->node);
  }
  part.init_checks = finish_checked(p);
  graph::Function& f = part.module.functions["init.values"];
  f.params = {p.e.seed_node};
  f = rebuilt(f, part.module);
  part.entries.push_back("init");
  part.labels = p.labels;
}

// A copy with the nodes alone that results need.
graph::Function ModelCompiler::rebuilt(const graph::Function& f, const graph::Module& m) {
  const std::vector<char> live = needed_nodes(f);
  graph::Builder b(f.name, &m);
  std::map<std::string, int> read;
  for (graph::NodeId n : f.params)
    for (const Dim& d : f.type(n).shape) d.collect_dims(read);
  for (const auto& [name, info] : f.dims)
    if (read.count(name) != 0) b.dim(name, info);
  std::vector<graph::NodeId> map(f.nodes.size(), graph::kNone);
  for (graph::NodeId n : f.params) map[n] = b.param(f.names.at(n), f.type(n));
  for (graph::NodeId n = 0; n < f.nodes.size(); ++n)
    if (live[n] != 0 && map[n] == graph::kNone) map[n] = graph::copy_node(b, f, n, map);
  for (const graph::Result& r : f.results)
    b.result(map[r.node], r.name, r.into == graph::kNone ? r.into : map[r.into]);
  return b.finish();
}

void ModelCompiler::build_predict(Part& part) {
  Pass p(s_, "predict", Mode::Predict, part.module, part.diagnostics);
  if (!apply_model(p, false, 0)) throw CompileError(part.diagnostics);
  part.labels = p.labels;
  for (const Formal& r : model_->results) {
    const std::string name(output_name(r));
    const Value& v = p.scope.names.at(name);
    for (const Dim& d : p.e.shape(v))
      if (!d.is_constant() &&
          !(d.terms().size() == 1 && d.constant_part() == 0 && d.terms()[0].factors.size() == 1 &&
            d.terms()[0].factors[0].kind == Atom::Kind::Dim))
        throw CompileError(r.loc, fmt::format("result {} is {}: an axis of {}, where results have constants "
                                              "and multiples of one dimension",
                                              name, str(p.e.shape(v)), d.str()));
    part.outputs.push_back(name);
    p.e.builder().result(v.node, name);
  }
  add_checks(p, part);
  keep(p.e.builder().finish(), part);
}

void ModelCompiler::build_fit(int phase, Part& part) {
  auto elaborate = [&](int64_t sums) {
    auto p =
        std::make_unique<Pass>(s_, fmt::format("fit_{}", phase), Mode::Fit, part.module, part.diagnostics);
    p->e.fit_phase = phase;
    if (!apply_model(*p, false, sums)) throw CompileError(part.diagnostics);
    return p;
  };
  const int64_t sums = elaborate(kManySums)->e.accumulated;
  auto p = elaborate(sums);
  p->e.builder().result(join(p->e.builder(), p->e.accumulators), "sums");
  add_checks(*p, part);
  keep(rebuilt(p->e.builder().finish(), part.module), part);
  graph::Builder& f = p->e.finish();
  const auto& [path, value] = *p->e.fitted;
  const StateSpec& spec = p->e.slots().at(path).spec;
  const graph::NodeId state = f.param(spec.parameter(), spec.type);
  f.result(f.convert(value.node, spec.type.dtype), "", state);
  keep(f.finish(), part);
}

void ModelCompiler::build_evaluation(Part& part) {
  Pass p(s_, "eval_step", Mode::Eval, part.module, part.diagnostics);
  if (!apply_model(p, true, sums_)) throw CompileError(part.diagnostics);
  read_shifts(p);
  const std::vector<Value> values = metrics(p);
  part.labels = p.labels;
  if (part.diagnostics.has_errors()) throw CompileError(part.diagnostics);
  p.e.builder().result(join(p.e.builder(), p.e.accumulators), "sums");
  if (!p.e.row_values.empty())
    p.e.builder().result(
        p.e.row_values.size() == 1 ? p.e.row_values[0] : p.e.builder().concat(p.e.row_values, 1), "rows");
  write_shifts(p);
  for (const std::string& path : p.e.slot_order())
    if (const Slot& s = p.e.slots().at(path); s.spec.role == StateSpec::Role::Carry)
      p.e.builder().result(p.e.carried_on(s), "", s.node);
  add_checks(p, part);
  keep(p.e.builder().finish(), part);
  std::vector<graph::NodeId> nodes;
  for (const Value& v : values) nodes.push_back(v.node);
  p.e.finish().result(join(p.e.finish(), nodes), "values");
  keep(p.e.finish().finish(), part);
}

}  // namespace gradc::frontend
