// Expressions to values, and the lookup of names.
#include <cmath>

#include "frontend/elaboration/elaborator.h"
#include "support/check.h"

namespace gradc::frontend {

using Kind = Value::Kind;

Elaborator::Elaborator(const Session& s, std::string name, Mode mode, graph::Module* module, Diagnostics& d)
    : s_(s),
      diagnostics_(d),
      mode_(mode),
      b_(name, module),
      finish_(name == "eval_step" ? "finish" : name + "_finish"),
      module_(module) {}

void Elaborator::fail(Loc loc, std::string text, std::string help) {
  throw CompileError(Diagnostic{Severity::Error, loc, std::move(text), {}, {}, std::move(help)});
}

void Elaborator::silent() { throw CompileError(Diagnostics{}); }

// A message inside the standard library points at the user's call instead.
void Elaborator::report(const CompileError& e) {
  if (e.reported) return;
  Diagnostic d = e.diagnostic;
  if (!d.loc) d.loc = b_.location();
  if (const Loc user = user_place(d.loc); !(user == d.loc)) {
    d.notes.push_back({d.loc, "raised here"});
    d.loc = user;
  }
  for (const Diagnostic& seen : diagnostics_.all())
    if (seen.loc == d.loc && seen.text == d.text) return;
  Diagnostic& out = diagnostics_.error(d.loc, d.text);
  out.notes = d.notes;
  out.help = d.help;
}

Loc Elaborator::user_place(Loc loc) const {
  if (!s_.in_standard(loc)) return loc;
  for (size_t i = calls_.size(); i-- > 0;)
    if (calls_[i] && !s_.in_standard(calls_[i])) return calls_[i];
  return loc;
}

void Elaborator::warn(Loc loc, const std::string& text) {
  for (const Diagnostic& seen : diagnostics_.all())
    if (seen.loc == loc && seen.text == text) return;
  diagnostics_.warning(loc, text);
}

std::string Elaborator::describe(const Value& v) {
  const std::string name = v.loc && !s_.in_standard(v.loc) && s_.sources.text(v.loc).size() < 40
                               ? std::string(s_.sources.text(v.loc))
                               : "";
  switch (v.kind) {
    case Kind::Integer:
      return v.integer.str();
    case Kind::Real:
      return fmt::format("{}", v.real);
    case Kind::Bool:
      return v.truth ? "true" : "false";
    case Kind::String:
      return fmt::format("\"{}\"", v.text);
    case Kind::Fn:
      return fmt::format("the function {}", v.fn->name);
    case Kind::Layer:
      return fmt::format("the layer {}", v.fn->name);
    case Kind::Instance:
      return fmt::format("a layer {}{{...}}", v.instance->definition->name);
    case Kind::List:
      return "a list";
    case Kind::Tensor:
    case Kind::Deferred: {
      const std::string type = dtype(v) == float_type() ? str(shape(v)) : of(v).type(v.node).str();
      const Origin& o = v.origin;
      const std::string from =
          o.kind.empty() ? "" : fmt::format(" ({} {}, {})", o.kind, o.name, at(s_, o.loc));
      return (name.empty() ? type : name + ": " + type) + from;
    }
    default:
      return "nothing";
  }
}

int64_t Elaborator::constant_int(const Value& v, std::string_view what, Loc loc) {
  if (!v.is(Kind::Integer) || !v.integer.is_constant())
    fail(loc, fmt::format("{} must be an integer that is known when compiling, not {}", what, describe(v)));
  return v.integer.constant_part();
}

double Elaborator::constant_real(const Value& v, std::string_view what, Loc loc) {
  if (v.is(Kind::Real)) return v.real;
  if (v.is(Kind::Integer) && v.integer.is_constant()) return static_cast<double>(v.integer.constant_part());
  fail(loc, fmt::format("{} must be a number that is known when compiling, not {}", what, describe(v)));
}

Value Elaborator::evaluate_constant(const FileScope& file, const std::string& name) {
  const TopLevel place{&file, name};
  if (auto it = constants_.find(place); it != constants_.end()) {
    if (it->second.is(Kind::Error)) silent();
    return it->second;
  }
  const auto& [expr, loc] = file.constants.at(name);
  if (!evaluating_.insert(place).second)
    fail(loc, fmt::format("the constant '{}' is defined by itself", name));
  Scope scope;
  scope.file = &file;
  Value v;
  try {
    const Level level(*this, loc);
    v = evaluate_partial(*expr, scope);
    if (v.is_tensor() || v.is(Kind::None)) fail(loc, fmt::format("'{}' is not known when compiling", name));
    v.loc = loc;
  } catch (const CompileError&) {
    constants_[place].kind = Kind::Error;
    evaluating_.erase(place);
    throw;
  }
  evaluating_.erase(place);
  constants_[place] = v;
  return v;
}

std::shared_ptr<const Closure> Elaborator::closure(const Callable* definition, const FileScope* home,
                                                   const std::string& name) {
  std::shared_ptr<const Closure>& known = closures_[{home, name}];
  if (!known) known = std::make_shared<const Closure>(Closure{definition, home, name, {}, {}});
  return known;
}

bool is_builtin(const std::string& name);  // builtin.cpp

std::optional<Value> Elaborator::find_value(const std::string& name, Scope& scope) {
  if (Value* v = scope.find(name)) {
    if (v->is(Kind::Error)) silent();
    return *v;
  }
  if (name == "training") return Value::of(training());
  for (const FileScope* f = scope.file; f != nullptr; f = f->outer) {
    if (f->constants.count(name) != 0) return evaluate_constant(*f, name);
    auto it = f->callables.find(name);
    if (it == f->callables.end() || it->second->kind == Callable::Kind::Model) continue;
    Value v;
    v.kind = it->second->kind == Callable::Kind::Fn ? Kind::Fn : Kind::Layer;
    v.fn = closure(it->second, f, name);
    return v;
  }
  if (!is_builtin(name)) return std::nullopt;
  Value v;
  v.kind = Kind::Fn;
  v.fn = closure(nullptr, nullptr, name);
  return v;
}

bool Elaborator::is_known(const std::string& name, Scope& scope) {
  if (const Value* v = scope.find(name)) {
    if (v->is(Kind::Error)) silent();
    return true;
  }
  if (name == "training" || is_builtin(name)) return true;
  for (const FileScope* f = scope.file; f != nullptr; f = f->outer) {
    if (f->constants.count(name) != 0) return true;
    if (auto it = f->callables.find(name);
        it != f->callables.end() && it->second->kind != Callable::Kind::Model)
      return true;
  }
  return false;
}

Value Elaborator::lookup(const std::string& name, Scope& scope, Loc loc) {
  if (auto v = find_value(name, scope)) return *v;
  std::vector<std::string> known = s_.known_names(scope.file);
  for (const Scope* s = &scope; s != nullptr; s = s->outer)
    for (const auto& [n, v] : s->names) known.push_back(n);
  if (auto it = absent_.find(name); it != absent_.end())
    fail(loc, fmt::format("'{}' has no value when {}; bind it in both branches", name, it->second));
  if (name == "step" || name == "total")
    fail(loc, fmt::format("'{}' has no value here; a schedule is a function of both: fn rate(step, total) = "
                          "1e-3 * 0.99 ** step, and then lr = rate",
                          name));
  const std::string near = nearest(name, known);
  fail(loc, near.empty() ? fmt::format("'{}' has no value here", name)
                         : fmt::format("'{}' has no value here; did you mean '{}'?", name, near));
}

namespace {
constexpr int kMaxDepth = 2500;
}

Elaborator::Level::Level(Elaborator& e, Loc loc, int levels) : e_(e), levels_(levels) {
  if (e.depth_ + levels > kMaxDepth)
    e.fail(loc, fmt::format("expressions and calls are nested deeper than {} levels here", kMaxDepth));
  e.depth_ += levels;
}

Value Elaborator::evaluate(const Expr& e, Scope& scope) {
  const Level level(*this, e.loc);
  Value v = evaluate_inner(e, scope);
  if (v.is(Kind::Error)) silent();
  v.loc = e.loc;
  return v;
}

Value Elaborator::evaluate_partial(const Expr& e, Scope& scope) {
  if (!e.is(Expr::Kind::Call)) return evaluate(e, scope);
  const Level level(*this, e.loc);
  Value v = evaluate_call(e, scope, true);
  v.loc = e.loc;
  return v;
}

Value Elaborator::evaluate_inner(const Expr& e, Scope& scope) {
  b_.set_location(e.loc);
  finish_.set_location(e.loc);
  switch (e.kind) {
    case Expr::Kind::Integer:
      return Value::of(Index(e.integer));
    case Expr::Kind::Real:
      return Value::of(e.number);
    case Expr::Kind::String:
      return Value::of(e.text);
    case Expr::Kind::Bool:
      return Value::of(e.integer != 0);
    case Expr::Kind::Name:
      return lookup(e.text, scope, e.loc);
    case Expr::Kind::List:
    case Expr::Kind::Tuple: {
      std::vector<Value> items;
      for (const Expr& k : e.kids) items.push_back(evaluate(k, scope));
      return list_of(std::move(items), e.loc);
    }
    case Expr::Kind::Unary: {
      const Value x = evaluate(e.kids[0], scope);
      if (e.text == "-") return negate(x, e.loc);
      if (x.is(Kind::Bool)) return Value::of(!x.truth);
      return unary("not", x, e.loc);
    }
    case Expr::Kind::Binary:
      return evaluate_binary(e, scope);
    case Expr::Kind::Choose: {
      const Value c = evaluate(e.kids[1], scope);
      if (c.is(Kind::Bool)) return evaluate(e.kids[c.truth ? 0 : 2], scope);
      return choose(c, evaluate(e.kids[0], scope), evaluate(e.kids[2], scope), e.loc);
    }
    case Expr::Kind::Call:
      return evaluate_call(e, scope, false);
    case Expr::Kind::Make:
      return evaluate_make(e, scope, "");
    case Expr::Kind::Subscript:
      return evaluate_subscript(e, scope);
    case Expr::Kind::Member:
      return evaluate_member(e, scope);
    case Expr::Kind::Reduce:
      return reduction(e, scope);
  }
  return {};
}

// Lists hold copies: what doubles itself again and again would not end.
Value Elaborator::list_of(std::vector<Value> items, Loc loc) {
  constexpr int64_t most = 4096;
  Value v = Value::list(std::move(items));
  for (const Value& i : v.items) v.size += i.size;
  if (v.size > most) fail(loc, fmt::format("a list of {} items; at most {}", v.size - 1, most));
  return v;
}

Value Elaborator::evaluate_binary(const Expr& e, Scope& scope) {
  const Value a = evaluate(e.kids[0], scope);
  // A constant on the left may decide without the right: `deep and x > 0`.
  if (a.is(Kind::Bool) && ((e.text == "and" && !a.truth) || (e.text == "or" && a.truth))) return a;
  const Value b = evaluate(e.kids[1], scope);
  if (a.is(Kind::Bool) && !b.is(Kind::Bool) && (e.text == "and" || e.text == "or")) return b;
  b_.set_location(e.loc);
  return binary(e.text, a, b, e.loc);
}

Value Elaborator::evaluate_member(const Expr& e, Scope& scope) {
  // The loss of a step, which metrics may read: no other name holds a dot.
  if (const Expr& of = e.kids[0]; of.is(Expr::Kind::Name))
    if (const std::optional<Value> loss = find_value(of.text + "." + e.text, scope)) return *loss;
  const Value x = evaluate(e.kids[0], scope);
  if (!x.is(Kind::Instance)) {
    if (!parameter_path.empty() && e.kids[0].is_name("param") && x.is(Kind::Tensor)) {
      if (e.text == "path") return Value::of(parameter_path);
      fail(e.loc,
           fmt::format("param has no '{}'; there are param.path, rank(param) and shape(param)", e.text));
    }
    if (x.is_tensor())
      fail(e.loc,
           fmt::format("tensors have no methods; write {} |> {}", s_.sources.text(e.kids[0].loc), e.text));
    fail(e.loc, fmt::format("{} has no member '{}'", describe(x), e.text));
  }
  const auto& members = x.instance->members;
  if (auto it = members.find(e.text); it != members.end()) return it->second;
  if (members.empty())
    fail(e.loc, fmt::format("'{}' has no parameters before it is applied", s_.sources.text(e.kids[0].loc)));
  std::vector<std::string> known;
  for (const auto& [n, v] : members) known.push_back(n);
  const std::string near = nearest(e.text, known);
  fail(e.loc, fmt::format("{} has no parameter '{}'{}", x.instance->definition->name, e.text,
                          near.empty() ? "" : fmt::format("; did you mean '{}'?", near)));
}

// x[1:3, ..., 0]: slices, single positions, and rows by a tensor of numbers.
Value Elaborator::evaluate_subscript(const Expr& e, Scope& scope) {
  return subscript(evaluate(e.kids[0], scope), e, scope);
}

Value Elaborator::subscript(const Value& x, const Expr& e, Scope& scope) {
  if (x.is(Kind::List)) {
    if (e.subscripts.size() != 1 || e.subscripts[0].kind != Subscript::Kind::Index)
      fail(e.loc, "a list takes one index");
    int64_t i = constant_int(evaluate(*e.subscripts[0].low, scope), "the index", e.loc);
    const int64_t n = static_cast<int64_t>(x.items.size());
    if (i < -n || i >= n) fail(e.loc, fmt::format("index {} of a list of {}", i, n));
    return x.items[static_cast<size_t>(i < 0 ? i + n : i)];
  }
  if (!x.is_tensor()) fail(e.loc, fmt::format("{} has no elements", describe(x)));
  if (scan_ != nullptr && scan_->step != graph::kNone)
    for (size_t i = 0; i < e.subscripts.size(); ++i)
      if (e.subscripts[i].kind == Subscript::Kind::Index && e.subscripts[i].low->is_name(scan_->index))
        return slice_of_step(x, e, i, scope);
  const Shape from = shape(x);
  graph::Builder& b = of(x);
  Shape start(from.size(), Dim(0)), limit = from, kept;
  size_t axis = 0;
  std::vector<char> drop(from.size(), 0);
  const size_t plain =
      e.subscripts.size() -
      static_cast<size_t>(std::count_if(e.subscripts.begin(), e.subscripts.end(), [](const Subscript& s) {
        return s.kind == Subscript::Kind::Ellipsis;
      }));
  if (plain > from.size()) fail(e.loc, fmt::format("{} subscripts for {}", plain, describe(x)));
  for (const Subscript& s : e.subscripts) {
    if (s.kind == Subscript::Kind::Ellipsis) {
      axis += from.size() - plain;
      continue;
    }
    auto position = [&](const Value& v, const Expr& at) {
      if (!v.is(Kind::Integer))
        fail(at.loc, fmt::format("a subscript is a number, a range or an index, not {}", describe(v)));
      return v.integer.is_constant() && v.integer.constant_part() < 0 ? from[axis] + v.integer : v.integer;
    };
    if (s.kind == Subscript::Kind::Index) {
      const Value v = evaluate(*s.low, scope);
      if (v.is(Kind::Tensor) && axis == 0 && e.subscripts.size() == 1)
        return call_builtin("take", {x, v}, {}, e.loc);
      start[axis] = position(v, *s.low);
      limit[axis] = start[axis] + 1;
      drop[axis] = 1;
    } else {
      if (s.low) start[axis] = position(evaluate(*s.low, scope), *s.low);
      if (s.high) limit[axis] = position(evaluate(*s.high, scope), *s.high);
    }
    const Dim size = limit[axis] - start[axis], room = from[axis] - limit[axis];
    if ((size.is_constant() && size.constant_part() < 0) ||
        (room.is_constant() && room.constant_part() < 0) ||
        (start[axis].is_constant() && start[axis].constant_part() < 0))
      fail(s.loc,
           fmt::format("[{}:{}] of an axis of {}", start[axis].str(), limit[axis].str(), from[axis].str()));
    ++axis;
  }
  for (size_t i = 0; i < from.size(); ++i)
    if (!drop[i]) kept.push_back(limit[i] - start[i]);
  return wrap(b.reshape(b.slice(x.node, start, limit), kept), x.is(Kind::Deferred));
}

std::string Elaborator::interpolate(const std::string& text, Scope& scope, Loc loc) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '{') {
      out += text[i];
      continue;
    }
    const size_t end = text.find('}', i);
    if (end == std::string::npos) fail(loc, "'{' without '}' in the text");
    const Value v = lookup(text.substr(i + 1, end - i - 1), scope, loc);
    out += v.is(Kind::String) ? v.text : describe(v);
    i = end;
  }
  return out;
}

}  // namespace gradc::frontend
