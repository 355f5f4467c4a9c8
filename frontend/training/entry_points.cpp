// The other functions: @init, @predict, @fit_N, @eval_step and @finish.
#include <algorithm>

#include "frontend/training/model_compiler.h"
#include "support/check.h"

namespace gradc::frontend {

void ModelCompiler::build() {
  try {
    if (train_ != nullptr) build_training();
    check_carried_data();
    build_init();
    build_predict();
    for (int n = 0; n < fits_; ++n) build_fit(n);
    if (train_ != nullptr) build_evaluation();
  } catch (const CompileError& error) {
    if (!error.reported) {
      Diagnostic& d = s_.diagnostics.error(error.diagnostic.loc, error.diagnostic.text);
      d.notes = error.diagnostic.notes, d.help = error.diagnostic.help;
    }
    GRADC_CHECK(s_.diagnostics.has_errors(), "a mistake that was not reported");
  }
}

void ModelCompiler::keep(graph::Function f) {
  entries_.insert(f.name);
  unit_.module.functions[f.name] = std::move(f);
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
void ModelCompiler::build_init() {
  Pass p(s_, "init.values", Mode::Init, &unit_.module);
  if (!apply_model(p, false, 0)) throw CompileError(s_.diagnostics);
  graph::Builder& b = p.e.builder();
  if (train_ == nullptr)
    for (const std::string& path : p.e.slot_order()) unit_.state.push_back(p.e.slots().at(path).spec);
  for (const StateSpec& spec : unit_.state) {
    if (spec.role == StateSpec::Role::OptimizerSlot) break;  // they are the last
    auto s = p.e.slots().find(spec.path);
    if (s == p.e.slots().end())
      throw CompileError(spec.loc, fmt::format("param {} is there only while training; declare it outside "
                                               "`if training`",
                                               spec.path));
    refuse_inputs(p, spec, s->second.initial->node);
    b.result(s->second.initial->node);
  }
  const Checks checks = finish_checked(p);
  graph::Function& f = unit_.module.functions["init.values"];
  f.params = {p.e.seed_node};
  f = rebuilt(f);
  assemble_init(unit_, "init.values", checks, train_ != nullptr ? &parts_ : nullptr, check_output());
  entries_.insert("init");
}

// A copy with the nodes alone that results need.
graph::Function ModelCompiler::rebuilt(const graph::Function& f) {
  const std::vector<char> live = needed_nodes(f);
  graph::Builder b(f.name, &unit_.module);
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

void ModelCompiler::build_predict() {
  Pass p(s_, "predict", Mode::Predict, &unit_.module);
  if (!apply_model(p, false, 0)) throw CompileError(s_.diagnostics);
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
    unit_.outputs.push_back(name);
    p.e.builder().result(v.node, name);
  }
  add_checks(p);
  keep(p.e.builder().finish());
}

void ModelCompiler::build_fit(int phase) {
  auto elaborate = [&](int64_t sums) {
    auto p = std::make_unique<Pass>(s_, fmt::format("fit_{}", phase), Mode::Fit, &unit_.module);
    p->e.fit_phase = phase;
    if (!apply_model(*p, false, sums)) throw CompileError(s_.diagnostics);
    return p;
  };
  const int64_t sums = elaborate(kManySums)->e.accumulated;
  auto p = elaborate(sums);
  p->e.builder().result(join(p->e.builder(), p->e.accumulators), "sums");
  add_checks(*p);
  keep(rebuilt(p->e.builder().finish()));
  graph::Builder& f = p->e.finish();
  const auto& [path, value] = *p->e.fitted;
  const StateSpec& spec = p->e.slots().at(path).spec;
  const graph::NodeId state = f.param(spec.parameter(), spec.type);
  f.result(f.convert(value.node, spec.type.dtype), "", state);
  keep(f.finish());
}

void ModelCompiler::build_evaluation() {
  Pass p(s_, "eval_step", Mode::Eval, &unit_.module);
  if (!apply_model(p, true, sums_)) throw CompileError(s_.diagnostics);
  read_shifts(p);
  const std::vector<Value> values = metrics(p);
  if (s_.diagnostics.has_errors()) throw CompileError(s_.diagnostics);
  p.e.builder().result(join(p.e.builder(), p.e.accumulators), "sums");
  if (!p.e.row_values.empty())
    p.e.builder().result(
        p.e.row_values.size() == 1 ? p.e.row_values[0] : p.e.builder().concat(p.e.row_values, 1), "rows");
  write_shifts(p);
  for (const std::string& path : p.e.slot_order())
    if (const Slot& s = p.e.slots().at(path); s.spec.role == StateSpec::Role::Carry)
      p.e.builder().result(p.e.carried_on(s), "", s.node);
  add_checks(p);
  keep(p.e.builder().finish());
  std::vector<graph::NodeId> nodes;
  for (const Value& v : values) nodes.push_back(v.node);
  p.e.finish().result(join(p.e.finish(), nodes), "values");
  keep(p.e.finish().finish());
}

}  // namespace gradc::frontend
