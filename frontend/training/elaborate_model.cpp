// One elaboration of the model, its loss and its metrics; the first one is the survey.
#include <algorithm>
#include <utility>

#include "frontend/training/model_compiler.h"
#include "support/pattern.h"

namespace gradc::frontend {

// Inputs become parameters; the model is applied to them. False after an error.
bool ModelCompiler::apply_model(Pass& p, bool all_fields, int64_t sums) {
  Elaborator& e = p.e;
  e.batch_dim = batch_dim_;
  for (const auto& [n, max] : dims_) e.builder().dim(n, {max, max});
  std::vector<Value> arguments;
  p.scope.file = s_.main;
  for (const Input& in : unit_.inputs) {
    if (!in.model_input && !all_fields) continue;
    Value v = e.wrap(e.builder().param(in.parameter, in.type));
    v.loc = in.loc;
    v.origin = {"input", in.name, in.loc};
    p.inputs[in.name] = v.node;
    p.scope.names[in.name] = v;
    if (in.model_input) arguments.push_back(v);
  }
  e.in_model = true;
  if (e.mode() == Mode::Train || (draws_always_ && e.mode() != Mode::Init))
    e.step_node = e.builder().param("step", {DType::I64, {}});
  if (e.mode() == Mode::Train || e.mode() == Mode::Init)
    e.seed_node = e.builder().param("seed", {DType::I64, {}});
  if (sums > 0) e.expect_sums(sums);
  e.on_labels = [this, &p](graph::NodeId n, int64_t classes) {
    bool field = false;
    for (size_t i = 0; i < unit_.inputs.size(); ++i)
      if (auto it = p.inputs.find(unit_.inputs[i].name); it != p.inputs.end() && it->second == n) {
        p.labels.emplace_back(i, classes);
        field = true;
      }
    return field && unit_.data && p.e.mode() != Mode::Predict;
  };
  p.root->definition = model_;
  p.root->home = s_.main;
  try {
    const Value r = e.apply(p.root, arguments, {}, model_->loc);
    std::vector<Value> results = model_->results.size() > 1 ? r.items : std::vector<Value>{r};
    for (size_t i = 0; i < model_->results.size(); ++i) {
      const std::string_view name = output_name(model_->results[i]);
      if (!results[i].is(Value::Kind::Tensor))
        e.fail(model_->results[i].loc, fmt::format("result {} is no tensor", name));
      results[i].loc = {};
      results[i].origin = {"result", name, model_->results[i].loc};
      p.scope.names[std::string(name)] = results[i];
    }
    if (model_->results.empty()) e.fail(model_->loc, "a model names its results: -> (logits: [B, classes])");
  } catch (const CompileError& error) {
    e.report(error);
    return false;
  }
  return !e.diagnostics().has_errors();
}

void ModelCompiler::note_labels(const std::vector<std::pair<size_t, int64_t>>& labels) {
  for (const auto& [i, classes] : labels) {
    int64_t& known = unit_.inputs[i].classes;
    known = known == 0 ? classes : std::min(known, classes);
  }
}

Value ModelCompiler::loss(Pass& p, const StepFields& step) {
  const Expr& x = *step.loss;
  const Value v = p.e.evaluate(x, p.scope);
  if (!v.is(Value::Kind::Tensor) || !is_float(p.e.dtype(v)))
    p.e.fail(x.loc, fmt::format("loss is {}; a loss is one float number: mean(...)", p.e.describe(v)));
  if (!p.e.shape(v).empty())
    p.e.fail(x.loc,
             fmt::format("loss is {}; a loss is one number: mean(...)", p.e.builder().type(v.node).str()));
  return v;
}

graph::NodeId ModelCompiler::join(graph::Builder& b, const std::vector<graph::NodeId>& parts) {
  std::vector<graph::NodeId> flat;
  for (graph::NodeId n : parts) flat.push_back(b.reshape(n, {element_count(b.shape(n))}));
  return flat.size() == 1 ? flat[0] : b.concat(flat, 0);
}

void ModelCompiler::read_shifts(Pass& p) {
  if (shifts_ > 0) p.e.shifts_node = p.e.builder().param("shifts", {DType::F64, {Dim(shifts_)}});
}

void ModelCompiler::write_shifts(Pass& p) {
  std::vector<graph::NodeId> used;
  for (const auto& [first, shift] : p.e.shifts) used.push_back(shift);
  if (!used.empty()) p.e.builder().result(join(p.e.builder(), used), "next_shifts");
}

// Of reads that a result needs, each once.
IndexChecks ModelCompiler::checks_of(Pass& p) {
  const std::vector<char> needed = needed_nodes(p.e.builder().function());
  std::vector<IndexSite> sites;
  for (const IndexSite& s : p.e.index_sites) {
    const bool known = std::any_of(sites.begin(), sites.end(), [&](const IndexSite& o) {
      return o.index == s.index && o.limit == s.limit;
    });
    if (needed[s.value] != 0 && !known) sites.push_back(s);
  }
  return check_indices(p.e.builder(), sites);
}

// The further result of an entry, where it has any.
void ModelCompiler::add_checks(Pass& p, Part& part) {
  const IndexChecks c = checks_of(p);
  if (c.found == graph::kNone) return;
  p.e.builder().result(c.found, check_output());
  part.checks[p.e.builder().function().name] = c.sites;
}

std::string ModelCompiler::check_output() const {
  const bool taken = std::any_of(model_->results.begin(), model_->results.end(),
                                 [](const Formal& r) { return r.name == "checks"; });
  return taken ? "..checks" : "checks";
}

// The first elaboration finds every mistake, parameter, state and accumulator. Where there is one loss, and
// nothing that only this elaboration counts is needed for it, it stays as what @loss would be again. Else the
// bodies of its loops go.
void ModelCompiler::survey() {
  const bool one = train_ != nullptr && fields_.steps.size() == 1;
  const std::string name = one ? fields_.steps[0].function("loss") : "survey";
  const Mode mode = train_ != nullptr ? Mode::Train : Mode::Predict;
  survey_ = elaborate(name, mode);
  elaborate_all(*survey_);
  note_labels(survey_->labels);
  if (one && shifts_ == 0) return;
  survey_.reset();
  std::erase_if(unit_.module.functions, [&](const auto& f) { return f.first.starts_with(name + "."); });
}

void ModelCompiler::elaborate_all(Pass& p) {
  if (!apply_model(p, true, kManySums)) return;
  unit_.layers = p.e.layers;
  draws_always_ = p.e.draws_always;
  fits_ = p.e.fits;
  unit_.fit_phases = fits_;
  if (train_ == nullptr) return;
  try {
    std::vector<graph::NodeId> losses;
    for (const StepFields& step : fields_.steps) losses.push_back(loss(p, step).node);
    p.loss = losses[0];
    metrics(p);
    sums_ = p.e.accumulated, row_columns_ = p.e.row_columns;
    shifts_ = static_cast<int64_t>(p.e.shifts.size());
    if (s_.diagnostics.has_errors()) return;
    choose_numbers();
    choose_trained(p);
    for (size_t i = 0; i < losses.size(); ++i) find_unreached(p, losses[i], fields_.steps[i], trained_[i]);
    if (s_.diagnostics.has_errors()) return;
    for (size_t i = 0; i < losses.size(); ++i) elaborate_updates(p, i);
    if (!fields_.freeze.empty() && trained_[0].empty())
      p.e.fail(fields_.freeze[0].loc, "freeze leaves no parameter to train");
  } catch (const CompileError& error) {
    p.e.report(error);
  }
}

namespace {

std::string listed(const std::vector<std::string>& paths) {
  constexpr size_t kShown = 8;
  std::string list;
  for (size_t i = 0; i < std::min(kShown, paths.size()); ++i) list += (i == 0 ? "" : ", ") + paths[i];
  if (paths.size() > kShown) list += fmt::format(" and {} more", paths.size() - kShown);
  return list;
}

// What somebody may have meant: paths, and all that is below a layer.
std::string near_paths(const PathPattern& pattern, const std::vector<std::string>& paths) {
  std::set<std::string> layers;
  for (const std::string& path : paths)
    for (size_t dot = path.find('.'); dot != std::string::npos; dot = path.find('.', dot + 1))
      layers.insert(path.substr(0, dot));
  std::vector<std::string> known = paths;
  for (const std::string& layer : layers) {
    known.push_back(layer);
    if (!pattern.layer) known.push_back(layer + ".*");
  }
  if (std::string near = nearest(pattern.text, known); !near.empty()) {
    if (!pattern.layer && layers.count(near) != 0) near += ".*";
    return fmt::format("; did you mean '{}'?", near);
  }
  return "; there are " + listed(pattern.layer && !layers.empty()
                                     ? std::vector<std::string>(layers.begin(), layers.end())
                                     : paths);
}

}  // namespace

std::vector<std::string> ModelCompiler::parameter_paths(const Pass& p) {
  std::vector<std::string> paths;
  for (const std::string& path : p.e.slot_order())
    if (p.e.slots().at(path).spec.role == StateSpec::Role::Param) paths.push_back(path);
  return paths;
}

// The parameters that `patterns` name; each names one at least.
std::set<std::string> ModelCompiler::named(const std::vector<PathPattern>& patterns, const std::string& what,
                                           const std::vector<std::string>& paths) {
  std::set<std::string> all;
  for (const PathPattern& p : patterns) {
    bool any = false;
    for (const std::string& path : paths)
      if (p.layer ? path == p.text || path.starts_with(p.text + ".") : fits_pattern(path, p.text))
        any = true, all.insert(path);
    if (!any)
      s_.diagnostics.error(p.loc, fmt::format("{}: no {}parameter is called '{}'{}", what,
                                              p.layer ? "layer or " : "", p.text, near_paths(p, paths)));
  }
  return all;
}

// What each step trains: everything, or what its params name, but for what is frozen. Frozen parameters keep
// their value: no gradient, no slots, saved all the same.
void ModelCompiler::choose_trained(Pass& p) {
  const std::vector<std::string> paths = parameter_paths(p);
  const std::set<std::string> frozen = named(fields_.freeze, "freeze", paths);
  std::map<std::string, std::string> step_of;
  for (const StepFields& step : fields_.steps) {
    const std::set<std::string> all =
        step.name.empty() ? std::set<std::string>(paths.begin(), paths.end())
                          : named(step.params, fmt::format("params of step {}", step.name), paths);
    std::set<std::string>& trained = trained_.emplace_back();
    std::vector<std::string> again;
    for (const std::string& path : all) {
      if (!step_of.emplace(path, step.name).second) again.push_back(path);
      if (frozen.count(path) == 0) trained.insert(path);
    }
    if (!again.empty())
      s_.diagnostics.error(step.params[0].loc,
                           fmt::format("step {} trains {}, as step {} does: a parameter belongs to one step",
                                       step.name, listed(again), step_of.at(again[0])));
    if (!step.name.empty() && !all.empty() && trained.empty())
      s_.diagnostics.error(step.params[0].loc,
                           fmt::format("freeze leaves step {} no parameter to train", step.name));
  }
  if (s_.diagnostics.has_errors()) throw CompileError(s_.diagnostics);
  std::vector<std::string> left;
  for (const std::string& path : paths)
    if (step_of.count(path) == 0 && frozen.count(path) == 0) left.push_back(path);
  if (!left.empty())
    p.e.fail(fields_.spec.loc,
             fmt::format("no step trains {}: name them in the params of a step, or keep them as they are: "
                         "freeze = [\"{}\"]",
                         listed(left), left[0]));
}

// Parameters that no path from the loss reaches get no gradient and keep their value.
void ModelCompiler::find_unreached(Pass& p, graph::NodeId from, const StepFields& step,
                                   std::set<std::string>& trained) {
  const graph::Builder& b = p.e.builder();
  std::vector<char> seen(b.function().nodes.size(), 0);
  std::vector<graph::NodeId> work = {from};
  while (!work.empty()) {
    const graph::NodeId n = work.back();
    work.pop_back();
    if (std::exchange(seen[n], 1) != 0 || b[n].op->name == "stop_gradient") continue;
    for (graph::NodeId o : b[n].operands) work.push_back(o);
  }
  std::vector<std::string> unreached;
  for (const std::string& path : trained)
    if (seen[p.e.slots().at(path).node] == 0) unreached.push_back(path);
  if (!step.name.empty() && unreached.size() == trained.size()) {
    s_.diagnostics.error(step.loss->loc,
                         fmt::format("the loss of step {} depends on none of what it trains: {}", step.name,
                                     listed(unreached)));
    return;
  }
  for (const std::string& path : unreached) {
    const StateSpec& spec = p.e.slots().at(path).spec;
    trained.erase(path);
    s_.diagnostics.warning(
        spec.loc,
        fmt::format("param {} ({} values) gets no gradient: the loss{} does not depend on it", path,
                    element_count(spec.type.shape).str(), step.name.empty() ? "" : " of step " + step.name));
  }
}

}  // namespace gradc::frontend
