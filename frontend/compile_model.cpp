// A file to a Unit: the model is elaborated once for each entry point, and the training step is put together
// from the loss, its gradient and the optimiser.
#include <algorithm>
#include <utility>

#include "frontend/data.h"
#include "frontend/frontend.h"
#include "frontend/parser.h"
#include "frontend/render.h"
#include "frontend/train_block.h"
#include "support/check.h"

namespace gradc::frontend {

Elaborator::Elaborator(Session& s, std::string name, Mode mode, graph::Module* module)
    : s_(s),
      mode_(mode),
      b_(name, module),
      finish_(name == "eval_step" ? "finish" : name + "_finish"),
      module_(module) {}

namespace {

using Kind = Value::Kind;
constexpr int64_t kManySums = int64_t(1) << 24;  // while the number of accumulators is not known

class ModelCompiler {
 public:
  ModelCompiler(Sources& sources, const Options& o, Diagnostics& d) : s_(sources, d, o) {}

  Unit run(uint32_t file) {
    load(s_, file);
    override_constants();
    if (s_.diagnostics.has_errors()) return {};
    Elaborator numbers(s_, "numbers", Mode::Predict);
    Scope top;
    top.file = s_.main;
    check_constants(numbers);
    choose();
    if (model_ == nullptr) return {};
    if (train_ != nullptr) {
      fields_ = read_train(*train_, s_, numbers, top);
      unit_.train = fields_.spec;
      if (data_ != nullptr) unit_.data = read_data(*data_, numbers, top);
    }
    if (s_.diagnostics.has_errors()) return {};
    unit_.model_name = model_->name;
    read_inputs(numbers);
    if (!s_.diagnostics.has_errors()) survey();
    if (s_.diagnostics.has_errors()) return {};
    build();
    unit_.rendered = render_defaults(s_, train_, train_ != nullptr ? &*unit_.train : nullptr);
    return std::move(unit_);
  }

 private:
  // ---- what is compiled
  void override_constants() {
    for (const Override& o : s_.options.defines) {
      auto it = s_.main->constants.find(o.name);
      const uint32_t file = s_.sources.add("-D " + o.name, o.value);
      const Loc loc{file, 0, static_cast<uint32_t>(o.value.size())};
      if (it == s_.main->constants.end()) {
        std::vector<std::string> known;
        for (const auto& [n, c] : s_.main->constants) known.push_back(n);
        const std::string near = nearest(o.name, known);
        s_.diagnostics.error(loc, fmt::format("unknown constant '{}'{}", o.name,
                                              near.empty() ? "" : fmt::format("; did you mean '{}'?", near)));
        continue;
      }
      s_.overrides.push_back(parse_expression(s_.sources, file, s_.diagnostics));
      it->second = {&s_.overrides.back(), loc};
    }
  }

  void check_constants(Elaborator& e) {
    for (const auto& [name, c] : s_.main->constants) {
      Scope scope;
      scope.file = s_.main;
      try {
        e.lookup(name, scope, c.second);
      } catch (const CompileError& error) {
        e.report(error);
      }
    }
  }

  void choose() {
    const File& f = s_.files.front();
    auto model_named = [&](const std::string& n) -> const Callable* {
      for (const Callable& c : f.callables)
        if (c.kind == Callable::Kind::Model && c.name == n) return &c;
      return nullptr;
    };
    if (f.train.size() > 1) s_.diagnostics.error(f.train[1].loc, "a second train block is not available yet");
    if (!f.train.empty()) {
      train_ = &f.train[0];
      model_ = model_named(train_->name);
      if (model_ == nullptr) unknown(train_->loc, "model", train_->name, model_names());
      for (const Block& b : f.data)
        if (b.name == train_->data) data_ = &b;
      std::vector<std::string> known;
      for (const Block& b : f.data) known.push_back(b.name);
      if (data_ == nullptr) unknown(train_->data_loc, "data", train_->data, known);
      return;
    }
    for (const Callable& c : f.callables)
      if (c.kind == Callable::Kind::Model) model_ = model_ == nullptr ? &c : model_;
    if (model_ == nullptr) s_.diagnostics.error({s_.main->file, 0, 0}, "the file declares no model");
  }
  std::vector<std::string> model_names() const {
    std::vector<std::string> names;
    for (const Callable& c : s_.files.front().callables)
      if (c.kind == Callable::Kind::Model) names.push_back(c.name);
    return names;
  }
  void unknown(Loc loc, const char* what, const std::string& name, const std::vector<std::string>& known) {
    const std::string near = nearest(name, known);
    s_.diagnostics.error(loc, fmt::format("unknown {} '{}'{}", what, name,
                                          near.empty() ? "" : fmt::format("; did you mean '{}'?", near)));
  }

  // ---- inputs
  void read_inputs(Elaborator& e) {
    const int64_t batch =
        unit_.train ? unit_.train->batch : std::max<int64_t>(1, s_.options.batch > 0 ? s_.options.batch : 32);
    for (const Formal& f : model_->formals) {
      try {
        if (!f.type || f.name.empty())
          e.fail(f.loc, "an input of a model has a name and a type: x: f32[B, 64]");
        Input in{f.name, parameter_of(f.name), {e.element_type(*f.type), {}}, true, 0, f.loc};
        for (const DimExpr& d : f.type->dims) in.type.shape.push_back(input_dim(e, d, batch));
        if (in.type.shape.empty() || in.type.shape[0].is_constant())
          e.fail(f.type->loc, fmt::format("the first axis of input {} is the batch: [B, ...]", f.name));
        if (!(in.type.shape[0] == Index::dim(batch_dim_)))
          e.fail(f.type->loc, fmt::format("the first axis of input {} is {}, where {} is the batch", f.name,
                                          in.type.shape[0].str(), batch_dim_));
        unit_.inputs.push_back(in);
      } catch (const CompileError& error) {
        e.report(error);
      }
    }
    if (model_->formals.empty())
      s_.diagnostics.error(model_->loc, "a model has inputs: model m(x: f32[B, 64])");
    if (unit_.data && !s_.diagnostics.has_errors()) read_fields(e);
  }

  // Entry points have parameters and results of their own; a field of the same name gets a '.', which no
  // name of the language has.
  std::string parameter_of(const std::string& field) const {
    static const std::set<std::string> ours = {"step",   "total",  "seed",   "lr",          "loss",  "sums",
                                               "values", "output", "shifts", "next_shifts", "checks"};
    const bool result = std::any_of(model_->results.begin(), model_->results.end(),
                                    [&](const Formal& r) { return r.name == field; });
    return ours.count(field) != 0 || result ? "." + field : field;
  }

  Dim input_dim(Elaborator& e, const DimExpr& d, int64_t batch) {
    Scope scope;
    scope.file = s_.main;
    if (d.ellipsis) e.fail(d.loc, "'...' in a model's input: write its dimensions");
    const bool free = d.value->is(Expr::Kind::Name) && !e.find_value(d.value->text, scope);
    if (!free) {
      const int64_t n = e.constant_int(e.evaluate(*d.value, scope), "a dimension", d.loc);
      if (n < 1) e.fail(d.loc, fmt::format("a dimension of {}", n));
      return Dim(n);
    }
    const std::string& name = d.value->text;
    if (dims_.empty()) {
      batch_dim_ = name;
      dims_[name] = batch;
    } else if (d.bound) {
      dims_[name] = e.constant_int(e.evaluate(*d.bound, scope), "a bound", d.loc);
    } else if (dims_.count(name) == 0) {
      e.fail(d.loc, fmt::format("{} is unknown and needs a bound: {} <= 256", name, name));
    }
    return Index::dim(name);
  }

  // Fields of the data that the model does not take: labels and weights, for loss and metrics.
  void read_fields(Elaborator& e) {
    std::vector<std::string> names;
    for (const SourceSpec& source : unit_.data->sources) {
      for (const FieldSpec& f : source.fields) {
        if (std::find(names.begin(), names.end(), f.name) != names.end()) continue;
        names.push_back(f.name);
        const auto known = std::find_if(unit_.inputs.begin(), unit_.inputs.end(),
                                        [&](const Input& i) { return i.name == f.name; });
        if (known != unit_.inputs.end()) continue;
        for (const Formal& r : model_->results)
          if (r.name == f.name)
            throw CompileError(
                Diagnostic{Severity::Error,
                           f.loc,
                           fmt::format("'{}' is a field of the data and a result of the model; "
                                       "loss and metrics could not tell them apart",
                                       f.name),
                           {},
                           {{r.loc, "the result"}},
                           "rename one of them"});
        std::optional<Type> t;
        if (source.kind == SourceSpec::Kind::Csv && f.scalar)
          t = Type{f.dtype, {}};
        else if (source.kind == SourceSpec::Kind::Csv && !f.all_columns)
          t = Type{f.dtype, {Dim(static_cast<int64_t>(f.columns.size()))}};
        else if (s_.options.example_type)
          t = s_.options.example_type(source, f);
        if (!t) t = Type{source.kind == SourceSpec::Kind::Idx ? DType::U8 : f.dtype, {}};
        t->shape.insert(t->shape.begin(), Index::dim(batch_dim_));
        unit_.inputs.push_back({f.name, parameter_of(f.name), *t, false, 0, f.loc});
      }
    }
    for (const Input& in : unit_.inputs) {
      if (!in.model_input || std::find(names.begin(), names.end(), in.name) != names.end()) continue;
      std::string list;
      for (const std::string& n : names) list += (list.empty() ? "" : ", ") + n;
      const bool csv = unit_.data->sources[0].kind == SourceSpec::Kind::Csv;
      e.fail(in.loc,
             fmt::format("model input '{}' has no field in data '{}' (it has: {}); write {}({} = ...)",
                         in.name, unit_.data->name, list, csv ? "csv(...), " : "idx", in.name));
    }
  }

  // ---- one elaboration of the model
  struct Pass {
    Pass(Session& s, std::string name, Mode mode, graph::Module* m) : e(s, std::move(name), mode, m) {}
    Elaborator e;
    Scope scope;  // inputs, fields and named results
    std::shared_ptr<Instance> root = std::make_shared<Instance>();
    std::map<std::string, graph::NodeId> inputs;
  };

  // Inputs become parameters; the model is applied to them. False after an error.
  bool apply_model(Pass& p, bool all_fields, int64_t sums) {
    Elaborator& e = p.e;
    e.batch_dim = batch_dim_;
    for (const auto& [n, max] : dims_) e.builder().dim(n, {max, max});
    std::vector<Value> arguments;
    p.scope.file = s_.main;
    for (const Input& in : unit_.inputs) {
      if (!in.model_input && !all_fields) continue;
      Value v = e.wrap(e.builder().param(in.parameter, in.type));
      v.loc = in.loc;
      v.origin = fmt::format("input {}, {}", in.name, at(s_, in.loc));
      p.inputs[in.name] = v.node;
      p.scope.names[in.name] = v;
      if (in.model_input) arguments.push_back(v);
    }
    if (e.mode() == Mode::Train) e.step_node = e.builder().param("step", {DType::I64, {}});
    if (e.mode() == Mode::Train || e.mode() == Mode::Init)
      e.seed_node = e.builder().param("seed", {DType::I64, {}});
    if (sums > 0) e.expect_sums(sums);
    e.on_labels = [this, &p](graph::NodeId n, int64_t classes) {
      bool field = false;
      for (Input& in : unit_.inputs)
        if (auto it = p.inputs.find(in.name); it != p.inputs.end() && it->second == n) {
          in.classes = in.classes == 0 ? classes : std::min(in.classes, classes);
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
        const std::string name = model_->results[i].name.empty() ? "output" : model_->results[i].name;
        if (!results[i].is(Kind::Tensor))
          e.fail(model_->results[i].loc, fmt::format("result {} is no tensor", name));
        results[i].loc = {};
        results[i].origin = fmt::format("result {}, {}", name, at(s_, model_->results[i].loc));
        p.scope.names[name] = results[i];
      }
      if (model_->results.empty())
        e.fail(model_->loc, "a model names its results: -> (logits: [B, classes])");
    } catch (const CompileError& error) {
      e.report(error);
      return false;
    }
    return !s_.diagnostics.has_errors();
  }

  // Loss and metrics as values of the whole split, in the finishing function.
  std::vector<Value> metrics(Pass& p) {
    std::vector<Value> values;
    p.e.deferring = true;
    // A metric's own arithmetic is in f64; the loss keeps its type and is added up in f64.
    Scope wide;
    wide.outer = &p.scope;
    wide.file = p.scope.file;
    for (const auto& [name, v] : p.scope.names)
      if (v.is(Kind::Tensor) && is_float(p.e.dtype(v))) wide.names[name] = p.e.convert(v, DType::F64, v.loc);
    auto one = [&](const std::string& name, const Expr& x) {
      try {
        Value v = p.e.evaluate(x, p.e.wide ? wide : p.scope);
        if (v.is_tensor() && v.is(Kind::Tensor))
          p.e.fail(x.loc, fmt::format("{} is {}; a metric is one number over the batch: mean(...)", name,
                                      p.e.describe(v)));
        if (v.is_number())
          v = p.e.wrap(p.e.finish().constant(p.e.constant_real(v, name, x.loc), DType::F64), true);
        if (!v.is(Kind::Deferred) || !p.e.shape(v).empty())
          p.e.fail(x.loc, fmt::format("metric {} is not one number", name));
        values.push_back(p.e.convert(v, DType::F64, x.loc));
        // A later metric may read it; an input or result of the same name stays what it is.
        if (p.scope.names.emplace(name, values.back()).second) wide.names[name] = values.back();
      } catch (const CompileError& error) {
        p.e.report(error);
      }
    };
    one("loss", *fields_.loss);
    p.e.wide = true;
    for (const auto& [name, x] : fields_.metrics) one(name, *x);
    p.e.wide = p.e.deferring = false;
    return values;
  }

  Value loss(Pass& p) {
    const Expr& x = *fields_.loss;
    const Value v = p.e.evaluate(x, p.scope);
    if (!v.is(Kind::Tensor) || !is_float(p.e.dtype(v)))
      p.e.fail(x.loc, fmt::format("loss is {}; a loss is one float number: mean(...)", p.e.describe(v)));
    if (!p.e.shape(v).empty())
      p.e.fail(x.loc,
               fmt::format("loss is {}; a loss is one number: mean(...)", p.e.builder().type(v.node).str()));
    return v;
  }

  graph::NodeId join(graph::Builder& b, const std::vector<graph::NodeId>& parts) {
    std::vector<graph::NodeId> flat;
    for (graph::NodeId n : parts) flat.push_back(b.reshape(n, {element_count(b.shape(n))}));
    return flat.size() == 1 ? flat[0] : b.concat(flat, 0);
  }

  // ---- first numbers of a split, from batch to batch
  void read_shifts(Pass& p) {
    if (shifts_ > 0) p.e.shifts_node = p.e.builder().param("shifts", {DType::F64, {Dim(shifts_)}});
  }
  void write_shifts(Pass& p) {
    std::vector<graph::NodeId> used;
    for (const auto& [first, shift] : p.e.shifts) used.push_back(shift);
    if (!used.empty()) p.e.builder().result(join(p.e.builder(), used), "next_shifts");
  }

  // ---- checks of indices
  // Of reads that a result needs, each once.
  IndexChecks checks_of(Pass& p) {
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
  void add_checks(Pass& p) {
    const IndexChecks c = checks_of(p);
    if (c.found == graph::kNone) return;
    p.e.builder().result(c.found, check_output());
    unit_.checks[p.e.builder().function().name] = c.sites;
  }
  std::string check_output() const {
    const bool taken = std::any_of(model_->results.begin(), model_->results.end(),
                                   [](const Formal& r) { return r.name == "checks"; });
    return taken ? "..checks" : "checks";
  }

  // The first elaboration finds every mistake, parameter, state and accumulator. The bodies of its loops go.
  void survey() {
    elaborate_all();
    std::erase_if(unit_.module.functions, [](const auto& f) { return f.first.starts_with("survey."); });
  }
  void elaborate_all() {
    Pass p(s_, "survey", train_ != nullptr ? Mode::Train : Mode::Predict, &unit_.module);
    if (!apply_model(p, true, kManySums)) return;
    unit_.layers = p.e.layers;
    fits_ = p.e.fits;
    unit_.fit_phases = fits_;
    if (train_ == nullptr) return;
    try {
      const Value l = loss(p);
      metrics(p);
      sums_ = p.e.accumulated;
      shifts_ = static_cast<int64_t>(p.e.shifts.size());
      if (s_.diagnostics.has_errors()) return;
      find_unreached(p, l.node);
      optimise(p, {}, p.e.wrap(p.e.builder().constant(0, DType::F64)));
    } catch (const CompileError& error) {
      p.e.report(error);
    }
  }

  // Parameters that no path from the loss reaches get no gradient and keep their value.
  void find_unreached(Pass& p, graph::NodeId from) {
    const graph::Builder& b = p.e.builder();
    std::vector<char> seen(b.function().nodes.size(), 0);
    std::vector<graph::NodeId> work = {from};
    while (!work.empty()) {
      const graph::NodeId n = work.back();
      work.pop_back();
      if (std::exchange(seen[n], 1) != 0 || b[n].op->name == "stop_gradient") continue;
      for (graph::NodeId o : b[n].operands) work.push_back(o);
    }
    for (const auto& [path, slot] : p.e.slots()) {
      if (slot.spec.role != StateSpec::Role::Param || seen[slot.node] != 0) continue;
      frozen_.insert(path);
      s_.diagnostics.warning(
          slot.spec.loc, fmt::format("param {} ({} values) gets no gradient: the loss does not depend on it",
                                     path, element_count(slot.spec.type.shape).str()));
    }
  }

  // ---- the optimiser: once for each parameter
  using Gradients = std::map<std::string, Value>;
  std::map<std::string, Value> optimise(Pass& p, const Gradients& gradients, Value lr) {
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
      if (!r.is(Kind::Tensor) || e.builder().type(r.node) != type)
        e.fail(x.loc, fmt::format("the optimizer gives {} for param {}", e.describe(r), path));
      updated[path] = r;
    }
    e.parameter_path.clear();
    return updated;
  }

  // lr: a number, which can change without compiling again, or a schedule of step and total.
  Value learning_rate(Pass& p, graph::NodeId total) {
    Elaborator& e = p.e;
    const Expr& x = *fields_.lr;
    Value v = e.evaluate_partial(x, p.scope);
    if (v.is_number()) {
      unit_.train->hyper["lr"] = e.constant_real(v, "lr", x.loc);
      Value lr = e.wrap(e.builder().param("lr", {DType::F64, {}}));
      lr.scalar = true;
      return lr;
    }
    if (v.is(Kind::Fn) && v.fn->definition != nullptr) {
      std::map<std::string, Value> named;
      for (const Formal& f : v.fn->definition->formals) {
        if (f.name != "step" && f.name != "total") continue;
        Value n = e.convert(e.wrap(f.name == "step" ? e.step_node : total), DType::F64, x.loc);
        n.scalar = true;
        named[f.name] = n;
      }
      v = e.call(v, {}, named, &x, x.loc, false);
    }
    if (!v.is(Kind::Tensor) || !v.scalar)
      e.fail(x.loc,
             fmt::format("lr is a number or a schedule, such as cosine(1e-3, 0), not {}", e.describe(v)));
    return v;
  }

  // ---- the functions
  void build() {
    try {
      if (train_ != nullptr) build_training();
      build_init();
      build_predict();
      for (int n = 0; n < fits_; ++n) build_fit(n);
      if (train_ != nullptr) build_evaluation();
    } catch (const CompileError& error) {
      if (!error.reported)
        s_.diagnostics.error(error.diagnostic.loc, error.diagnostic.text).notes = error.diagnostic.notes;
      GRADC_CHECK(s_.diagnostics.has_errors(), "a mistake that was not reported");
    }
  }

  void keep(graph::Function f) {
    if (!s_.options.fma) f.notes["fma"] = "off";
    unit_.module.functions[f.name] = std::move(f);
  }

  // @loss: loss, sums of the metrics, new states. Returns what the outer step needs to know.
  void build_training() {
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
    keep(inner.e.builder().finish());
    build_step(inner, stored, std::move(checks.sites));
  }

  // `sites` are those that @loss checks, in two results behind the others. Shifts stand before them.
  void build_step(Pass& inner, const std::vector<std::string>& stored, std::vector<IndexCheck> sites) {
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
  void store(graph::Builder& b, const std::vector<std::pair<graph::NodeId, graph::NodeId>>& updates,
             graph::NodeId bad) {
    for (const auto& [value, state] : updates) {
      const bool always = bad == graph::kNone;
      b.result(always ? value : b.select(b.splat(bad, b.shape(state)), state, value), "", state);
    }
  }

  // Scales all gradients so that their common norm is at most `clip`, as PyTorch's clip_grad_norm_ does.
  void clip(Pass& p, Gradients& gradients) {
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

  void build_init() {
    Pass p(s_, "init", Mode::Init, &unit_.module);
    if (!apply_model(p, false, 0)) throw CompileError(s_.diagnostics);
    if (train_ != nullptr) optimise(p, {}, p.e.wrap(p.e.builder().constant(0, DType::F64)));
    graph::Builder& b = p.e.builder();
    for (const std::string& path : p.e.slot_order()) {
      const Slot& s = p.e.slots().at(path);
      if (train_ == nullptr) unit_.state.push_back(s.spec);
      b.result(s.initial->node, "", s.node);
    }
    add_checks(p);
    keep(without_inputs(b.finish(), p));
  }

  // @init reads no inputs: the model ran only to meet its parameters.
  graph::Function without_inputs(graph::Function f, const Pass& p) {
    for (const auto& [name, n] : p.inputs) f.params.erase(std::find(f.params.begin(), f.params.end(), n));
    return rebuilt(f);
  }

  // A copy with the nodes alone that results need.
  graph::Function rebuilt(const graph::Function& f) {
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

  void build_predict() {
    Pass p(s_, "predict", Mode::Predict, &unit_.module);
    if (!apply_model(p, false, 0)) throw CompileError(s_.diagnostics);
    for (const Formal& r : model_->results) {
      const std::string name = r.name.empty() ? "output" : r.name;
      const Value& v = p.scope.names.at(name);
      for (const Dim& d : p.e.shape(v))
        if (!d.is_constant() &&
            !(d.terms().size() == 1 && d.constant_part() == 0 && d.terms()[0].factors.size() == 1 &&
              d.terms()[0].factors[0].kind == Atom::Kind::Dim))
          throw CompileError(r.loc,
                             fmt::format("result {} is {}: an axis of {}, where results have constants "
                                         "and multiples of one dimension",
                                         name, str(p.e.shape(v)), d.str()));
      unit_.outputs.push_back(name);
      p.e.builder().result(v.node, name);
    }
    add_checks(p);
    keep(p.e.builder().finish());
  }

  void build_fit(int phase) {
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

  void build_evaluation() {
    Pass p(s_, "eval_step", Mode::Eval, &unit_.module);
    if (!apply_model(p, true, sums_)) throw CompileError(s_.diagnostics);
    read_shifts(p);
    const std::vector<Value> values = metrics(p);
    if (s_.diagnostics.has_errors()) throw CompileError(s_.diagnostics);
    p.e.builder().result(join(p.e.builder(), p.e.accumulators), "sums");
    write_shifts(p);
    add_checks(p);
    keep(p.e.builder().finish());
    std::vector<graph::NodeId> nodes;
    for (const Value& v : values) nodes.push_back(v.node);
    p.e.finish().result(join(p.e.finish(), nodes), "values");
    keep(p.e.finish().finish());
  }

  Session s_;
  Unit unit_;
  const Block *train_ = nullptr, *data_ = nullptr;
  const Callable* model_ = nullptr;
  TrainFields fields_;
  std::map<std::string, int64_t> dims_;
  std::string batch_dim_ = "B";
  std::set<std::string> frozen_;
  std::vector<std::shared_ptr<Instance>> owners_;
  int fits_ = 0;
  int64_t sums_ = 0, shifts_ = 0;
};

}  // namespace

Unit compile_model(Sources& sources, uint32_t file, const Options& o, Diagnostics& diagnostics) {
  try {
    return ModelCompiler(sources, o, diagnostics).run(file);
  } catch (const CompileError& e) {  // a mistake outside any statement
    if (e.reported) return {};
    Diagnostic& d = diagnostics.error(e.diagnostic.loc, e.diagnostic.text);
    d.notes = e.diagnostic.notes, d.help = e.diagnostic.help;
    return {};
  }
}

}  // namespace gradc::frontend
