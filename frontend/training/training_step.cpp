// @loss and @train_step: the loss, its gradient, the optimiser.
#include "frontend/training/model_compiler.h"

namespace gradc::frontend {

std::map<std::string, Value> ModelCompiler::optimise(Pass& p, const Gradients& gradients, Value lr) {
  Elaborator& e = p.e;
  const Expr& x = *fields_.optimizer;
  if (!x.is(Expr::Kind::Make))
    e.fail(x.loc, "an optimizer is a layer with its settings: adamw{} or sgd{momentum=0.9}");
  Value step = e.step_node != graph::kNone ? e.convert(e.wrap(e.step_node), DType::F64, x.loc)
                                           : e.wrap(e.builder().constant(0, DType::F64));
  step.scalar = true, lr.scalar = true;
  e.state_role = StateSpec::Role::OptimizerSlot;
  auto owner = std::make_shared<Instance>();
  owner->path = "optimizer";
  owners_.push_back(owner);
  e.enter(owner.get());
  std::map<std::string, Value> updated;
  for (const std::string& path : std::vector<std::string>(e.slot_order())) {
    const Slot& slot = e.slots().at(path);
    if (slot.spec.role != StateSpec::Role::Param || frozen_.count(path) != 0) continue;
    const Value param = e.wrap(slot.node);
    const Type type = slot.spec.type;
    Scope scope;
    scope.file = s_.main;
    scope.names["param"] = param;
    e.parameter_path = path;
    auto g = gradients.find(path);
    const Value gradient =
        g != gradients.end() ? g->second : e.wrap(e.builder().constant(0, type.dtype, type.shape));
    const Value layer = e.evaluate_make(x, scope, "");
    const Value r = e.apply(layer.instance, {param, gradient, lr, step}, {}, x.loc);
    if (!r.is(Value::Kind::Tensor) || e.builder().type(r.node) != type)
      e.fail(x.loc, fmt::format("the optimizer gives {} for param {}", e.describe(r), path));
    updated[path] = r;
  }
  e.parameter_path.clear();
  return updated;
}

// lr: a number, which can change without compiling again, or a schedule of step and total.
Value ModelCompiler::learning_rate(Pass& p, graph::NodeId total) {
  Elaborator& e = p.e;
  const Expr& x = *fields_.lr;
  Value v = e.evaluate_partial(x, p.scope);
  if (v.is_number()) {
    unit_.train->hyper["lr"] = e.constant_real(v, "lr", x.loc);
    Value lr = e.wrap(e.builder().param("lr", {DType::F64, {}}));
    lr.scalar = true;
    return lr;
  }
  if (v.is(Value::Kind::Fn) && v.fn->definition != nullptr) {
    std::map<std::string, Value> named;
    for (const Formal& f : v.fn->definition->formals) {
      if (f.name != "step" && f.name != "total") continue;
      Value n = e.convert(e.wrap(f.name == "step" ? e.step_node : total), DType::F64, x.loc);
      n.scalar = true;
      named[f.name] = n;
    }
    v = e.call(v, {}, named, &x, x.loc, false);
  }
  if (!v.is(Value::Kind::Tensor) || !v.scalar)
    e.fail(x.loc,
           fmt::format("lr is a number or a schedule, such as cosine(1e-3, 0), not {}", e.describe(v)));
  return v;
}

// @loss: loss, sums of the metrics, new states. Returns what the outer step needs to know.
void ModelCompiler::build_training() {
  Pass inner(s_, "loss", Mode::Train, &unit_.module);
  if (!apply_model(inner, true, kManySums)) throw CompileError(s_.diagnostics);
  inner.e.builder().result(loss(inner).node, "loss");
  read_shifts(inner);
  metrics(inner);
  inner.e.builder().result(join(inner.e.builder(), inner.e.accumulators), "sums");
  std::vector<std::string> stored;
  for (const std::string& path : inner.e.slot_order()) {
    const Slot& s = inner.e.slots().at(path);
    if (s.spec.role != StateSpec::Role::State || !s.stored || s.fitted) continue;
    inner.e.builder().result(s.stored->node, path);
    stored.push_back(path);
  }
  write_shifts(inner);
  IndexChecks checks = checks_of(inner);
  if (checks.found != graph::kNone) {
    inner.e.builder().result(checks.found, check_output());
    inner.e.builder().result(checks.any);
  }
  unit_.module.functions["loss"] = inner.e.builder().finish();
  build_step(inner, stored, std::move(checks.sites));
}

// `sites` are those that @loss checks, in two results behind the others. Shifts stand before them.
void ModelCompiler::build_step(Pass& inner, const std::vector<std::string>& stored,
                               std::vector<IndexCheck> sites) {
  const graph::Function& loss_function = unit_.module.at("loss");
  Pass p(s_, "train_step", Mode::Train, &unit_.module);
  Elaborator& e = p.e;
  graph::Builder& b = e.builder();
  e.batch_dim = batch_dim_;
  for (const auto& [n, max] : dims_) b.dim(n, {max, max});
  p.scope.file = s_.main;
  std::map<std::string, graph::NodeId> by_name, states;
  for (const Input& in : unit_.inputs) by_name[in.parameter] = b.param(in.parameter, in.type);
  e.step_node = by_name["step"] = b.param("step", {DType::I64, {}});
  const graph::NodeId total = b.param("total", {DType::I64, {}});
  by_name["seed"] = b.param("seed", {DType::I64, {}});
  if (shifts_ > 0) by_name["shifts"] = b.param("shifts", {DType::F64, {Dim(shifts_)}});
  const Value lr = learning_rate(p, total);
  for (const std::string& path : inner.e.slot_order()) {
    const Slot& s = inner.e.slots().at(path);
    states[path] = by_name[s.spec.parameter()] = e.slot(path, s.spec.role, s.spec.type, s.spec.loc).node;
  }
  std::map<graph::NodeId, std::string> paths;
  for (const auto& [path, slot] : inner.e.slots()) paths[slot.node] = path;
  std::vector<graph::NodeId> arguments;
  std::vector<int64_t> wrt;
  std::vector<std::string> differentiated;
  for (graph::NodeId n : loss_function.params) {
    const auto path = paths.find(n);
    if (path != paths.end() && inner.e.slots().at(path->second).spec.role == StateSpec::Role::Param &&
        frozen_.count(path->second) == 0) {
      wrt.push_back(static_cast<int64_t>(arguments.size()));
      differentiated.push_back(path->second);
    }
    arguments.push_back(by_name.at(loss_function.names.at(n)));
  }
  const graph::NodeId all = b.make("value_and_grad", arguments,
                                   {{"function", graph::FunctionRef{"loss"}}, {"wrt", graph::ints(wrt)}});
  b.result(b.get(all, 0), "loss");
  b.result(b.get(all, 1), "sums");
  std::vector<std::pair<graph::NodeId, graph::NodeId>> updates;  // new value, state
  for (size_t i = 0; i < stored.size(); ++i)
    updates.emplace_back(b.get(all, static_cast<int>(2 + i)), states.at(stored[i]));
  const size_t shifts = shifts_ > 0 ? 1 : 0, checks = sites.empty() ? 0 : 2;
  const size_t first = 2 + stored.size() + shifts + checks;
  if (shifts > 0) b.result(b.get(all, static_cast<int>(2 + stored.size())), "next_shifts");
  Gradients gradients;
  for (size_t i = 0; i < differentiated.size(); ++i)
    gradients[differentiated[i]] = e.wrap(b.get(all, static_cast<int>(first + i)));
  if (fields_.clip > 0) clip(p, gradients);
  const auto updated = optimise(p, gradients, lr);
  for (const auto& [path, v] : updated) updates.emplace_back(v.node, e.slots().at(path).node);
  for (const std::string& path : e.slot_order()) {
    const Slot& s = e.slots().at(path);
    unit_.state.push_back(s.spec);
    if (s.spec.role == StateSpec::Role::OptimizerSlot && s.stored)
      updates.emplace_back(s.stored->node, s.node);
  }
  IndexChecks own = check_indices(b, e.index_sites);  // of optimiser and schedule
  if (checks > 0) {
    const auto at = static_cast<int>(2 + stored.size() + shifts);
    const graph::NodeId found = b.get(all, at), any = b.get(all, at + 1);
    own.found = own.found == graph::kNone ? found : b.concat({found, own.found}, 0);
    own.any = own.any == graph::kNone ? any : b.make("or", {any, own.any});
  }
  sites.insert(sites.end(), own.sites.begin(), own.sites.end());
  store(b, updates, own.any);
  if (own.found != graph::kNone) b.result(own.found, check_output());
  if (!sites.empty()) unit_.checks["train_step"] = std::move(sites);
  keep(b.finish());
}

// A step that found an index outside its range changes no state.
void ModelCompiler::store(graph::Builder& b,
                          const std::vector<std::pair<graph::NodeId, graph::NodeId>>& updates,
                          graph::NodeId bad) {
  for (const auto& [value, state] : updates) {
    const bool always = bad == graph::kNone;
    b.result(always ? value : b.select(b.splat(bad, b.shape(state)), state, value), "", state);
  }
}

// Scales all gradients so that their common norm is at most `clip`, as PyTorch's clip_grad_norm_ does.
void ModelCompiler::clip(Pass& p, Gradients& gradients) {
  Elaborator& e = p.e;
  const Loc loc = fields_.optimizer->loc;
  Value total = Value::of(0.0);
  for (const auto& [path, g] : gradients) {
    const Value exact = e.convert(g, DType::F64, loc);  // the square of an f32 may be beyond f32
    Value square = e.reduce("sum", e.binary("*", exact, exact, loc), {}, false, loc);
    square.scalar = true;
    total = e.binary("+", total, square, loc);
  }
  const Value norm = e.unary("sqrt", total, loc);
  Value scale = e.binary("/", Value::of(fields_.clip), e.binary("+", norm, Value::of(1e-6), loc), loc);
  scale = e.call_builtin("minimum", {Value::of(1.0), scale}, {}, loc);
  scale.scalar = true;
  for (auto& [path, g] : gradients)
    g = e.convert(e.binary("*", e.convert(g, DType::F64, loc), scale, loc), e.dtype(g), loc);
}

}  // namespace gradc::frontend
