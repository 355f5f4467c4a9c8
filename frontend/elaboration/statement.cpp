// Statements of bodies: bindings, branches on constants, repeats, parameters and states.
#include <utility>

#include "frontend/elaboration/elaborator.h"
#include "support/check.h"

namespace gradc::frontend {

using Kind = Value::Kind;

namespace {
constexpr int64_t kMaxWork = 1000000;
}

void Elaborator::count_work(Loc loc) {
  if (++work_ > kMaxWork)
    fail(loc, fmt::format("the model runs more than {} statements, repeats and calls", kMaxWork));
}

// After a mistake in one statement the others are still checked; what it would have bound stays silent.
void Elaborator::run(const std::vector<Stmt>& body, Scope& scope) {
  for (const Stmt& st : body) {
    if (returned()) return;
    const size_t layers_open = stack_.size(), calls_open = calls_.size(), returns_open = returns_.size();
    Scan* const scan_open = scan_;
    const size_t bodies_open = bodies_.size();
    const bool deferred = deferring;
    try {
      count_work(st.loc);
      statement(st, scope);
    } catch (const CompileError& e) {
      report(e);
      stack_.resize(layers_open), calls_.resize(calls_open), returns_.resize(returns_open),
          bodies_.resize(bodies_open), scan_ = scan_open;
      deferring = deferred;
      if (work_ > kMaxWork) throw CompileError(Diagnostics{});
      Value error;
      error.kind = Kind::Error;
      for (const Target& t : st.targets) scope.names[t.name] = error;
      if (!st.name.empty()) scope.names[st.name] = error;
      if (st.kind == Stmt::Kind::Return) returns_.back() = error;
    }
  }
}

void Elaborator::statement(const Stmt& st, Scope& scope) {
  b_.set_location(st.loc);
  switch (st.kind) {
    case Stmt::Kind::Param:
      return parameter(st, scope);
    case Stmt::Kind::State:
      return state(st, scope);
    case Stmt::Kind::Const:
      for (size_t i = 0; i < st.targets.size(); ++i) {
        Value v = evaluate_partial(st.values[i], scope);
        if (v.is_tensor())
          fail(st.values[i].loc, fmt::format("const {} is not known when compiling", st.targets[i].name));
        v.loc = st.targets[i].loc;
        scope.names[st.targets[i].name] = v;
      }
      return;
    case Stmt::Kind::Require: {
      const Value v = evaluate(st.values[0], scope);
      if (!v.is(Kind::Bool)) fail(st.values[0].loc, "require needs a condition that is known when compiling");
      if (v.truth) return;
      const Loc user = calls_.empty() ? st.loc : calls_.back();
      throw CompileError(Diagnostic{
          Severity::Error, user, interpolate(st.text, scope, st.loc), {}, {{st.loc, "required here"}}, ""});
    }
    case Stmt::Kind::Return: {
      std::vector<Value> values;
      for (const Expr& e : st.values) values.push_back(evaluate(e, scope));
      if (returns_.empty()) fail(st.loc, "return outside a function, layer or model");
      returns_.back() = values.size() == 1 ? values[0] : Value::list(std::move(values));
      return;
    }
    case Stmt::Kind::If:
      return conditional(st, scope);
    case Stmt::Kind::Repeat:
      return repeat(st, scope);
    case Stmt::Kind::Scan:
      return scan(st, scope);
    case Stmt::Kind::Metric:
      fail(st.loc, "metrics stand in the train block");
    case Stmt::Kind::Step:
      fail(st.loc, fmt::format("step {}: steps stand in the train block", st.name));
    case Stmt::Kind::Assign:
      return assign(st, scope);
  }
}

void Elaborator::conditional(const Stmt& st, Scope& scope) {
  const Value c = evaluate(st.values[0], scope);
  if (!c.is(Kind::Bool))
    fail(st.values[0].loc, fmt::format("'if' needs a condition that is known when compiling, not {}; to "
                                       "choose by element write a if c else b",
                                       describe(c)));
  // Branches bind in the scope around them; what only one branch binds stays unknown on the other path.
  for (const Stmt& other : c.truth ? st.otherwise : st.body)
    for (const Target& t : other.targets)
      absent_[t.name] = fmt::format("{} = {}", s_.sources.text(st.values[0].loc), c.truth);
  run(c.truth ? st.body : st.otherwise, scope);
}

void Elaborator::repeat(const Stmt& st, Scope& scope) {
  const int64_t n = constant_int(evaluate(st.values[0], scope), "the number of repeats", st.values[0].loc);
  if (n < 0) fail(st.values[0].loc, fmt::format("{} repeats", n));
  Instance* owner = stack_.empty() ? nullptr : stack_.back();
  const std::map<std::string, int> before = owner != nullptr ? owner->children : std::map<std::string, int>{};
  std::map<std::string, int> after = before;
  for (int64_t i = 0; i < n && !returned(); ++i) {
    count_work(st.loc);
    Scope inner;
    inner.outer = &scope;
    inner.file = scope.file;
    if (!st.name.empty()) inner.names[st.name] = Value::of(Index(i));
    if (owner != nullptr) owner->children = before;
    run_iteration(st, inner, i);
    if (owner != nullptr) after = owner->children;
  }
  if (owner != nullptr) owner->children = after;
}

void Elaborator::run_iteration(const Stmt& st, Scope& scope, int64_t number) {
  struct Numbered {
    std::vector<int64_t>& all;
    ~Numbered() { all.pop_back(); }
  } numbered{iterations_};
  iterations_.push_back(number);
  run(st.body, scope);
}

void Elaborator::bind(const Target& t, Value v, Scope& scope) {
  if (v.is(Kind::None))
    fail(t.loc, fmt::format("'{}' gets no value: what is called returns nothing", t.name));
  if (t.type) {
    Scope inner;
    inner.outer = &scope;
    inner.file = scope.file;
    match_type(*t.type, v, inner, {.name = t.name}, t.loc, true);
  }
  v.loc = t.loc;
  if (v.is(Kind::Tensor)) b_.name(v.node, t.name);
  // An outer name of the same body is updated; a name that is new lives in the innermost block.
  if (Value* old = scope.find(t.name))
    *old = std::move(v);
  else
    scope.names[t.name] = std::move(v);
}

void Elaborator::assign(const Stmt& st, Scope& scope) {
  if (scan_ != nullptr && collect(st, scope)) return;
  if (st.targets.size() == 1 && st.targets[0].subscripts) {
    if (st.op != "=" || st.values.size() != 1)
      fail(st.loc, "an index statement is one name[...] = expression");
    return bind(st.targets[0], index_assignment(st.targets[0], st.values[0], scope), scope);
  }
  for (const Target& t : st.targets)
    if (t.subscripts) fail(t.loc, "an index statement binds one name");
  std::vector<Value> values;
  for (const Expr& e : st.values) {
    // cell = LSTMCell{n}: the instance takes its name from the binding.
    const bool instance = e.is(Expr::Kind::Make) && st.targets.size() == st.values.size() && st.op == "=";
    values.push_back(instance ? evaluate_make(e, scope, st.targets[values.size()].name) : evaluate(e, scope));
  }
  if (st.targets.size() > 1 && values.size() == 1) {
    if (!values[0].is(Kind::List) || values[0].items.size() != st.targets.size())
      fail(st.values[0].loc, fmt::format("{} names on the left, {} values on the right", st.targets.size(),
                                         values[0].is(Kind::List) ? values[0].items.size() : 1));
    values = std::vector<Value>(values[0].items);
  }
  if (values.size() != st.targets.size()) {
    if (st.targets.size() != 1)
      fail(st.loc,
           fmt::format("{} names on the left, {} values on the right", st.targets.size(), values.size()));
    values = {Value::list(values)};
  }
  for (size_t i = 0; i < values.size(); ++i) {
    Value v = values[i];
    if (st.op != "=")
      v = binary(st.op.substr(0, 1), lookup(st.targets[i].name, scope, st.targets[i].loc), v, st.loc);
    bind(st.targets[i], std::move(v), scope);
  }
}

Slot& Elaborator::slot(const std::string& path, StateSpec::Role role, const Type& type, Loc loc) {
  auto [it, fresh] = slots_.try_emplace(path);
  Slot& s = it->second;
  if (!fresh) return s;
  s.spec = {role, path, type, loc};
  s.node = b_.param(s.spec.parameter(), type);
  slot_order_.push_back(path);
  return s;
}

void Elaborator::parameter(const Stmt& st, Scope& scope) {
  if (bodies_.empty() || bodies_.back()->kind == Callable::Kind::Fn)
    fail(st.loc, "a function owns nothing; parameters belong to a layer or a model");
  Instance& owner = *stack_.back();
  const Type type{element_type(*st.type), dims(*st.type, scope)};
  if (!is_float(type.dtype))
    fail(st.type->loc, fmt::format("param {} is {}; a parameter is float", st.name, type.str()));
  for (const Dim& d : type.shape)
    if (!d.is_constant())
      fail(st.type->loc, fmt::format("param {} is {}: its shape must be constant", st.name, type.str()));
  const std::string path = owner.path.empty() ? st.name : owner.path + "." + st.name;
  Value v;
  if (auto it = owner.members.find(st.name); it != owner.members.end()) {
    v = it->second;
    if (shape(v) != type.shape)
      fail(calls_.empty() ? st.loc : calls_.back(),
           fmt::format("param {} is {} in the first application and {} here", path, str(shape(v)),
                       str(type.shape)));
  } else {
    if (slots_.count(path) != 0)
      fail(st.loc, fmt::format("two parameters have the path '{}'; name one with as \"...\"", path));
    Slot& s = slot(path, StateSpec::Role::Param, type, user_place(st.loc));
    v = wrap(s.node);
    if (mode_ == Mode::Init)  // what another first value reads of it is its own
      v = *(s.initial = initial_value(evaluate_partial(st.values[0], scope), type, path, st.values[0].loc));
    else if (mode_ == Mode::Train)
      evaluate_partial(st.values[0], scope);  // the survey finds its mistakes
    v.origin = {"param", st.name, st.loc};
    owner.members[st.name] = v;
  }
  v.loc = st.loc;
  scope.names[st.name] = v;
}

// state NAME: [...] = init, or = fit(expression over the training split).
void Elaborator::state(const Stmt& st, Scope& scope) {
  if (bodies_.empty() || bodies_.back()->kind == Callable::Kind::Fn)
    fail(st.loc, "a function owns nothing; states belong to a layer or a model");
  Instance& owner = *stack_.back();
  auto known_as = [&](Value now) {
    now.loc = st.loc;
    now.origin = {"state", st.name, st.loc};
    owner.members[st.name] = scope.names[st.name] = std::move(now);
  };
  if (st.carry) return known_as(carried(st, scope));
  const Type type{element_type(*st.type), dims(*st.type, scope)};
  for (const Dim& d : type.shape)
    if (!d.is_constant())
      fail(st.type->loc, fmt::format("state {} is {}: its shape must be constant", st.name, type.str()));
  const std::string path = state_path(owner, st.name, false);
  const bool known = slots_.count(path) != 0;
  Slot& s = slot(path, state_role, type, st.loc);
  if (s.spec.type != type)
    fail(st.loc, fmt::format("state {} is {} in the first application and {} here", path, s.spec.type.str(),
                             type.str()));
  const Expr& init = st.values[0];
  const bool fit = init.is(Expr::Kind::Call) && init.kids[0].is_name("fit") && init.arguments.size() == 1;
  Value now = s.stored ? *s.stored : wrap(s.node);
  if (!known && fit) {
    s.fitted = true;
    const int phase = fits++;
    if (mode_ == Mode::Fit && phase == fit_phase) {
      deferring = true;
      Value v = evaluate(init.arguments[0].value, scope);
      deferring = false;
      if (!v.is(Kind::Deferred))
        fail(init.loc, "fit(...) takes a reduction over the batch: fit(mean[n] x[n,:])");
      if (shape(v) != type.shape)
        fail(init.loc, fmt::format("state {} is {}, fit gives {}", st.name, str(type.shape), str(shape(v))));
      fitted = {path, v};
    }
  }
  if (!known && mode_ == Mode::Init) {
    s.initial = fit ? wrap(b_.constant(0, type.dtype, type.shape))
                    : initial_value(evaluate_partial(init, scope), type, path, init.loc);
    now.node = s.initial->node;
  }
  known_as(std::move(now));
}

}  // namespace gradc::frontend
