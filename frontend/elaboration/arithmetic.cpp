// Operators on values: exact arithmetic on numbers, f64 on run-time scalars, broadcasting on tensors.
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "frontend/elaboration/elaborator.h"
#include "support/check.h"

namespace gradc::frontend {
namespace {

using Kind = Value::Kind;

double as_real(const Value& v) {
  return v.is(Kind::Real) ? v.real : static_cast<double>(v.integer.constant_part());
}

bool is_comparison(const std::string& op) {
  return op == "==" || op == "!=" || op == "<" || op == "<=" || op == ">" || op == ">=";
}

template <class T>
bool compare(const std::string& op, const T& a, const T& b) {
  if (op == "==") return a == b;
  if (op == "!=") return a != b;
  if (op == "<") return a < b;
  if (op == "<=") return a <= b;
  if (op == ">") return a > b;
  return a >= b;
}

std::string_view graph_op(const std::string& op) {
  static const std::map<std::string, std::string_view> names = {
      {"+", "add"}, {"-", "sub"}, {"*", "mul"}, {"/", "div"}, {"**", "pow"},  {"==", "eq"}, {"!=", "ne"},
      {"<", "lt"},  {"<=", "le"}, {">", "gt"},  {">=", "ge"}, {"and", "and"}, {"or", "or"}};
  return names.at(op);
}

// The least and greatest integer of a type.
std::pair<int64_t, int64_t> range_of(DType t) {
  if (t == DType::U8) return {0, 255};
  if (t == DType::I32) return {std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max()};
  return {std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max()};
}

bool holds(DType t, int64_t n) { return range_of(t).first <= n && n <= range_of(t).second; }

// The type in which an integer tensor meets an integer: its own, or the next one that holds the number.
DType type_with(DType t, const Index& n) {
  if (!n.is_constant()) return DType::I64;
  for (DType wider : {t, DType::I32, DType::I64})
    if (holds(wider, n.constant_part()) && size_of(wider) >= size_of(t)) return wider;
  return DType::I64;
}

size_t degree(const Index& e) {
  size_t most = 0;
  for (const Index::Term& t : e.terms()) most = std::max(most, t.factors.size());
  return most;
}

// Products of dimensions stay small: what squares itself again and again would not end.
Index product(const Index& a, const Index& b, Loc loc) {
  if (degree(a) + degree(b) > 64 || a.terms().size() * b.terms().size() > 4096)
    throw CompileError(loc, "this product of dimensions has too many factors");
  return a * b;
}

double real_binary(const std::string& op, double a, double b) {
  if (op == "+") return a + b;
  if (op == "-") return a - b;
  if (op == "*") return a * b;
  if (op == "/") return a / b;
  if (op == "//") return std::floor(a / b);
  return std::pow(a, b);
}

}  // namespace

Value Elaborator::wrap(graph::NodeId n, bool deferred) const {
  Value v;
  v.kind = deferred ? Kind::Deferred : Kind::Tensor;
  v.node = n;
  return v;
}

Value Elaborator::integer_binary(const std::string& op, const Index& a, const Index& b, Loc loc) {
  const bool constants = a.is_constant() && b.is_constant();
  if (is_comparison(op)) {
    if (op == "==" && a == b) return Value::of(true);
    if (op == "!=" && a == b) return Value::of(false);
    if (!constants) fail(loc, fmt::format("{} {} {} is not known when compiling", a.str(), op, b.str()));
    return Value::of(compare(op, a.constant_part(), b.constant_part()));
  }
  if (op == "+") return Value::of(a + b);
  if (op == "-") return Value::of(a - b);
  if (op == "*") return Value::of(product(a, b, loc));
  if (b.is(0) && op != "**") fail(loc, "division by zero");
  if (op == "/" || op == "//") {
    if (auto q = a.exact_div(b)) return Value::of(*q);
    if (op == "/" && constants)
      return Value::of(static_cast<double>(a.constant_part()) / static_cast<double>(b.constant_part()));
    if (op == "//") {
      if (!b.is_constant()) fail(loc, fmt::format("{} // {}: the divisor is not constant", a.str(), b.str()));
      const bool negative = b.constant_part() < 0;  // floor_div rounds down by positive divisors
      return Value::of(negative ? (Index(0) - a).floor_div(Index(0) - b) : a.floor_div(b));
    }
    Value x = wrap(b_.dim_value(a, DType::F64)), y = wrap(b_.dim_value(b, DType::F64));
    x.scalar = y.scalar = true;
    return binary("/", x, y, loc);
  }
  if (op == "**" && b.is_constant()) {
    const int64_t n = b.constant_part();
    if ((n < 0 || n > 63) && a.is_constant())
      return Value::of(std::pow(static_cast<double>(a.constant_part()), static_cast<double>(n)));
    if (n < 0 || n > 63) fail(loc, fmt::format("{} ** {}: the exponent is 0 to 63", a.str(), n));
    Index r = 1;
    for (int64_t i = 0; i < n; ++i) r = product(r, a, loc);
    return Value::of(r);
  }
  fail(loc, fmt::format("'{}' is not defined for {} and {}", op, a.str(), b.str()));
}

// A number as a constant of type t; an integer that t does not hold is a mistake.
graph::NodeId Elaborator::literal(const Value& number, DType t, Loc loc) {
  if (is_float(t) || t == DType::Bool) return b_.constant(as_real(number), t);
  int64_t n = 0;
  if (number.is(Kind::Integer)) {
    n = number.integer.constant_part();
  } else {
    const double whole = std::trunc(number.real);
    if (!(whole >= -0x1p63 && whole < 0x1p63))
      fail(loc, fmt::format("{} does not fit {}", number.real, name_of(t)));
    n = static_cast<int64_t>(whole);
  }
  if (!holds(t, n))
    fail(loc, fmt::format("{} does not fit {}, which holds {} to {}", n, name_of(t), range_of(t).first,
                          range_of(t).second));
  return b_.make("constant", {}, {{"value", n}, {"dtype", t}, {"shape", Shape{}}});
}

Value Elaborator::tensor(const Value& v, DType t, Loc loc) {
  if (v.choice != nullptr) {
    const Choice& c = *v.choice;
    Value a = tensor(c.a, t, loc), b = tensor(c.b, t, loc);
    const Shape& to = shape(v);
    return wrap(b_.select(broadcast(c.condition, to, loc).node, broadcast(a, to, loc).node,
                          broadcast(b, to, loc).node));
  }
  if (v.is_tensor()) {
    if (!v.scalar) return v;
    Value r = convert(v, t, loc);
    r.scalar = false;
    return r;
  }
  if (v.is(Kind::Integer)) {
    if (v.integer.is_constant()) return wrap(literal(v, t, loc));
    return wrap(is_float(t) ? b_.convert(b_.dim_value(v.integer, DType::F64), t)
                            : b_.dim_value(v.integer, t));
  }
  if (v.is(Kind::Real)) return wrap(literal(v, t, loc));
  if (v.is(Kind::Bool)) return wrap(b_.constant(v.truth ? 1 : 0, DType::Bool));
  fail(loc, fmt::format("{} is not a tensor", describe(v)));
}

Value Elaborator::convert(const Value& v, DType t, Loc loc) {
  if (!v.is_tensor() || v.choice != nullptr) return tensor(v, t, loc);
  if (dtype(v) == t) return v;
  Value r = v;
  r.node = of(v).convert(v.node, t);
  r.scalar = false;
  return r;
}

Value Elaborator::negate(const Value& v, Loc loc) {
  if (v.is(Kind::Integer)) return Value::of(Index(0) - v.integer);
  if (v.is(Kind::Real)) return Value::of(-v.real);
  if (v.choice != nullptr)
    return choice_of(v.choice->condition, negate(v.choice->a, loc), negate(v.choice->b, loc), loc);
  if (!v.is_tensor() || dtype(v) == DType::Bool)
    fail(loc, fmt::format("'-' is not defined for {}", describe(v)));
  Value r = wrap(of(v).neg(v.node), v.is(Kind::Deferred));
  r.scalar = v.scalar;
  return r;
}

Value Elaborator::unary(std::string_view op, const Value& v, Loc loc) {
  Value x = v.is_tensor() ? v : tensor(v, float_type(), loc);
  const bool keeps_integers = op == "abs" || op == "sign" || op == "not";
  if (!keeps_integers && is_integer(dtype(x))) x = convert(x, float_type(), loc);
  if (op != "not" && dtype(x) == DType::Bool)
    fail(loc, fmt::format("{} needs numbers, {} is bool", op, describe(v)));
  Value r = wrap(of(x).unary(op, x.node), x.is(Kind::Deferred));
  r.scalar = v.scalar;
  return r;
}

Value Elaborator::broadcast(const Value& v, const Shape& to, Loc loc) {
  const Shape from = shape(v);
  if (from == to) return v;
  graph::Builder& b = of(v);
  // Axes of extent 1 that stretch are dropped, the others keep their place.
  Shape kept;
  std::vector<int64_t> axes;
  const size_t lead = to.size() - from.size();
  for (size_t i = 0; i < from.size(); ++i) {
    if (from[i].is(1) && !to[lead + i].is(1)) continue;
    if (!(from[i] == to[lead + i]))
      fail(loc, fmt::format("{} does not broadcast to {}", describe(v), str(to)));
    kept.push_back(from[i]);
    axes.push_back(static_cast<int64_t>(lead + i));
  }
  const graph::NodeId n = kept.size() == from.size() ? v.node : b.reshape(v.node, kept);
  Value r = v;
  r.node = kept == to ? n : b.broadcast(n, to, axes);
  r.scalar = false;
  r.choice = nullptr;
  return r;
}

std::optional<Shape> Elaborator::common_shape(std::initializer_list<const Value*> values) {
  auto fits = [](const Shape& small, const Shape& large) {
    if (small.size() > large.size()) return false;
    const size_t lead = large.size() - small.size();
    for (size_t i = 0; i < small.size(); ++i)
      if (!(small[i] == large[lead + i]) && !small[i].is(1)) return false;
    return true;
  };
  for (const Value* to : values)
    if (std::all_of(values.begin(), values.end(),
                    [&](const Value* v) { return fits(shape(*v), shape(*to)); }))
      return shape(*to);
  return std::nullopt;
}

// Both operands as tensors of one element type: literals and run-time scalars take the other's.
void Elaborator::unify(Value& a, Value& b, const std::string& op, Loc loc) {
  // A number beside a value of the finishing function becomes one of that function's constants.
  auto lift = [&](Value& v) {
    if (v.is(Kind::Deferred)) return;
    if (v.is_constant()) {
      v = wrap(finish_.constant(as_real(v), DType::F64), true);
      return;
    }
    if (v.is_number() || (v.is_tensor() && !has_batch(shape(v)))) {
      v = accumulate(convert(v, DType::F64, loc), loc);
      return;
    }
    fail(loc, fmt::format("'{}' mixes a value of the whole split with {}, which differs from batch to batch",
                          op, describe(v)));
  };
  if (a.is(Kind::Deferred) || b.is(Kind::Deferred)) return lift(a), lift(b);
  for (Value* v : {&a, &b})
    if (v->is(Kind::Bool)) *v = tensor(*v, DType::Bool, loc);

  const bool a_weak = a.is_weak(), b_weak = b.is_weak();
  std::function<DType(const Value&, DType)> strong_type = [&](const Value& weak, DType other) {
    if (is_float(other)) return other;
    if (weak.choice != nullptr) return strong_type(weak.choice->b, strong_type(weak.choice->a, other));
    if (other == DType::Bool || !weak.is(Kind::Integer)) return float_type();
    return type_with(other, weak.integer);
  };
  if (a_weak && b_weak && (a.choice != nullptr || b.choice != nullptr)) {
    a = tensor(a, float_type(), loc), b = tensor(b, float_type(), loc);
    return;
  }
  if (a_weak && b_weak) {
    a = tensor(a, DType::F64, loc), b = tensor(b, DType::F64, loc);
    return;
  }
  if (a_weak) {
    const DType t = strong_type(a, dtype(b));
    a = tensor(a, t, loc), b = convert(b, t, loc);
    return;
  }
  if (b_weak) return unify(b, a, op, loc);
  const DType s = dtype(a), t = dtype(b);
  if (s == t) return;
  if (is_float(s) && is_float(t))
    fail(loc,
         fmt::format("'{}' of {} and {}: convert one, f32(...) or f64(...)", op, describe(a), describe(b)));
  const DType common = is_float(s)                                               ? s
                       : is_float(t)                                             ? t
                       : is_comparison(op) || s == DType::I64 || t == DType::I64 ? DType::I64
                                                                                 : DType::I32;
  a = convert(a, common, loc), b = convert(b, common, loc);
}

Value Elaborator::binary(const std::string& op, Value a, Value b, Loc loc) {
  if (a.is(Kind::Integer) && b.is(Kind::Integer)) return integer_binary(op, a.integer, b.integer, loc);
  const bool symbolic =
      (a.is(Kind::Integer) && !a.integer.is_constant()) || (b.is(Kind::Integer) && !b.integer.is_constant());
  if (a.is_number() && b.is_number() && !symbolic) {
    if (is_comparison(op)) return Value::of(compare(op, as_real(a), as_real(b)));
    return Value::of(real_binary(op, as_real(a), as_real(b)));
  }
  if (a.is(Kind::Bool) && b.is(Kind::Bool)) {
    if (op == "and") return Value::of(a.truth && b.truth);
    if (op == "or") return Value::of(a.truth || b.truth);
    if (is_comparison(op)) return Value::of(compare(op, a.truth, b.truth));
  }
  if ((a.is(Kind::String) || b.is(Kind::String)) && (op == "==" || op == "!=")) {
    const bool same = a.is(Kind::String) && b.is(Kind::String) && a.text == b.text;
    return Value::of(same == (op == "=="));  // an option may be a number or a word
  }
  if (a.is(Kind::List) && b.is(Kind::List) && op == "+") {
    a.items.insert(a.items.end(), b.items.begin(), b.items.end());
    return list_of(std::move(a.items), loc);
  }
  for (const Value* v : {&a, &b})
    if (!v->is_tensor() && !v->is_number() && !v->is(Kind::Bool))
      fail(loc, fmt::format("'{}' is not defined for {}", op, describe(*v)));
  if (op == "@") return matmul(a, b, loc);

  const bool scalar = (!a.is_tensor() || a.scalar) && (!b.is_tensor() || b.scalar);
  const Value a0 = a, b0 = b;
  if (auto r = on_choice(op, a, b, loc)) return *r;
  if (is_comparison(op)) {
    static const std::map<std::string, std::string> mirrored = {{"==", "=="}, {"!=", "!="}, {"<", ">"},
                                                                {"<=", ">="}, {">", "<"},   {">=", "<="}};
    if (auto r = compare_with_literal(op, a, b, loc)) return *r;
    if (auto r = compare_with_literal(mirrored.at(op), b, a, loc)) return *r;
  }
  unify(a, b, op, loc);
  const bool logical = op == "and" || op == "or";
  if (logical && (dtype(a) != DType::Bool || dtype(b) != DType::Bool))
    fail(loc, fmt::format("'{}' needs bool on both sides: {} and {}", op, describe(a0), describe(b0)));
  if (!is_comparison(op) && !logical && dtype(a) == DType::Bool)
    fail(loc, fmt::format("'{}' needs numbers: {} and {}", op, describe(a0), describe(b0)));
  if (op == "//" && is_integer(dtype(a)) && b0.is_constant() && as_real(b0) == 0)
    fail(loc, "division by zero");
  const bool divides = op == "/" || op == "**";
  if (divides && !is_float(dtype(a))) a = convert(a, float_type(), loc), b = convert(b, float_type(), loc);

  if (const auto to = common_shape({&a, &b})) {
    a = broadcast(a, *to, loc), b = broadcast(b, *to, loc);
  } else {
    const Shape& sa = shape(a);
    const Shape& sb = shape(b);
    // [B, 1] against [B]: the mistake that silently becomes [B, B] elsewhere.
    auto column = [](const Shape& wide, const Shape& flat) {
      return wide.size() == 2 && flat.size() == 1 && wide[1].is(1) && wide[0] == flat[0];
    };
    if (column(sa, sb) || column(sb, sa))
      fail(loc,
           fmt::format("{0} {1} {2} would become [{3}, {3}]; use squeeze on the {4}", describe(a0), op,
                       describe(b0), (sa.size() == 2 ? sb : sa)[0].str(), sa.size() == 2 ? "left" : "right"));
    fail(loc, fmt::format("'{}' cannot combine {} and {}: only a literal 1 stretches", op, describe(a0),
                          describe(b0)));
  }
  const bool deferred = a.is(Kind::Deferred);
  graph::Builder& g = of(a);
  graph::NodeId n;
  if (op == "//")
    n = floor_divide(a, b).node;
  else if (op == "**" && b0.is_constant() && as_real(b0) == 2)
    n = g.mul(a.node, a.node);  // exact, and the common case
  else
    n = g.make(graph_op(op), {a.node, b.node});
  Value r = wrap(n, deferred);
  r.scalar = scalar && !deferred;
  return r;
}

// Rounds towards minus infinity, as for constants; the graph's division of integers truncates.
Value Elaborator::floor_divide(const Value& a, const Value& b) {
  graph::Builder& g = of(a);
  const DType t = dtype(a);
  const graph::NodeId q = g.div(a.node, b.node);
  if (is_float(t)) return wrap(g.unary("floor", q), a.is(Kind::Deferred));
  if (t == DType::U8) return wrap(q);
  const graph::NodeId zero = g.zeros_like(q), rest = g.sub(a.node, g.mul(q, b.node));
  const graph::NodeId apart = g.make("ne", {g.compare("lt", rest, zero), g.compare("lt", b.node, zero)});
  const graph::NodeId down = g.make("and", {g.compare("ne", rest, zero), apart});
  return wrap(g.select(down, g.sub(q, g.full_like(q, 1)), q));
}

Value Elaborator::filled(bool truth, const Value& like) {
  return wrap(b_.constant(truth ? 1 : 0, DType::Bool, shape(like)));
}

// An integer tensor against a literal, as the exact numbers compare: x < 2.5 is x < 3, u8 x < 300 is true.
std::optional<Value> Elaborator::compare_with_literal(const std::string& op, const Value& x,
                                                      const Value& number, Loc) {
  if (!x.is(Kind::Tensor) || x.is_weak() || !is_integer(dtype(x)) || !number.is_constant())
    return std::nullopt;
  const auto [low, high] = range_of(dtype(x));
  std::string by = op;
  int64_t n = 0;
  bool below = false, above = false;  // all of the type's numbers lie above or below the literal
  if (number.is(Kind::Integer)) {
    n = number.integer.constant_part();
  } else {
    const double r = number.real, whole = std::floor(r);
    if (std::isnan(r)) return filled(op == "!=", x);
    if (whole != r && (op == "==" || op == "!=")) return filled(op == "!=", x);
    below = whole < -0x1p63, above = whole >= 0x1p63;
    if (!below && !above) n = static_cast<int64_t>(whole);
    if (whole != r && op == "<") by = "<=";  // x < 2.5 is x <= 2
    if (whole != r && op == ">=") by = ">";
  }
  below = below || n < low, above = above || n > high;
  if (below) return filled(by == "!=" || by == ">" || by == ">=", x);
  if (above) return filled(by == "!=" || by == "<" || by == "<=", x);
  const graph::NodeId c = literal(Value::of(Index(n)), dtype(x), {});
  return wrap(b_.make(graph_op(by), {x.node, b_.splat(c, shape(x))}));
}

constexpr int kMaxLeaves = 8;

Value Elaborator::choice_of(const Value& condition, const Value& a, const Value& b, Loc loc) {
  auto leaves = [](const Value& v) { return v.choice != nullptr ? v.choice->leaves : 1; };
  auto c = std::make_shared<Choice>(Choice{condition, a, b, leaves(a) + leaves(b)});
  Value x = tensor(a, float_type(), loc), y = tensor(b, float_type(), loc), p = condition;
  const auto to = common_shape({&p, &x, &y});
  if (!to)
    fail(loc, fmt::format("'if' cannot combine {}, {} and {}: only a literal 1 stretches",
                          describe(condition), describe(a), describe(b)));
  p = broadcast(p, *to, loc), x = broadcast(x, *to, loc), y = broadcast(y, *to, loc);
  Value r = wrap(b_.select(p.node, x.node, y.node));
  if (c->leaves <= kMaxLeaves) r.choice = std::move(c);
  return r;
}

// Arithmetic of a literal with a choice of literals is one of its results.
std::optional<Value> Elaborator::on_choice(const std::string& op, const Value& a, const Value& b, Loc loc) {
  if (is_comparison(op) || op == "and" || op == "or") return std::nullopt;
  if (a.choice != nullptr && b.is_constant())
    return choice_of(a.choice->condition, binary(op, a.choice->a, b, loc), binary(op, a.choice->b, b, loc),
                     loc);
  if (b.choice != nullptr && a.is_constant())
    return choice_of(b.choice->condition, binary(op, a, b.choice->a, loc), binary(op, a, b.choice->b, loc),
                     loc);
  return std::nullopt;
}

Value Elaborator::matmul(const Value& a0, const Value& b0, Loc loc) {
  Value a = a0, b = b0;
  if (!a.is_tensor() || !b.is_tensor() || a.scalar || b.scalar)
    fail(loc, fmt::format("'@' needs two tensors: {} and {}", describe(a0), describe(b0)));
  unify(a, b, "@", loc);
  if (!is_float(dtype(a))) fail(loc, fmt::format("'@' needs float: {} and {}", describe(a0), describe(b0)));
  const Shape sa = shape(a), sb = shape(b);
  if (sa.empty() || sb.size() != 2)
    fail(loc, fmt::format("'@' takes [..., k] @ [k, n]: {} and {}; index notation does the others",
                          describe(a0), describe(b0)));
  if (!(sa.back() == sb[0]))
    fail(loc, fmt::format("cannot multiply {} @ {}: {} against {}", describe(a0), describe(b0),
                          sa.back().str(), sb[0].str()));
  if (sa.size() > 24) fail(loc, fmt::format("'@' of {} axes; at most 24", sa.size()));
  std::string lead;
  for (size_t i = 0; i + 1 < sa.size(); ++i) lead += static_cast<char>('a' + i);
  return wrap(of(a).einsum(a.node, b.node, lead + "y,yz->" + lead + "z"), a.is(Kind::Deferred));
}

Value Elaborator::choose(const Value& condition, Value a, Value b, Loc loc) {
  if (!condition.is_tensor() || dtype(condition) != DType::Bool)
    fail(loc, fmt::format("'a if c else b' chooses by bool, {} is not", describe(condition)));
  const bool scalar = (!a.is_tensor() || a.scalar) && (!b.is_tensor() || b.scalar) && condition.scalar;
  auto numeric = [](const Value& v) { return v.is_number() || v.choice != nullptr || v.scalar; };
  if (!scalar && condition.is(Kind::Tensor) && a.is_weak() && b.is_weak() && numeric(a) && numeric(b))
    return choice_of(condition, a, b, loc);
  const Value a0 = a, b0 = b;
  if (condition.is(Kind::Deferred))  // what it chooses between is of the whole split too
    for (Value* v : {&a, &b}) {
      Value whole = wrap(finish_.constant(0, DType::F64), true);
      unify(*v, whole, "if", loc);
    }
  unify(a, b, "if", loc);
  if (!condition.is(Kind::Deferred) && a.is(Kind::Deferred))
    fail(loc, fmt::format("'if' chooses between values of the whole split by {}, which is of one batch",
                          describe(condition)));
  const auto to = common_shape({&condition, &a, &b});
  if (!to)
    fail(loc, fmt::format("'if' cannot combine {}, {} and {}: only a literal 1 stretches",
                          describe(condition), describe(a0), describe(b0)));
  const Value c = broadcast(condition, *to, loc);
  a = broadcast(a, *to, loc), b = broadcast(b, *to, loc);
  Value r = wrap(of(a).select(c.node, a.node, b.node), a.is(Kind::Deferred));
  r.scalar = scalar;
  return r;
}

Value Elaborator::limit(const Value& like, bool least) {
  const DType t = dtype(like);
  constexpr double inf = std::numeric_limits<double>::infinity();
  if (!is_integer(t)) return Value::of(least ? -inf : inf);
  return Value::of(Index(least ? range_of(t).first : range_of(t).second));
}

}  // namespace gradc::frontend
