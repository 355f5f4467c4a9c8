// The parts of a training step: @loss, the optimiser for each type of parameter, the learning rate.
#include <memory>

#include "frontend/training/model_compiler.h"

namespace gradc::frontend {

// The optimiser's body over parameters of one type; `path` is the first of them. Its first values are
// elaborated apart, in the mode that makes them.
UpdatePart ModelCompiler::elaborate_update(const Type& type, const std::string& path,
                                           const std::string& name) {
  UpdatePart u{name, name + ".initial", {}, {}, {}};
  auto body = [&](Mode mode, const std::string& function) {
    auto p = std::make_unique<Pass>(s_, function, mode, &unit_.module);
    Elaborator& e = p->e;
    std::vector<Value> arguments{e.wrap(e.builder().param("param", type))};
    if (mode == Mode::Init) {
      arguments.push_back(e.wrap(e.builder().constant(0, type.dtype, type.shape)));
      for (int i = 0; i < 2; ++i) arguments.push_back(e.wrap(e.builder().constant(0, DType::F64)));
    } else {
      arguments.push_back(e.wrap(e.builder().param("gradient", type)));
      for (const char* n : {"lr", "step"})
        arguments.push_back(e.wrap(e.builder().param(n, {DType::F64, {}})));
    }
    arguments[2].scalar = arguments[3].scalar = true;
    e.state_role = StateSpec::Role::OptimizerSlot;
    e.parameter_path = path;
    p->root->path = "optimizer";
    e.enter(p->root.get());
    p->scope.file = s_.main;
    p->scope.names["param"] = arguments[0];
    const Expr& x = *fields_.optimizer;
    const Value r = e.apply(e.evaluate_make(x, p->scope, "").instance, arguments, {}, x.loc);
    if (!r.is(Value::Kind::Tensor) || e.builder().type(r.node) != type)
      e.fail(x.loc, fmt::format("the optimizer gives {} for param {}", e.describe(r), path));
    if (mode != Mode::Init) e.builder().result(r.node);
    return p;
  };
  auto p = body(Mode::Train, u.function);
  for (const std::string& slot : p->e.slot_order()) {
    const Slot& s = p->e.slots().at(slot);
    const size_t name_at = std::string("__opt__/").size();
    u.slots.push_back(slot.substr(name_at, slot.size() - name_at - 1 - path.size()));
    u.locs.push_back(s.spec.loc);
    p->e.builder().result(s.stored ? s.stored->node : s.node);
  }
  u.checks = finish_checked(*p);
  auto first = body(Mode::Init, u.initial);
  for (const std::string& slot : p->e.slot_order())
    first->e.builder().result(first->e.slots().at(slot).initial->node);
  graph::Function f = first->e.builder().finish();
  f.params.resize(1);
  unit_.module.functions[u.initial] = rebuilt(f);
  return u;
}

// What trains each parameter that the loss reaches.
void ModelCompiler::elaborate_updates(Pass& p) {
  const Expr& x = *fields_.optimizer;
  if (!x.is(Expr::Kind::Make))
    p.e.fail(x.loc, "an optimizer is a layer with its settings: adamw{} or sgd{momentum=0.9}");
  for (const std::string& path : p.e.slot_order()) {
    const StateSpec& spec = p.e.slots().at(path).spec;
    if (spec.role != StateSpec::Role::Param || frozen_.count(path) != 0) continue;
    auto [known, fresh] = update_of_type_.emplace(spec.type.str(), static_cast<int>(parts_.updates.size()));
    if (fresh)
      parts_.updates.push_back(elaborate_update(spec.type, path, fmt::format("update{}", known->second + 1)));
    update_of_path_[path] = known->second;
  }
}

// Ends a function whose reads by number are checked: two further results.
Checks ModelCompiler::finish_checked(Pass& p) {
  IndexChecks c = checks_of(p);
  if (c.found != graph::kNone) {
    p.e.builder().result(c.found, check_output());
    p.e.builder().result(c.any);
  }
  graph::Function f = p.e.builder().finish();
  unit_.module.functions[f.name] = std::move(f);
  return std::move(c.sites);
}

// lr: a number, which can change without compiling again, or a schedule of step and total.
void ModelCompiler::elaborate_schedule() {
  Pass p(s_, "schedule", Mode::Train, &unit_.module);
  Elaborator& e = p.e;
  p.scope.file = s_.main;
  const Expr& x = *fields_.lr;
  Value v = e.evaluate_partial(x, p.scope);
  if (v.is_number()) {
    unit_.train->hyper["lr"] = e.constant_real(v, "lr", x.loc);
    return;
  }
  if (v.is(Value::Kind::Fn) && v.fn->definition != nullptr) {
    std::map<std::string, Value> scalars, named;
    for (const char* name : {"step", "total"}) {
      Value n = e.convert(e.wrap(e.builder().param(name, {DType::I64, {}})), DType::F64, x.loc);
      n.scalar = true;
      scalars[name] = n;
    }
    for (const Formal& f : v.fn->definition->formals)
      if (auto it = scalars.find(f.name); it != scalars.end()) named.insert(*it);
    v = e.call(v, {}, named, &x, x.loc, false);
  }
  if (!v.is(Value::Kind::Tensor) || !v.scalar)
    e.fail(x.loc,
           fmt::format("lr is a number or a schedule, such as cosine(1e-3, 0), not {}", e.describe(v)));
  e.builder().result(v.node, "lr");
  parts_.schedule = "schedule";
  parts_.schedule_checks = finish_checked(p);
}

// @loss: loss, sums of the metrics, new states; and the step around it.
void ModelCompiler::build_training() {
  Pass p(s_, "loss", Mode::Train, &unit_.module);
  if (!apply_model(p, true, kManySums)) throw CompileError(s_.diagnostics);
  graph::Builder& b = p.e.builder();
  b.result(loss(p).node, "loss");
  read_shifts(p);
  metrics(p);
  b.result(join(b, p.e.accumulators), "sums");
  for (const std::string& path : p.e.slot_order()) {
    const Slot& s = p.e.slots().at(path);
    if (s.spec.role == StateSpec::Role::State && s.stored && !s.fitted) {
      b.result(s.stored->node, path);
      parts_.loss.stored.push_back(unit_.state.size());
    } else if (s.spec.role == StateSpec::Role::Carry) {
      b.result(p.e.carried_on(s), path);
      parts_.loss.stored.push_back(unit_.state.size());
    }
    auto update = update_of_path_.find(path);
    parts_.update_of.push_back(update == update_of_path_.end() ? -1 : update->second);
    unit_.state.push_back(s.spec);
  }
  write_shifts(p);
  parts_.loss.function = "loss";
  parts_.loss.parameters = sources_of_parameters(p);
  parts_.loss.checks = finish_checked(p);
  elaborate_schedule();
  for (const auto& [n, max] : dims_) parts_.dims[n] = {max, max};
  parts_.clip = fields_.clip;
  parts_.check_output = check_output();
  assemble_training_step(unit_, parts_);
  entries_.insert("train_step");
}

// What each parameter of @loss stands for.
std::vector<Source> ModelCompiler::sources_of_parameters(const Pass& p) const {
  using Kind = Source::Kind;
  std::map<graph::NodeId, Source> of;
  for (size_t i = 0; i < unit_.inputs.size(); ++i)
    if (auto it = p.inputs.find(unit_.inputs[i].name); it != p.inputs.end())
      of[it->second] = {Kind::Input, i};
  for (size_t i = 0; i < unit_.state.size(); ++i)
    of[p.e.slots().at(unit_.state[i].path).node] = {Kind::State, i};
  of[p.e.step_node] = {Kind::Step};
  of[p.e.seed_node] = {Kind::Seed};
  of[p.e.shifts_node] = {Kind::Shifts};
  of[p.e.fresh_node] = {Kind::Fresh};
  std::vector<Source> sources;
  for (graph::NodeId n : p.e.builder().function().params) sources.push_back(of.at(n));
  return sources;
}

}  // namespace gradc::frontend
