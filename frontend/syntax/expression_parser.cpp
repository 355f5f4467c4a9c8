#include "frontend/syntax/expression_parser.h"

#include <fmt/format.h>

#include <array>

namespace gradc::frontend {
namespace {

constexpr int kMaxHeight = 1000;  // of one expression's tree: its chains of operators count too
constexpr std::array kIndexOps = {"sum",    "mean",   "prod",      "max",     "min",    "any",    "all",
                                  "argmax", "argmin", "logsumexp", "softmax", "cumsum", "cumprod"};
constexpr std::array kComparisons = {"<", "<=", ">", ">=", "==", "!="};

}  // namespace

Expr ExpressionParser::only_expression() {
  lines_ = {false};
  Expr e = expr();
  if (peek().kind != Token::Kind::End) fail(peek().loc, fmt::format("unexpected {}", shown(peek())));
  return e;
}

std::vector<Expr> ExpressionParser::exprs() {
  std::vector<Expr> list;
  list.push_back(expr());
  while (accept(",")) list.push_back(expr());
  return list;
}

Expr ExpressionParser::head() {
  heads_.push_back(true);
  Expr e = expr();
  heads_.pop_back();
  return e;
}

Expr ExpressionParser::expr() {
  Depth depth(*this);
  const Loc start = peek().loc;
  Expr e = choose();
  while (accept("|>")) {
    const bool spread = e.is(Expr::Kind::Binary) && !e.parenthesised;
    const Loc pipe = last_->loc;
    Expr f = postfix();
    e = piped(std::move(e), std::move(f));
    if (spread) warn_spread(start, pipe, e);
  }
  return e;
}

// `x + y |> f` on one line reads as if f took y alone.
void ExpressionParser::warn_spread(Loc start, Loc pipe, const Expr& call) {
  const bool one_line =
      sources_.position(start.file, start.begin).line == sources_.position(pipe.file, pipe.begin).line;
  const Expr& argument = call.arguments[0].value;
  if (!one_line || (argument.text != "+" && argument.text != "-")) return;
  d_.warning(pipe, "|> takes the whole sum on its left; write parentheses around what is meant");
}

// Binds e as the first argument of a call, a layer or a name.
Expr ExpressionParser::piped(Expr e, Expr f) {
  Expr call;
  if (f.is(Expr::Kind::Call) && !f.parenthesised) {
    call = std::move(f);
  } else {
    call.kind = Expr::Kind::Call;
    call.kids.push_back(std::move(f));
  }
  call.piped = true;
  call.loc = from(call.kids[0].loc);
  const Loc loc = e.loc;
  call.arguments.insert(call.arguments.begin(), Argument{"", std::move(e), loc});
  return measured(std::move(call));
}

Expr ExpressionParser::measured(Expr e) {
  for (const Expr& k : e.kids) e.height = std::max(e.height, k.height + 1);
  for (const Argument& a : e.arguments) e.height = std::max(e.height, a.value.height + 1);
  for (const Subscript& s : e.subscripts)
    for (const std::optional<Expr>* x : {&s.low, &s.high})
      if (*x) e.height = std::max(e.height, (*x)->height + 1);
  if (e.height > kMaxHeight)
    fail({e.loc.file, e.loc.begin, e.loc.begin + 1},
         fmt::format("an expression of more than {} operations in a chain; bind parts of it to names",
                     kMaxHeight));
  return e;
}

Expr ExpressionParser::make(Expr::Kind k, std::string_view text, std::vector<Expr> kids, Loc start) {
  Expr e;
  e.kind = k;
  e.text = text;
  e.kids = std::move(kids);
  e.loc = from(start);
  return measured(std::move(e));
}

Expr ExpressionParser::choose() {
  const Loc start = peek().loc;
  Expr a = disjunction();
  if (!at("if")) return a;
  next();
  std::vector<Expr> kids;
  kids.push_back(std::move(a));
  kids.push_back(disjunction());
  if (!at("else"))
    fail(peek().loc, fmt::format("expected 'else' of 'a if c else b', found {}", shown(peek())));
  eat("else");
  Depth depth(*this);
  kids.push_back(choose());
  return make(Expr::Kind::Choose, "", std::move(kids), start);
}

Expr ExpressionParser::negation() {
  const Loc start = peek().loc;
  if (at("not")) {
    Depth depth(*this);
    next();
    std::vector<Expr> kids;
    kids.push_back(negation());
    return make(Expr::Kind::Unary, "not", std::move(kids), start);
  }
  Expr a = sum();
  if (peek().kind == Token::Kind::String || !in(kComparisons, peek().text)) return a;
  const std::string_view op = eat(peek().text).text;
  std::vector<Expr> kids;
  kids.push_back(std::move(a));
  kids.push_back(sum());
  if (peek().kind != Token::Kind::String && in(kComparisons, peek().text))
    fail(peek().loc, "comparisons do not chain; write a < b and b < c");
  return make(Expr::Kind::Binary, op, std::move(kids), start);
}

bool ExpressionParser::at_reduction(int ahead) {
  const Token& t = peek(ahead);
  return t.kind == Token::Kind::Name && in(kIndexOps, t.text) && peek(ahead + 1).is("[");
}

Expr ExpressionParser::term() {
  const Loc start = peek().loc;
  if (at("-") && at_reduction(1)) {
    Depth depth(*this);
    next();
    std::vector<Expr> kids;
    kids.push_back(term());
    return make(Expr::Kind::Unary, "-", std::move(kids), start);
  }
  if (at_reduction()) {
    const size_t saved = at_;
    Expr r = reduction_head();
    if (!at("(")) {
      Depth depth(*this);
      r.kids.insert(r.kids.begin(), term());
      r.loc = from(start);
      return measured(std::move(r));
    }
    at_ = saved;
  }
  return chain(std::array{"*", "/", "//", "@"}, &ExpressionParser::unary);
}

// NAME [i, j where c]; the body is put in front of the condition later.
Expr ExpressionParser::reduction_head() {
  Expr r;
  r.kind = Expr::Kind::Reduce;
  const Token& t = next();
  r.text = t.text;
  r.loc = t.loc;
  eat("[");
  Brackets inside(*this);
  do {
    if (at(",")) eat(",");
    const Token& n = name("an index");
    r.indices.emplace_back(n.text);
    r.index_locs.push_back(n.loc);
  } while (at(","));
  if (at("where")) {
    next();
    r.kids.push_back(disjunction());
  }
  eat("]");
  return r;
}

Expr ExpressionParser::unary() {
  const Loc start = peek().loc;
  if (at("-")) {
    Depth depth(*this);
    next();
    std::vector<Expr> kids;
    kids.push_back(unary());
    return make(Expr::Kind::Unary, "-", std::move(kids), start);
  }
  Expr a = postfix();
  if (!at("**")) return a;
  if (a.is(Expr::Kind::Reduce))
    d_.warning(peek().loc, fmt::format("this is a power of the whole {}[...]; write {}[...]((...)**...) or "
                                       "put the reduction in parentheses",
                                       a.text, a.text));
  eat("**");
  Depth depth(*this);
  std::vector<Expr> kids;
  kids.push_back(std::move(a));
  kids.push_back(unary());
  return make(Expr::Kind::Binary, "**", std::move(kids), start);
}

Expr ExpressionParser::postfix() {
  Expr e = primary();
  while (true) {
    const Token& t = peek();
    if (t.is("("))
      e = applied(std::move(e), Expr::Kind::Call, "(", ")");
    else if (t.is("{") && !heads_.back())
      e = layer(std::move(e));
    else if (t.is("["))
      e = subscripted(std::move(e));
    else if (t.is("."))
      e = member(std::move(e));
    else
      return e;
  }
}

Expr ExpressionParser::applied(Expr f, Expr::Kind kind, std::string_view open, std::string_view close) {
  Expr e;
  e.kind = kind;
  e.loc = f.loc;
  e.kids.push_back(std::move(f));
  list(open, close, [&] {
    Argument a;
    a.loc = peek().loc;
    if (peek().kind == Token::Kind::Name && at("=", 1)) {
      a.name = next().text;
      eat("=");
    }
    a.value = expr();
    e.arguments.push_back(std::move(a));
  });
  e.loc = from(e.loc);
  return measured(std::move(e));
}

Expr ExpressionParser::layer(Expr f) {
  Expr e = applied(std::move(f), Expr::Kind::Make, "{", "}");
  if (at("as")) {
    next();
    e.text = string("the name of a path").text;
    e.named = true;
    e.loc = from(e.loc);
  }
  return e;
}

Expr ExpressionParser::subscripted(Expr x) {
  Expr e;
  e.kind = Expr::Kind::Subscript;
  e.loc = x.loc;
  e.kids.push_back(std::move(x));
  e.subscripts = subscripts();
  e.loc = from(e.loc);
  return measured(std::move(e));
}

Expr ExpressionParser::member(Expr x) {
  Expr e;
  e.kind = Expr::Kind::Member;
  next();
  const Token& n = name("a member");
  e.text = n.text;
  e.loc = join(x.loc, n.loc);
  e.kids.push_back(std::move(x));
  return measured(std::move(e));
}

std::vector<Subscript> ExpressionParser::subscripts() {
  std::vector<Subscript> subs;
  list("[", "]", [&] {
    Depth depth(*this);  // what stands here is no whole expression, which would count itself
    Subscript s;
    s.loc = peek().loc;
    if (at("...")) {
      next();
      s.kind = Subscript::Kind::Ellipsis;
    } else {
      if (!at(":")) s.low = sum();
      if (at(":")) {
        next();
        s.kind = Subscript::Kind::Slice;
        if (!at(",") && !at("]")) s.high = sum();
      }
    }
    s.loc = from(s.loc);
    subs.push_back(std::move(s));
  });
  return subs;
}

Expr ExpressionParser::primary() {
  const Token& t = peek();
  Expr e;
  e.loc = t.loc;
  if (at_reduction()) {
    e = reduction_head();
    if (!at("("))
      fail(t.loc, fmt::format("a * {0}[...] ...: put the reduction in parentheses: ({0}[...] ...)", t.text));
    list("(", ")", [&] { e.kids.insert(e.kids.begin(), expr()); });
    e.loc = from(t.loc);
    return measured(std::move(e));
  }
  if (t.kind == Token::Kind::Integer || t.kind == Token::Kind::Real) {
    e.kind = t.kind == Token::Kind::Integer ? Expr::Kind::Integer : Expr::Kind::Real;
    e.integer = t.integer;
    e.number = t.number;
    e.percent = t.percent;
  } else if (t.kind == Token::Kind::String) {
    e.kind = Expr::Kind::String;
    e.text = t.text;
  } else if (t.is("true") || t.is("false")) {
    e.kind = Expr::Kind::Bool;
    e.integer = t.is("true");
  } else if (t.is("(") || t.is("[")) {
    return bracketed(t.is("("));
  } else {
    const Token& n = name("a value");
    e.kind = Expr::Kind::Name;
    e.text = n.text;
    return e;
  }
  next();
  return e;
}

Expr ExpressionParser::bracketed(bool round) {
  Expr e;
  e.loc = peek().loc;
  e.kind = round ? Expr::Kind::Tuple : Expr::Kind::List;
  list(round ? "(" : "[", round ? ")" : "]", [&] { e.kids.push_back(expr()); });
  e.loc = from(e.loc);
  if (round && e.kids.empty()) fail(e.loc, "empty parentheses");
  if (!round || e.kids.size() > 1) return measured(std::move(e));
  Expr inner = std::move(e.kids[0]);
  inner.parenthesised = true;
  inner.loc = e.loc;
  return inner;
}

}  // namespace gradc::frontend
