#include "frontend/parser.h"

#include <algorithm>
#include <array>

#include "frontend/lexer.h"

namespace gradc::frontend {
namespace {

constexpr int kMaxNesting = 256;
constexpr int kMaxHeight = 1000;  // of one expression's tree: its chains of operators count too
constexpr std::array kIndexOps = {"sum", "mean",   "prod",   "max",       "min",     "any",
                                  "all", "argmax", "argmin", "logsumexp", "softmax", "cumsum"};
constexpr std::array kTypes = {"f32", "f64", "i32", "i64", "u8", "bool", "float"};
constexpr std::array kDeclarations = {"import", "const", "fn", "layer", "model", "data", "train"};
// A line that starts with one of these continues the line before.
constexpr std::array kContinues = {"|>", "+", "-",  "*",  "/",  "//",  "@",  "**",  "<",
                                   "<=", ">", ">=", "==", "!=", "and", "or", "else"};
constexpr std::array kComparisons = {"<", "<=", ">", ">=", "==", "!="};

template <class List>
bool in(const List& list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

Loc join(Loc a, Loc b) { return {a.file, a.begin, std::max(a.end, b.end)}; }

class Parser {
 public:
  Parser(const Sources& sources, uint32_t file, Diagnostics& d)
      : sources_(sources),
        d_(d),
        lexed_from_(d.all().size()),
        tokens_(lex(sources, file, d)),
        lexed_to_(d.all().size()) {}

  File file() {
    File f;
    for (skip_newlines(); peek().kind != Token::Kind::End; skip_newlines()) {
      const size_t start = at_;
      try {
        declaration(f);
        if (peek().kind != Token::Kind::Newline && peek().kind != Token::Kind::End)
          fail(peek().loc, fmt::format("expected the end of the line, found {}", shown(peek())));
      } catch (const CompileError& e) {
        report(e);
        recover_declaration(start);
      }
    }
    return f;
  }

  Expr only_expression() {
    lines_ = {false};
    Expr e = expr();
    if (peek().kind != Token::Kind::End) fail(peek().loc, fmt::format("unexpected {}", shown(peek())));
    return e;
  }

 private:
  // ---- tokens
  // Passes newlines where they mean nothing: inside brackets, and before a line that continues.
  void skip() {
    while (tokens_[at_].kind == Token::Kind::Newline) {
      size_t next = at_;
      while (tokens_[next].kind == Token::Kind::Newline) ++next;
      const Token& t = tokens_[next];
      const bool continues =
          (t.kind == Token::Kind::Op || t.kind == Token::Kind::Name) && in(kContinues, t.text);
      if (lines_.back() && !continues) return;
      at_ = next;
    }
  }
  const Token& peek(int ahead = 0) {
    skip();
    size_t j = at_;
    for (; ahead > 0 && j + 1 < tokens_.size(); --ahead) {
      ++j;
      while (!lines_.back() && tokens_[j].kind == Token::Kind::Newline) ++j;
    }
    return tokens_[j];
  }
  bool at(std::string_view word, int ahead = 0) { return peek(ahead).is(word); }
  const Token& next() {
    skip();
    const Token& t = tokens_[at_];
    if (t.kind != Token::Kind::End) ++at_;
    return last_ = &t, t;
  }
  void skip_newlines() {
    while (tokens_[at_].kind == Token::Kind::Newline) ++at_;
  }
  static std::string shown(const Token& t) {
    if (t.kind == Token::Kind::End) return "the end of the file";
    if (t.kind == Token::Kind::Newline) return "the end of the line";
    if (t.kind == Token::Kind::String) return fmt::format("\"{}\"", t.text);
    return fmt::format("'{}'", t.text);
  }
  [[noreturn]] static void fail(Loc loc, std::string text, std::string help = "") {
    throw CompileError(Diagnostic{Severity::Error, loc, std::move(text), {}, {}, std::move(help)});
  }
  // What follows a bad character on its line says nothing new.
  void report(const CompileError& e) {
    const Loc at = e.diagnostic.loc;
    for (size_t i = lexed_from_; i < lexed_to_; ++i)
      if (const Loc bad = d_.all()[i].loc;
          bad.file == at.file &&
          sources_.position(bad.file, bad.begin).line == sources_.position(at.file, at.begin).line)
        return;
    d_.error(e.diagnostic.loc, e.diagnostic.text).help = e.diagnostic.help;
  }

  const Token& eat(std::string_view word) {
    if (!at(word)) fail(peek().loc, fmt::format("expected '{}', found {}", word, shown(peek())));
    const Token& t = next();
    if (word == "," || word == "=" || word == "->" || in(kContinues, word)) skip_newlines();
    return t;
  }
  bool accept(std::string_view word) { return at(word) ? (eat(word), true) : false; }
  const Token& name(std::string_view what) {
    const Token& t = peek();
    if (t.kind != Token::Kind::Name) fail(t.loc, fmt::format("expected {}, found {}", what, shown(t)));
    if (is_reserved(t.text))
      fail(t.loc, fmt::format("'{}' is a word of the language; {} needs another name", t.text, what));
    return next();
  }
  const Token& string(std::string_view what) {
    if (peek().kind != Token::Kind::String)
      fail(peek().loc, fmt::format("expected {} in quotes, found {}", what, shown(peek())));
    return next();
  }
  Loc from(Loc start) const { return join(start, last_->loc); }

  struct Depth {  // of recursion; bounds the stack that hostile files can use
    explicit Depth(Parser& p) : p(p) {
      if (++p.depth_ > kMaxNesting)
        fail(p.peek().loc, fmt::format("nested deeper than {} levels", kMaxNesting));
    }
    ~Depth() { --p.depth_; }
    Parser& p;
  };
  struct Brackets {  // inside them newlines mean nothing and braces make layers
    explicit Brackets(Parser& p) : p(p) { p.lines_.push_back(false), p.heads_.push_back(false); }
    ~Brackets() { p.lines_.pop_back(), p.heads_.pop_back(); }
    Parser& p;
  };

  template <class F>
  void list(std::string_view open, std::string_view close, F element) {
    const Loc start = eat(open).loc;
    Brackets inside(*this);
    while (!at(close)) {
      if (peek().kind == Token::Kind::End) fail(start, fmt::format("'{}' is never closed", open));
      element();
      if (at(","))
        eat(",");
      else if (!at(close))
        fail(peek().loc, fmt::format("expected ',' or '{}', found {}", close, shown(peek())));
    }
    next();
  }

  // ---- recovery
  void recover_statement(size_t start) {
    int depth = 0, braces = 0;  // of brackets in all, and of braces
    for (size_t j = start; j < at_ && j < tokens_.size(); ++j) count(tokens_[j], depth, braces);
    size_t j = std::max(at_, start + 1);
    for (; tokens_[j].kind != Token::Kind::End; ++j) {
      const Token& t = tokens_[j];
      if (depth <= 0 && (t.kind == Token::Kind::Newline || t.is(";"))) break;
      if (t.is("}") && braces <= 0)
        break;  // of the block around: a bracket of the statement was never closed
      if (t.kind == Token::Kind::Newline && is_declaration(j + 1)) break;
      count(t, depth, braces);
    }
    at_ = j;
  }
  static void count(const Token& t, int& depth, int& braces) {
    depth += bracket(t);
    braces += t.is("{") ? 1 : t.is("}") ? -1 : 0;
  }
  static int bracket(const Token& t) {
    return t.is("(") || t.is("[") || t.is("{") ? 1 : t.is(")") || t.is("]") || t.is("}") ? -1 : 0;
  }
  bool is_declaration(size_t j) const {
    return j < tokens_.size() && tokens_[j].kind == Token::Kind::Name && in(kDeclarations, tokens_[j].text) &&
           (j == 0 || tokens_[j - 1].kind == Token::Kind::Newline) &&
           (j + 1 < tokens_.size() &&
            (tokens_[j + 1].kind == Token::Kind::Name || tokens_[j + 1].kind == Token::Kind::String)) &&
           sources_.position(tokens_[j].loc.file, tokens_[j].loc.begin).column == 1;
  }
  void recover_declaration(size_t start) {
    lines_ = {true};
    heads_ = {false};
    depth_ = 0;
    at_ = std::max(at_, start + 1);
    while (tokens_[at_].kind != Token::Kind::End && !is_declaration(at_)) ++at_;
  }

  // ---- declarations
  void declaration(File& f) {
    const Token& t = peek();
    if (at("import")) {
      next();
      const Token& path = string("a path");
      f.imports.push_back({std::string(path.text), path.loc});
    } else if (at("const")) {
      f.consts.push_back(constants());
    } else if (at("fn") || at("layer") || at("model")) {
      f.callables.push_back(callable());
    } else if (at("data") || at("train")) {
      const bool is_data = next().text == "data";
      Block b;
      const Token& n = name(is_data ? "data" : "train");
      b.name = n.text;
      b.loc = n.loc;
      if (!is_data) {
        eat("on");
        const Token& data = name("the data");
        b.data = data.text;
        b.data_loc = data.loc;
      }
      b.body = block();
      (is_data ? f.data : f.train).push_back(std::move(b));
    } else {
      fail(t.loc, fmt::format("expected import, const, fn, layer, model, data or train, found {}", shown(t)));
    }
  }

  Stmt constants() {
    Stmt s;
    s.kind = Stmt::Kind::Const;
    s.loc = next().loc;
    do {
      if (at(",")) eat(",");
      const Token& n = name("a constant");
      s.targets.push_back({std::string(n.text), {}, {}, n.loc});
      eat("=");
      s.values.push_back(expr());
    } while (at(","));
    return s;
  }

  Callable callable() {
    Callable c;
    const Token& kind = next();
    c.kind = kind.text == "fn"      ? Callable::Kind::Fn
             : kind.text == "layer" ? Callable::Kind::Layer
                                    : Callable::Kind::Model;
    const Token& n = name(kind.text);
    c.name = n.text;
    c.loc = n.loc;
    if (at("{")) {
      c.has_config = true;
      list("{", "}", [&] { c.config.push_back(formal(true)); });
    }
    list("(", ")", [&] { c.formals.push_back(formal(true)); });
    if (accept("->")) {
      if (at("("))
        list("(", ")", [&] { c.results.push_back(formal(false)); });
      else
        c.results.push_back(formal(false));
    }
    if (accept("="))
      c.value = expr();
    else
      c.body = block();
    return c;
  }

  bool at_type() {
    return at("[") || (peek().kind == Token::Kind::Name && in(kTypes, peek().text) && at("[", 1));
  }

  Formal formal(bool defaults) {
    Formal f;
    f.loc = peek().loc;
    if (at_type()) {
      f.type = type();
      f.loc = from(f.loc);
      return f;
    }
    const Token& n = name("an argument");
    f.name = n.text;
    if (at(":")) {
      next();
      if (at_type())
        f.type = type();
      else
        f.type_name = name("a type").text;
    }
    if (defaults && accept("=")) f.otherwise = expr();
    return f;
  }

  TypeExpr type() {
    TypeExpr t;
    t.loc = peek().loc;
    if (!at("[")) t.dtype = next().text;
    list("[", "]", [&] { t.dims.push_back(dim()); });
    t.loc = from(t.loc);
    return t;
  }

  DimExpr dim() {
    DimExpr d;
    d.loc = peek().loc;
    if (at("...")) {
      next();
      d.ellipsis = true;
      return d;
    }
    d.value = sum();
    if (at("~")) fail(peek().loc, "'~' (ragged dimensions) is not available yet");
    if (accept("<=")) d.bound = sum();
    d.loc = from(d.loc);
    return d;
  }

  // ---- statements
  std::vector<Stmt> block() {
    Depth depth(*this);
    std::vector<Stmt> body;
    const Loc start = eat("{").loc;
    lines_.push_back(true);
    heads_.push_back(false);
    const size_t level = lines_.size();
    const int nesting = depth_;
    while (true) {
      while (tokens_[at_].kind == Token::Kind::Newline || tokens_[at_].is(";")) ++at_;
      if (tokens_[at_].is("}")) break;
      if (tokens_[at_].kind == Token::Kind::End || (is_declaration(at_) && level <= 2)) {
        lines_.pop_back(), heads_.pop_back();
        fail(start, "'{' is never closed");
      }
      const size_t first = at_;
      try {
        body.push_back(statement());
        const Token& t = peek();
        if (t.kind != Token::Kind::Newline && !t.is(";") && !t.is("}"))
          fail(t.loc, fmt::format("expected the end of the statement, found {}", shown(t)));
      } catch (const CompileError& e) {
        report(e);
        lines_.resize(level);
        heads_.resize(level);
        depth_ = nesting;
        recover_statement(first);
      }
    }
    lines_.pop_back(), heads_.pop_back();
    last_ = &tokens_[at_++];
    return body;
  }

  Stmt statement() {
    const Token &t = peek(), &second = peek(1);
    const bool named = second.kind == Token::Kind::Name;
    refuse_reserved(t, second);
    Stmt s;
    if ((t.is("param") || t.is("state")) && named)
      s = parameter();
    else if (t.is("metric") && named)
      s = metric();
    else if (t.is("const"))
      s = constants();
    else if (t.is("require"))
      s = require();
    else if (t.is("return"))
      s = result();
    else if (t.is("if"))
      s = conditional();
    else if (t.is("repeat") || t.is("scan"))
      s = loop();
    else
      s = assignment();
    s.loc = join(t.loc, last_->loc);
    return s;
  }

  void refuse_reserved(const Token& t, const Token& second) {
    if (t.is("for") && second.kind == Token::Kind::Name)
      fail(t.loc, fmt::format("no 'for'; write repeat {} in 3 {{ ... }}", second.text));
    if (t.is("while") && !second.is("=") && !second.is(","))
      fail(t.loc, "no 'while'; repeat runs a constant number of times");
    if (t.is("def") && second.kind == Token::Kind::Name)
      fail(t.loc, "no 'def'; functions are declared at the top level with fn");
    const bool block_follows = second.kind == Token::Kind::Name && peek(2).is("{");
    if (t.is("step") && block_follows)
      fail(t.loc, "'step' blocks (several updates a step) are not available yet");
    if (t.is("init") && second.kind == Token::Kind::Name && peek(2).is("from"))
      fail(t.loc, "'init ... from' is not available yet");
  }

  Stmt parameter() {
    Stmt s;
    s.kind = next().text == "param" ? Stmt::Kind::Param : Stmt::Kind::State;
    s.name = name("a parameter").text;
    eat(":");
    if (!at_type()) fail(peek().loc, fmt::format("'{}' needs a type, such as [d, n]", s.name));
    s.type = type();
    if (!at("="))
      fail(peek().loc,
           fmt::format("'{}' needs an initial value: = 0, or = glorot(fan_in=d, fan_out=n)", s.name));
    eat("=");
    s.values.push_back(expr());
    if (at("carry")) fail(peek().loc, "'carry' is not available yet");
    return s;
  }
  Stmt metric() {
    Stmt s;
    s.kind = Stmt::Kind::Metric;
    next();
    s.name = name("a metric").text;
    eat("=");
    s.values.push_back(expr());
    return s;
  }
  Stmt require() {
    Stmt s;
    s.kind = Stmt::Kind::Require;
    next();
    s.values.push_back(expr());
    eat(",");
    s.text = string("the message").text;
    return s;
  }
  Stmt result() {
    Stmt s;
    s.kind = Stmt::Kind::Return;
    next();
    s.values = exprs();
    return s;
  }
  Stmt conditional() {
    Depth depth(*this);
    Stmt s;
    s.kind = Stmt::Kind::If;
    next();
    s.values.push_back(head());
    s.body = block();
    if (at("else")) {
      next();
      if (at("if"))
        s.otherwise.push_back(statement());
      else
        s.otherwise = block();
    }
    return s;
  }
  Stmt loop() {
    Stmt s;
    s.kind = next().text == "repeat" ? Stmt::Kind::Repeat : Stmt::Kind::Scan;
    if (peek().kind == Token::Kind::Name && at("in", 1)) {
      s.name = name("a loop index").text;
      next();
    }
    s.values.push_back(head());
    s.body = block();
    return s;
  }

  Stmt assignment() {
    Stmt s;
    do {
      if (at(",")) eat(",");
      if (peek().kind != Token::Kind::Name && s.targets.empty())
        fail(peek().loc, fmt::format("expected a statement, found {}", shown(peek())));
      const Token& n = name("the name on the left of =");
      Target t{std::string(n.text), {}, {}, n.loc};
      if (at(":")) {
        next();
        t.type = type();
      } else if (at("[")) {
        t.subscripts = subscripts();
      }
      t.loc = from(n.loc);
      s.targets.push_back(std::move(t));
    } while (at(","));
    const Token& op = peek();
    if (!op.is("=") && !op.is("+=") && !op.is("-=") && !op.is("*=") && !op.is("/=")) {
      const bool bare = s.targets.size() == 1;
      fail(op.loc, fmt::format("expected '=' after '{}', found {}", s.targets.back().name, shown(op)),
           bare && (op.is("(") || op.is("|>"))
               ? "a value that is not bound has no effect; bind it, or write return"
               : "");
    }
    s.op = next().text;
    skip_newlines();
    s.values = exprs();
    return s;
  }

  // ---- expressions
  std::vector<Expr> exprs() {
    std::vector<Expr> list;
    list.push_back(expr());
    while (accept(",")) list.push_back(expr());
    return list;
  }

  Expr head() {
    heads_.push_back(true);
    Expr e = expr();
    heads_.pop_back();
    return e;
  }

  Expr expr() {
    Depth depth(*this);
    const Loc start = peek().loc;
    Expr e = choose();
    while (accept("|>")) {
      const bool spread = e.is(Expr::Kind::Binary) && !e.parenthesised;
      const Loc pipe = last_->loc;
      Expr f = postfix();
      e = piped(std::move(e), std::move(f), start);
      if (spread) warn_spread(start, pipe, e);
    }
    return e;
  }

  // `x + y |> f` on one line reads as if f took y alone.
  void warn_spread(Loc start, Loc pipe, const Expr& call) {
    const bool one_line =
        sources_.position(start.file, start.begin).line == sources_.position(pipe.file, pipe.begin).line;
    const Expr& argument = call.arguments[0].value;
    if (!one_line || (argument.text != "+" && argument.text != "-")) return;
    d_.warning(pipe, "|> takes the whole sum on its left; write parentheses around what is meant");
  }

  // Binds e as the first argument of a call, a layer or a name.
  Expr piped(Expr e, Expr f, Loc start) {
    Expr call;
    if (f.is(Expr::Kind::Call) && !f.parenthesised) {
      call = std::move(f);
    } else {
      call.kind = Expr::Kind::Call;
      call.kids.push_back(std::move(f));
    }
    call.piped = true;
    call.loc = from(call.kids[0].loc);
    (void)start;
    const Loc loc = e.loc;
    call.arguments.insert(call.arguments.begin(), Argument{"", std::move(e), loc});
    return measured(std::move(call));
  }

  static Expr measured(Expr e) {
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

  Expr make(Expr::Kind k, std::string_view text, std::vector<Expr> kids, Loc start) {
    Expr e;
    e.kind = k;
    e.text = text;
    e.kids = std::move(kids);
    e.loc = from(start);
    return measured(std::move(e));
  }

  Expr choose() {
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

  template <class Ops, class F>
  Expr chain(const Ops& ops, F operand) {
    const Loc start = peek().loc;
    Expr a = (this->*operand)();
    while (peek().kind != Token::Kind::String && in(ops, peek().text)) {
      const std::string_view op = eat(peek().text).text;
      std::vector<Expr> kids;
      kids.push_back(std::move(a));
      kids.push_back((this->*operand)());
      a = make(Expr::Kind::Binary, op, std::move(kids), start);
    }
    return a;
  }
  Expr disjunction() { return chain(std::array{"or"}, &Parser::conjunction); }
  Expr conjunction() { return chain(std::array{"and"}, &Parser::negation); }

  Expr negation() {
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

  Expr sum() { return chain(std::array{"+", "-"}, &Parser::term); }

  bool at_reduction(int ahead = 0) {
    const Token& t = peek(ahead);
    return t.kind == Token::Kind::Name && in(kIndexOps, t.text) && peek(ahead + 1).is("[");
  }

  Expr term() {
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
    return chain(std::array{"*", "/", "//", "@"}, &Parser::unary);
  }

  // NAME [i, j where c]; the body is put in front of the condition later.
  Expr reduction_head() {
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

  Expr unary() {
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

  Expr postfix() {
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

  Expr applied(Expr f, Expr::Kind kind, std::string_view open, std::string_view close) {
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
  Expr layer(Expr f) {
    Expr e = applied(std::move(f), Expr::Kind::Make, "{", "}");
    if (at("as")) {
      next();
      e.text = string("the name of a path").text;
      e.named = true;
      e.loc = from(e.loc);
    }
    return e;
  }
  Expr subscripted(Expr x) {
    Expr e;
    e.kind = Expr::Kind::Subscript;
    e.loc = x.loc;
    e.kids.push_back(std::move(x));
    e.subscripts = subscripts();
    e.loc = from(e.loc);
    return measured(std::move(e));
  }
  Expr member(Expr x) {
    Expr e;
    e.kind = Expr::Kind::Member;
    next();
    const Token& n = name("a member");
    e.text = n.text;
    e.loc = join(x.loc, n.loc);
    e.kids.push_back(std::move(x));
    return measured(std::move(e));
  }

  std::vector<Subscript> subscripts() {
    std::vector<Subscript> subs;
    list("[", "]", [&] {
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

  Expr primary() {
    const Token& t = peek();
    Expr e;
    e.loc = t.loc;
    if (at_reduction()) {
      e = reduction_head();
      if (!at("("))
        fail(t.loc,
             fmt::format("a * {0}[...] ...: put the reduction in parentheses: ({0}[...] ...)", t.text));
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

  Expr bracketed(bool round) {
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

  const Sources& sources_;
  Diagnostics& d_;
  size_t lexed_from_;  // the lexer's messages
  std::vector<Token> tokens_;
  size_t lexed_to_;
  size_t at_ = 0;
  const Token* last_ = tokens_.data();
  std::vector<char> lines_ = {true};   // whether a newline ends a statement
  std::vector<char> heads_ = {false};  // whether a brace opens a block
  int depth_ = 0;
};

}  // namespace

File parse(const Sources& sources, uint32_t file, Diagnostics& diagnostics) {
  return Parser(sources, file, diagnostics).file();
}

Expr parse_expression(const Sources& sources, uint32_t file, Diagnostics& diagnostics) {
  return Parser(sources, file, diagnostics).only_expression();
}

}  // namespace gradc::frontend
