// The parts of a training step: @loss, the optimiser for each type of parameter, the learning rate.
#include <algorithm>
#include <memory>
#include <optional>

#include "frontend/training/model_compiler.h"

namespace gradc::frontend {

// The optimiser's body over parameters of one type; `path` is the first of them. Its first values are
// elaborated apart, in the mode that makes them.
UpdatePart ModelCompiler::elaborate_update(const Expr& optimizer, const Type& type, const std::string& path,
                                           const std::string& name) {
  UpdatePart u{name, name + ".initial", {}, {}, {}};
  auto body = [&](Mode mode, const std::string& function) {
    auto p = elaborate(function, mode);
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
    const Expr& x = optimizer;
    const Value r = e.apply(e.evaluate_make(x, p->scope, "").instance, arguments, {}, x.loc);
    if (!r.is(Value::Kind::Tensor) || e.builder().type(r.node) != type)
      e.fail(x.loc, fmt::format("the optimizer gives {} for {}", e.describe(r),
                                path.starts_with("/") ? "all parameters" : "param " + path));
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
  unit_.module.functions[u.initial] = rebuilt(f, unit_.module);
  return u;
}

namespace {

// Whether `param`, or `param.path`, stands in the expression.
bool reads_param(const Expr& x, bool path) {
  const bool here =
      path ? x.is(Expr::Kind::Member) && x.text == "path" && x.kids[0].is_name("param") : x.is_name("param");
  auto in = [&](const Expr& e) { return reads_param(e, path); };
  return here || std::any_of(x.kids.begin(), x.kids.end(), in) ||
         std::any_of(x.arguments.begin(), x.arguments.end(), [&](const Argument& a) { return in(a.value); });
}

// The text of a function under names that do not tell it apart from that of another path.
std::string text_of(graph::Function f, const std::string& path) {
  f.name = "f";
  for (graph::NodeId p : f.params)
    if (const std::string name = f.names.at(p); name.ends_with("/" + path))
      f.names.set(p, name.substr(0, name.size() - path.size()));
  return graph::print(f);
}

}  // namespace

// The number of what updates parameters of this type, and of this path where the settings read it.
int ModelCompiler::update_for(size_t step, const Type& type, const std::string& path,
                              std::map<std::string, int>& known) {
  const StepFields& fields = fields_.steps[step];
  std::vector<UpdatePart>& updates = parts_.steps[step].updates;
  const bool by_path = reads_param(*fields.optimizer, true);
  const int next = static_cast<int>(updates.size());
  auto [number, fresh] = known.emplace(type.str() + (by_path ? " " + path : ""), next);
  if (!fresh) return number->second;
  UpdatePart u =
      elaborate_update(*fields.optimizer, type, path, fields.function(fmt::format("update{}", next + 1)));
  if (by_path) {  // most paths have the same settings
    auto& functions = unit_.module.functions;
    const auto [same, other] =
        known.emplace(text_of(functions.at(u.function), path) + text_of(functions.at(u.initial), path), next);
    if (!other) {
      functions.erase(u.function), functions.erase(u.initial);
      return number->second = same->second;
    }
  }
  updates.push_back(std::move(u));
  return next;
}

// An optimiser whose parameter has one axis sees all that a step trains, one behind the other.
void ModelCompiler::elaborate_whole_update(Pass& p, size_t step) {
  const StepFields& fields = fields_.steps[step];
  const Expr& x = *fields.optimizer;
  std::optional<Type> all;
  std::string first;
  for (const std::string& path : p.e.slot_order()) {
    if (trained_[step].count(path) == 0) continue;
    const Type& type = p.e.slots().at(path).spec.type;
    if (all && all->dtype != type.dtype)
      p.e.fail(x.loc, fmt::format("{} sees all parameters as one: {} is {}, {} is {}", x.kids[0].text, first,
                                  name_of(all->dtype), path, name_of(type.dtype)));
    if (!all) all = Type{type.dtype, {Dim(0)}}, first = path;
    all->shape[0] = all->shape[0] + element_count(type.shape);
    update_of_path_[step][path] = 0;
  }
  for (const Expr* e : {&x, fields.lr})
    if (reads_param(*e, false))
      p.e.fail(e->loc, fmt::format("{} sees all parameters as one, so nothing of it depends on param",
                                   x.kids[0].text));
  UpdatePart u =
      elaborate_update(x, *all, StepPart{.name = fields.name}.whole_path(), fields.function("update1"));
  u.whole = true;
  parts_.steps[step].updates.push_back(std::move(u));
}

namespace {

// Whether a layer's first input is `p: [n]`.
bool takes_one_axis(const Value& layer) {
  if (!layer.is(Value::Kind::Layer) || layer.fn->definition == nullptr) return false;
  const std::vector<Formal>& formals = layer.fn->definition->formals;
  return !formals.empty() && formals[0].type && formals[0].type->dims.size() == 1 &&
         !formals[0].type->dims[0].ellipsis;
}

}  // namespace

// What trains each parameter of a step.
void ModelCompiler::elaborate_updates(Pass& p, size_t step) {
  parts_.steps.emplace_back();
  std::map<std::string, int>& of_path = update_of_path_.emplace_back();
  std::map<std::string, int> known;
  const Expr& x = *fields_.steps[step].optimizer;
  if (!x.is(Expr::Kind::Make))
    p.e.fail(x.loc, "an optimizer is a layer with its settings: adamw{} or sgd{momentum=0.9}");
  if (const auto layer = p.e.find_value(x.kids[0].text, p.scope);
      layer && takes_one_axis(*layer) && !trained_[step].empty())
    return elaborate_whole_update(p, step);
  for (const std::string& path : p.e.slot_order())
    if (trained_[step].count(path) != 0)
      of_path[path] = update_for(step, p.e.slots().at(path).spec.type, path, known);
}

// Ends a function whose reads by number are checked: two further results.
Checks ModelCompiler::finish_checked(Pass& p) {
  IndexChecks c = checks_of(p);
  if (c.found != graph::kNone) {
    p.e.builder().result(c.found, check_output());
    p.e.builder().result(c.any);
  }
  graph::Function f = p.e.builder().finish();
  p.module.functions[f.name] = std::move(f);
  return std::move(c.sites);
}

// The learning rate of each parameter: one for all, unless lr reads `param`.
void ModelCompiler::elaborate_schedules(size_t step) {
  StepPart& part = parts_.steps[step];
  part.name = fields_.steps[step].name, part.rate = fields_.steps[step].rate;
  std::map<std::string, int> known;
  const bool by_parameter = reads_param(*fields_.steps[step].lr, false);
  const int common = by_parameter ? 0 : elaborate_schedule(step, "", {}, known);
  for (size_t i = 0; i < part.update_of.size(); ++i) {
    const StateSpec& s = unit_.state[i];
    const bool own = by_parameter && part.update_of[i] >= 0;
    part.schedule_of.push_back(own ? elaborate_schedule(step, s.path, s.type, known) : common);
  }
}

// lr: a number, which can change without compiling again while it is one for all, or a schedule of step and
// total. The number of the schedule, or -1.
int ModelCompiler::elaborate_schedule(size_t step, const std::string& path, const Type& type,
                                      std::map<std::string, int>& known) {
  const StepFields& fields = fields_.steps[step];
  StepPart& part = parts_.steps[step];
  const bool by_parameter = !path.empty();
  const int next = static_cast<int>(part.schedules.size());
  const std::string name = fields.function(next == 0 ? "schedule" : fmt::format("schedule{}", next + 1));
  const std::unique_ptr<Pass> pass = elaborate(name, Mode::Train);
  Pass& p = *pass;
  Elaborator& e = p.e;
  p.scope.file = s_.main;
  if (by_parameter) {
    e.parameter_path = path;
    p.scope.names["param"] = e.wrap(e.builder().param("param", type));
  }
  const Expr& x = *fields.lr;
  Value v = e.evaluate_partial(x, p.scope);
  if (v.is_number() && !by_parameter) {
    unit_.train->hyper[part.rate] = e.constant_real(v, "lr", x.loc);
    return -1;
  }
  std::map<std::string, Value> scalars, named;
  for (const char* scalar : {"step", "total"}) {
    Value n = e.convert(e.wrap(e.builder().param(scalar, {DType::I64, {}})), DType::F64, x.loc);
    n.scalar = true;
    scalars[scalar] = n;
  }
  if (v.is(Value::Kind::Fn) && v.fn->definition != nullptr) {
    for (const Formal& f : v.fn->definition->formals)
      if (auto it = scalars.find(f.name); it != scalars.end()) named.insert(*it);
    v = e.call(v, {}, named, &x, x.loc, false);
  }
  if (v.is_number()) v = e.tensor(v, DType::F64, x.loc), v.scalar = true;
  if (!v.is(Value::Kind::Tensor) || !v.scalar)
    e.fail(x.loc,
           fmt::format("lr is a number or a schedule, such as cosine(1e-3, 0), not {}", e.describe(v)));
  e.builder().result(v.node, "lr");
  Checks checks = finish_checked(p);
  graph::Function& f = unit_.module.functions[name];
  if (by_parameter) {
    if (needed_nodes(f)[f.params[0]] != 0)
      e.fail(x.loc, fmt::format("lr depends on the values of {}; it may read param.path, rank(param) and "
                                "shape(param)",
                                path));
    f.params.erase(f.params.begin());
    f = rebuilt(f, unit_.module);
    if (auto [same, fresh] = known.emplace(text_of(f, path), next); !fresh) {
      unit_.module.functions.erase(name);
      return same->second;
    }
  }
  part.schedules.push_back({name, std::move(checks)});
  return next;
}

// The losses, and the step around them.
void ModelCompiler::build_training() {
  for (size_t i = 0; i < parts_.steps.size(); ++i) build_loss(i);
  for (size_t i = 0; i < parts_.steps.size(); ++i) elaborate_schedules(i);
  for (const auto& [n, max] : dims_) parts_.dims[n] = {max, max};
  parts_.check_output = check_output();
  parts_.accumulate = fields_.accumulate, parts_.average = fields_.ema;
  assemble_training_step(unit_, parts_);
  entries_.insert("train_step");
  if (parts_.accumulate > 1) entries_.insert("gather_step");
}

std::unique_ptr<ModelCompiler::Pass> ModelCompiler::elaborate_loss(size_t step) {
  const StepFields& fields = fields_.steps[step];
  auto p = elaborate(fields.function("loss"), Mode::Train);
  if (!apply_model(*p, true, kManySums)) throw CompileError(s_.diagnostics);
  p->loss = loss(*p, fields).node;
  if (step == 0) {
    read_shifts(*p);
    metrics(*p);
  }
  note_labels(p->labels);
  return p;
}

// @loss of one update; the first also gives what is measured and stored.
void ModelCompiler::build_loss(size_t step) {
  const StepFields& fields = fields_.steps[step];
  StepPart& part = parts_.steps[step];
  const std::unique_ptr<Pass> pass = survey_ ? std::move(survey_) : elaborate_loss(step);
  Pass& p = *pass;
  p.e.builder().result(p.loss, "loss");
  if (step == 0) measure(p);
  for (const std::string& path : p.e.slot_order()) {
    const auto update = update_of_path_[step].find(path);
    part.update_of.push_back(update == update_of_path_[step].end() ? -1 : update->second);
  }
  part.loss.function = fields.function("loss");
  part.loss.parameters = sources_of_parameters(p);
  part.loss.checks = finish_checked(p);
  part.clip = fields.clip;
}

// Sums of the metrics, new states, the shifts of the next batch.
void ModelCompiler::measure(Pass& p) {
  graph::Builder& b = p.e.builder();
  b.result(join(b, p.e.accumulators), "sums");
  for (const std::string& path : p.e.slot_order()) {
    const Slot& s = p.e.slots().at(path);
    if (s.spec.role == StateSpec::Role::State && s.stored && !s.fitted) {
      b.result(s.stored->node, path);
      parts_.steps[0].loss.stored.push_back(unit_.state.size());
    } else if (s.spec.role == StateSpec::Role::Carry) {
      b.result(p.e.carried_on(s), path);
      parts_.steps[0].loss.stored.push_back(unit_.state.size());
    }
    unit_.state.push_back(s.spec);
  }
  write_shifts(p);
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
