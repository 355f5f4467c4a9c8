// Functions and layers: arguments, signatures, paths, results.
#include <algorithm>
#include <utility>

#include "frontend/elaboration/elaborator.h"
#include "support/check.h"

namespace gradc::frontend {

using Kind = Value::Kind;

namespace {

std::string snake_case(const std::string& name) {
  std::string out;
  for (size_t i = 0; i < name.size(); ++i) {
    const bool upper = std::isupper(static_cast<unsigned char>(name[i])) != 0;
    const bool after_lower = i > 0 && std::islower(static_cast<unsigned char>(name[i - 1])) != 0;
    const bool before_lower =
        i > 0 && i + 1 < name.size() && std::islower(static_cast<unsigned char>(name[i + 1])) != 0;
    if (upper && (after_lower || before_lower)) out += '_';
    out += static_cast<char>(std::tolower(static_cast<unsigned char>(name[i])));
  }
  return out;
}

std::vector<std::string> names_of(const std::vector<Formal>& formals) {
  std::vector<std::string> names;
  for (const Formal& f : formals) names.push_back(f.name);
  return names;
}
bool is_among(const std::string& name, const std::vector<Formal>& formals) {
  return std::any_of(formals.begin(), formals.end(), [&](const Formal& f) { return f.name == name; });
}

}  // namespace

DType Elaborator::element_type(const TypeExpr& t) const {
  if (t.dtype.empty() || t.dtype == "float") return float_type();
  const DType written = *dtype_named(t.dtype);
  return wide && is_float(written) ? DType::F64 : written;
}

Index Elaborator::dim_of(const Expr& e, Scope& scope) {
  const Value v = evaluate(e, scope);
  if (v.is(Kind::Integer)) return v.integer;
  if (v.is(Kind::Real)) {
    std::string help;
    if (e.is(Expr::Kind::Binary) && e.text == "/") {
      const Value n = evaluate(e.kids[0], scope), d = evaluate(e.kids[1], scope);
      const int64_t num = constant_int(n, "a dimension", e.loc), den = constant_int(d, "a divisor", e.loc);
      std::string divisors;
      if (num < 1 || den < 1 || num > 1000000 || den > 1000000)
        fail(e.loc, fmt::format("a dimension must be whole, not {} / {}", num, den));
      for (int64_t lower = den; lower > 0; --lower)
        if (num % lower == 0) {
          divisors = std::to_string(lower);
          break;
        }
      for (int64_t upper = den; upper <= num; ++upper)
        if (num % upper == 0) {
          divisors += " and " + std::to_string(upper);
          break;
        }
      fail(e.loc, fmt::format("{} = {:.3f} used as a dimension ({} / {}); {} divide {}",
                              s_.sources.text(e.loc), v.real, num, den, divisors, num));
    }
    fail(e.loc, fmt::format("a dimension must be whole, not {}", v.real));
  }
  fail(e.loc, fmt::format("a dimension is an integer, not {}", describe(v)));
}

Shape Elaborator::dims(const TypeExpr& t, Scope& scope) {
  Shape out;
  for (const DimExpr& d : t.dims) {
    if (d.ellipsis) {
      const Value* rest = scope.find("...");
      if (rest == nullptr)
        fail(d.loc, "'...' stands for the dimensions of an argument, and no argument has one");
      for (const Value& v : rest->items) out.push_back(v.integer);
    } else {
      Value v = evaluate(*d.value, scope);
      out.push_back(v.is(Kind::Real) && d.value->is(Expr::Kind::Name)
                        ? Dim(constant_int(v, "a dimension", d.loc))
                        : dim_of(*d.value, scope));
    }
    if (!d.ellipsis && out.back().is_constant() && out.back().constant_part() < 0)
      fail(d.loc, fmt::format("a dimension of {}: {} is negative", out.back().str(), s_.sources.text(d.loc)));
  }
  return out;
}

// Checks a value against a written type and binds the dimensions that stand alone in it.
void Elaborator::match_type(const TypeExpr& t, const Value& v, Scope& scope, const Subject& subject, Loc loc,
                            bool weak) {
  const bool any_shape = t.dims.size() == 1 && t.dims[0].ellipsis;
  if (weak && !v.is_tensor() && (any_shape || t.dims.empty())) return;
  if (!v.is_tensor())
    fail(loc,
         fmt::format("{} needs a tensor {}, not {}", subject.str(), s_.sources.text(t.loc), describe(v)));
  const DType want = element_type(t), have = dtype(v);
  if (t.dtype.empty() || t.dtype == "float") {
    if (!is_float(have)) {
      const std::string user = v.loc && !s_.in_standard(v.loc) ? std::string(s_.sources.text(v.loc)) : "x";
      fail(loc, fmt::format("{} needs float, {} is {}; write f32({}){}", subject.str(), user,
                            of(v).type(v.node).str(), user, have == DType::U8 ? " / 255" : ""));
    }
  } else if (want != have && !v.scalar) {
    fail(loc, fmt::format("{} is {}, declared {}", subject.str(), of(v).type(v.node).str(),
                          s_.sources.text(t.loc)));
  }
  const Shape& is = shape(v);
  const size_t written = t.dims.size();
  const bool rest = std::any_of(t.dims.begin(), t.dims.end(), [](const DimExpr& d) { return d.ellipsis; });
  if (rest ? is.size() + 1 < written : is.size() != written)
    fail(loc, fmt::format("{} is {}, declared {}: {} axes against {}{}", subject.str(), str(is),
                          s_.sources.text(t.loc), is.size(), written - rest, rest ? " or more" : ""));
  size_t axis = 0;
  auto mismatch = [&](const Dim& have_dim, const Dim& want_dim) {
    fail(loc, fmt::format("{} is {}, declared {}: {} against {}", subject.str(), str(is),
                          s_.sources.text(t.loc), have_dim.str(), want_dim.str()));
  };
  std::vector<std::pair<const Expr*, Dim>> compound;
  for (const DimExpr& d : t.dims) {
    if (d.ellipsis) {
      const size_t n = is.size() + 1 - written;
      std::vector<Value> items;
      for (size_t i = 0; i < n; ++i) items.push_back(Value::of(is[axis + i]));
      if (Value* old = scope.find("...")) {
        bool same = old->items.size() == n;
        for (size_t i = 0; same && i < n; ++i) same = old->items[i].integer == is[axis + i];
        if (!same)
          fail(loc, fmt::format("{} is {}: '...' stands for other dimensions in an argument before",
                                subject.str(), str(is)));
      } else {
        scope.names["..."] = Value::list(items);
      }
      axis += n;
      continue;
    }
    const Dim& have_dim = is[axis++];
    if (!d.value->is(Expr::Kind::Name)) {
      compound.push_back({&*d.value, have_dim});
      continue;
    }
    const auto known = find_value(d.value->text, scope);
    if (known && known->is_number()) {
      const Dim want_dim(known->is(Kind::Integer) ? known->integer
                                                  : Index(constant_int(*known, "a dimension", d.loc)));
      if (!(want_dim == have_dim)) mismatch(have_dim, want_dim);
    } else {
      scope.names[d.value->text] = Value::of(have_dim);
      scope.names[d.value->text].loc = d.loc;
    }
  }
  for (const auto& [e, have_dim] : compound) {
    const Dim want_dim = dim_of(*e, scope);
    if (!(want_dim == have_dim)) mismatch(have_dim, want_dim);
  }
}

Value Elaborator::evaluate_call(const Expr& e, Scope& scope, bool partial) {
  const Expr& callee = e.kids[0];
  if (callee.is(Expr::Kind::Name) && callee.text == "fit")
    fail(e.loc, "fit(...) gives a state its value: state mu: [d] = fit(...)");
  if (callee.is(Expr::Kind::Name) && !is_known(callee.text, scope)) {
    const std::string near = nearest(callee.text, s_.known_names(scope.file));
    fail(callee.loc, fmt::format("unknown function '{}'{}", callee.text,
                                 near.empty() ? "" : fmt::format("; did you mean '{}'?", near)));
  }
  std::vector<Value> positional;
  std::map<std::string, Value> named;
  std::optional<Meanwhile<bool>> within;  // what is differentiated is a number of one batch, in metrics too
  if (callee.is_name("grad"))
    if (const Value g = *find_value("grad", scope); g.is(Kind::Fn) && g.fn->definition == nullptr)
      within.emplace(deferring, false);
  for (const Argument& a : e.arguments) {
    if (a.name.empty()) {
      if (!named.empty()) fail(a.loc, "an argument by position after one by keyword");
      positional.push_back(evaluate_partial(a.value, scope));
    } else if (!named.emplace(a.name, evaluate_partial(a.value, scope)).second) {
      fail(a.loc, fmt::format("'{}' is given twice", a.name));
    }
  }
  within.reset();
  // After the arguments, so that the layers of a chain are numbered in the order in which they run.
  const Value f = evaluate(callee, scope);
  if (f.is(Kind::Layer)) {
    if (e.piped) fail(callee.loc, fmt::format("layer {0} needs braces: {0}{{...}}", f.fn->name));
    std::string args;
    for (const Argument& a : e.arguments)
      args += (args.empty() ? "" : ", ") + std::string(s_.sources.text(a.value.loc));
    fail(e.loc, fmt::format("{0} is a layer: braces make it, parentheses apply it; write x |> {0}{{{1}}}",
                            f.fn->name, args));
  }
  b_.set_location(e.loc);
  return call(f, std::move(positional), std::move(named), &e, e.loc, partial);
}

Value Elaborator::call(const Value& f, std::vector<Value> positional, std::map<std::string, Value> named,
                       const Expr*, Loc loc, bool partial) {
  if (f.is(Kind::Instance)) return apply(f.instance, std::move(positional), std::move(named), loc);
  if (!f.is(Kind::Fn)) fail(loc, fmt::format("{} cannot be called", describe(f)));
  std::vector<Value> all = f.fn->positional;
  all.insert(all.end(), positional.begin(), positional.end());
  std::map<std::string, Value> by_name = f.fn->named;
  for (auto& [n, v] : named) by_name[n] = v;
  if (f.fn->definition != nullptr)
    return call_definition(*f.fn, std::move(all), std::move(by_name), loc, partial);
  if (partial && f.fn->name == "blocks" && by_name.count("shape") == 0) {
    Value bound = f;
    bound.fn =
        std::make_shared<Closure>(Closure{nullptr, nullptr, f.fn->name, std::move(all), std::move(by_name)});
    return bound;
  }
  return call_builtin(f.fn->name, std::move(all), std::move(by_name), loc);
}

// A function of the standard library, whatever the file calls by its name.
Value Elaborator::call_standard(const std::string& name, std::vector<Value> positional, Loc loc) {
  Closure f{s_.standard->callables.at(name), s_.standard, name, {}, {}};
  return call_definition(f, std::move(positional), {}, loc, false);
}

Value Elaborator::call_definition(const Closure& f, std::vector<Value> positional,
                                  std::map<std::string, Value> named, Loc loc, bool partial) {
  const Callable& c = *f.definition;
  if (positional.size() > c.formals.size())
    fail(loc, fmt::format("{} takes {} arguments, not {}", c.name, c.formals.size(), positional.size()));
  if (calls_.size() > 200) fail(loc, fmt::format("{} calls itself; there is no recursion", c.name));
  Scope scope;
  scope.file = f.home;
  std::vector<const Formal*> missing;
  for (size_t i = 0; i < c.formals.size(); ++i) {
    const Formal& p = c.formals[i];
    const std::string number = p.name.empty() ? std::to_string(i + 1) : "";
    const Subject subject{p.name.empty() ? "argument " : "", p.name.empty() ? number : p.name, " of ",
                          c.name};
    Value v;
    if (i < positional.size()) {
      v = positional[i];
      if (named.count(p.name) != 0) fail(loc, fmt::format("{} is given twice", subject.str()));
    } else if (auto it = named.find(p.name); it != named.end()) {
      v = it->second;
    } else if (p.otherwise) {
      continue;
    } else {
      missing.push_back(&p);
      continue;
    }
    if (p.type) match_type(*p.type, v, scope, subject, v.loc && !s_.in_standard(v.loc) ? v.loc : loc, true);
    scope.names[p.name] = v;
  }
  for (const auto& [n, v] : named) {
    if (is_among(n, c.formals)) continue;
    const std::string near = nearest(n, names_of(c.formals));
    fail(loc, fmt::format("{} has no argument '{}'{}", c.name, n,
                          near.empty() ? "" : fmt::format("; did you mean '{}'?", near)));
  }
  if (!missing.empty()) {
    if (!partial) fail(loc, fmt::format("{} needs its argument '{}'", c.name, missing[0]->name));
    Value bound;
    bound.kind = Kind::Fn;
    bound.fn = std::make_shared<Closure>(
        Closure{f.definition, f.home, f.name, std::move(positional), std::move(named)});
    return bound;
  }
  count_work(loc);
  const Level level(*this, loc, 2);
  calls_.push_back(loc);
  for (const Formal& p : c.formals)
    if (p.otherwise && scope.names.count(p.name) == 0)
      scope.names[p.name] = evaluate_partial(*p.otherwise, scope);
  check_logits(f, scope, loc);
  run_body(c, scope, loc);
  Value r = results_of(c, scope, loc);
  calls_.pop_back();
  if (f.home == s_.standard && c.name == "softmax" && r.is_tensor()) softmaxes_[r.node] = loc;
  return r;
}

// A mistake that trains, only badly: probabilities where logits are meant.
void Elaborator::check_logits(const Closure& f, Scope& scope, Loc loc) {
  if (f.home != s_.standard || f.definition->name != "cross_entropy") return;
  const Value& logits = scope.names.at("logits");
  const auto from = logits.is_tensor() ? softmaxes_.find(logits.node) : softmaxes_.end();
  if (from == softmaxes_.end()) return;
  warn(loc,
       fmt::format("cross_entropy takes logits; '{}' comes from softmax ({}); remove it",
                   logits.loc ? s_.sources.text(logits.loc) : "its first argument", at(s_, from->second)));
}

void Elaborator::run_body(const Callable& c, Scope& scope, Loc) {
  returns_.emplace_back();
  bodies_.push_back(&c);
  if (c.value)
    returns_.back() = evaluate(*c.value, scope);
  else
    run(c.body, scope);
}

// What the training step stores in a state: its last binding, which a scalar fills.
Value Elaborator::last_value(const std::string& name, const Type& type, const Value& last) {
  Value v = convert(tensor(last, type.dtype, last.loc), type.dtype, last.loc);
  if (shape(v).empty()) v = broadcast(v, type.shape, last.loc);
  if (shape(v) != type.shape)
    fail(last.loc,
         fmt::format("state {} is {}, its last value here is {}: what is stored has the state's type", name,
                     type.str(), describe(last)));
  return v;
}

// What the body returned, or the values of the named results; checked against the declared types.
Value Elaborator::results_of(const Callable& c, Scope& scope, Loc loc) {
  bodies_.pop_back();
  std::optional<Value> returned_value = std::move(returns_.back());
  returns_.pop_back();
  std::vector<Value> values;
  if (returned_value) {
    if (returned_value->is(Kind::Error)) silent();
    if (returned_value->is(Kind::List) && c.results.size() > 1)
      values = returned_value->items;
    else
      values = {*returned_value};
  } else {
    for (const Formal& r : c.results) {
      if (r.name.empty()) fail(c.loc, fmt::format("{} ends without return", c.name));
      const Value* v = scope.find(r.name);
      if (v == nullptr)
        fail(r.loc, fmt::format("'{}' has no value at the end of {}; bind it on every path", r.name, c.name));
      if (v->is(Kind::Error)) silent();
      values.push_back(*v);
    }
  }
  if (values.empty()) return {};
  if (!c.results.empty() && values.size() != c.results.size())
    fail(loc, fmt::format("{} declares {} results and returns {}", c.name, c.results.size(), values.size()));
  for (size_t i = 0; i < c.results.size(); ++i) {
    const Formal& r = c.results[i];
    if (!r.type) continue;
    const Subject subject = r.name.empty() ? Subject{"the result of ", c.name} : Subject{"result ", r.name};
    match_type(*r.type, values[i], scope, subject, s_.in_standard(r.loc) ? loc : r.loc, false);
  }
  return values.size() == 1 ? values[0] : Value::list(std::move(values));
}

std::map<std::string, Value> Elaborator::bind_config(const Callable& c, const FileScope* home,
                                                     const Expr& site, Scope& scope) {
  std::map<std::string, Value> config;
  size_t position = 0;
  for (const Argument& a : site.arguments) {
    std::string name = a.name;
    if (name.empty()) {
      if (position >= c.config.size())
        fail(a.loc,
             fmt::format("{} takes {} settings, not {}", c.name, c.config.size(), site.arguments.size()));
      name = c.config[position++].name;
    }
    if (!is_among(name, c.config)) {
      const std::string near = nearest(name, names_of(c.config));
      fail(a.loc, fmt::format("{} has no setting '{}'{}", c.name, name,
                              near.empty() ? "" : fmt::format("; did you mean '{}'?", near)));
    }
    Value v = evaluate_partial(a.value, scope);
    if (v.is_tensor() && !v.scalar)
      fail(a.loc, fmt::format("the setting '{}' of {} must be known when compiling", name, c.name));
    if (!config.emplace(name, v).second) fail(a.loc, fmt::format("'{}' is given twice", name));
  }
  Scope inner;
  inner.file = home;
  for (const Formal& f : c.config) {
    if (auto it = config.find(f.name); it == config.end()) {
      if (!f.otherwise) fail(site.loc, fmt::format("{} needs its setting '{}'", c.name, f.name));
      config[f.name] = evaluate_partial(*f.otherwise, inner);
    }
    inner.names[f.name] = config[f.name];
  }
  return config;
}

std::string Elaborator::child_path(Instance* parent, const std::string& type_name, const std::string& segment,
                                   Loc loc) {
  std::string name = segment;
  // What starts with '/', __opt__ or __carry__ is the compiler's, a '.' at an end would reach into another
  // layer.
  const bool plain = std::none_of(name.begin(), name.end(),
                                  [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 127; });
  if (!plain || name.starts_with("/") || name.starts_with("__opt__") || name.starts_with("__carry__") ||
      name.starts_with(".") || name.ends_with("."))
    fail(loc,
         fmt::format(
             "a layer named '{}'; a name has no control characters, no dot at an end, and does not start "
             "with /, __opt__ or __carry__",
             name));
  if (name.empty()) {
    name = snake_case(type_name);
    int& n = parent->children[name];
    if (++n > 1) name += "_" + std::to_string(n);
    for (int64_t i : iterations_) name += "." + std::to_string(i);
  }
  const std::string path = parent->path.empty() ? name : parent->path + "." + name;
  if (!paths_.insert(path).second)
    fail(loc, fmt::format("two layers have the path '{}'; name one with as \"...\"", path));
  return path;
}

Value Elaborator::evaluate_make(const Expr& e, Scope& scope, const std::string& bound_name) {
  const Expr& callee = e.kids[0];
  if (callee.is(Expr::Kind::Name) && !is_known(callee.text, scope)) {
    std::vector<std::string> known;
    for (const FileScope* f = scope.file; f != nullptr; f = f->outer)
      for (const auto& [n, c] : f->callables)
        if (c->kind == Callable::Kind::Layer) known.push_back(n);
    const std::string near = nearest(callee.text, known);
    fail(callee.loc, fmt::format("unknown layer '{}'{}", callee.text,
                                 near.empty() ? "" : fmt::format("; did you mean '{}'?", near)));
  }
  const Value f = evaluate(callee, scope);
  if (!f.is(Kind::Layer))
    fail(e.loc, fmt::format("{} is no layer; parentheses call a function", describe(f)));
  if (stack_.empty()) fail(e.loc, "a layer is made inside a model or layer");
  if (scan_ != nullptr && scan_->owner == stack_.back())
    fail(e.loc, "a layer made inside scan would be new at every step; make it before: cell = LSTMCell{n}");
  const std::string segment = e.named ? interpolate(e.text, scope, e.loc) : bound_name;
  return make_instance(f, bind_config(*f.fn->definition, f.fn->home, e, scope), segment, e.loc);
}

Value Elaborator::make_instance(const Value& layer, std::map<std::string, Value> config,
                                const std::string& segment, Loc loc) {
  Instance& owner = *stack_.back();
  Value v;
  v.kind = Kind::Instance;
  if (owner.calls > 0) {
    if (owner.next_made >= owner.made.size() ||
        owner.made[owner.next_made]->definition != layer.fn->definition)
      fail(loc,
           fmt::format("{} makes other layers here than when it was applied first", owner.definition->name));
    v.instance = owner.made[owner.next_made++];
    v.instance->config = std::move(config);
    return v;
  }
  auto instance = std::make_shared<Instance>();
  instance->definition = layer.fn->definition;
  instance->home = layer.fn->home;
  instance->parent = stack_.back();
  instance->path = child_path(stack_.back(), layer.fn->name, segment, loc);
  instance->config = std::move(config);
  instance->loc = loc;
  owner.made.push_back(instance);
  v.instance = instance;
  return v;
}

Value Elaborator::apply(const std::shared_ptr<Instance>& instance, std::vector<Value> positional,
                        std::map<std::string, Value> named, Loc loc) {
  const Callable& c = *instance->definition;
  if (stack_.size() > 200) fail(loc, fmt::format("{} applies itself; there is no recursion", c.name));
  if (positional.size() > c.formals.size())
    fail(loc,
         fmt::format("{} is applied to {} arguments, not {}", c.name, c.formals.size(), positional.size()));
  count_work(loc);
  const Level level(*this, loc, 3);
  Scope scope;
  scope.file = instance->home;
  scope.names = instance->config;
  calls_.push_back(loc);
  for (size_t i = 0; i < c.formals.size(); ++i) {
    const Formal& p = c.formals[i];
    Value v;
    if (i < positional.size())
      v = positional[i];
    else if (auto it = named.find(p.name); it != named.end())
      v = it->second;
    else if (p.otherwise)
      v = evaluate_partial(*p.otherwise, scope);
    else
      fail(loc, fmt::format("{} needs its argument '{}'", c.name, p.name));
    if (p.type) match_type(*p.type, v, scope, {.name = c.name}, loc, true);
    if (!p.name.empty()) scope.names[p.name] = v;
  }
  for (const auto& [n, v] : named)
    if (const auto known = names_of(c.formals); std::find(known.begin(), known.end(), n) == known.end())
      fail(loc, fmt::format("{} has no argument '{}'", c.name, n));
  stack_.push_back(instance.get());
  Scan* const scan = std::exchange(scan_, nullptr);
  const Meanwhile<std::vector<int64_t>> own(iterations_, {});  // its paths count its own repeats
  instance->draws = 0;
  instance->next_made = 0;
  const size_t before = slot_order_.size();
  run_body(c, scope, loc);
  Value r = results_of(c, scope, loc);
  store_states(*instance, scope);
  scan_ = scan;
  stack_.pop_back();
  calls_.pop_back();
  if (instance->calls++ == 0 && !instance->path.empty() && parameter_path.empty()) {
    LayerNote note{instance->path, c.name, r.is_tensor() ? of(r).type(r.node).str() : "", 0, loc};
    for (size_t i = before; i < slot_order_.size(); ++i) {
      const Slot& s = slots_.at(slot_order_[i]);
      const std::string own = instance->path + ".";
      const bool direct = s.spec.path.compare(0, own.size(), own) == 0 &&
                          s.spec.path.find('.', own.size()) == std::string::npos;
      if (direct && s.spec.role == StateSpec::Role::Param)
        note.parameters += element_count(s.spec.type.shape).constant_part();
    }
    layers.push_back(note);
  }
  return r;
}

}  // namespace gradc::frontend
