// Declarations and statements.
#include "frontend/syntax/parser.h"

#include <algorithm>
#include <array>

#include "frontend/syntax/expression_parser.h"

namespace gradc::frontend {
namespace {

constexpr std::array kTypes = {"f32", "f64", "i32", "i64", "u8", "bool", "float"};

class Parser : public ExpressionParser {
 public:
  using ExpressionParser::ExpressionParser;

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

 private:
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
    } else if (at("init")) {
      f.init.push_back(init());
    } else {
      fail(t.loc,
           fmt::format("expected import, const, fn, layer, model, data, init or train, found {}", shown(t)));
    }
  }

  InitFrom init() {
    InitFrom i;
    next();
    const Token& n = name("init");
    i.name = n.text, i.loc = n.loc;
    if (!at("from"))
      fail(peek().loc, fmt::format("expected 'from', found {}; write init {} from \"weights.safetensors\"",
                                   shown(peek()), i.name));
    next();
    const Token& path = string("the path of weights");
    i.path = path.text, i.path_loc = path.loc;
    i.partial = at("partial");
    if (i.partial) next();
    return i;
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
        f.type_name = type_name();
    }
    if (defaults && accept("=")) f.otherwise = expr();
    return f;
  }

  std::string type_name() {
    const Token& t = name("a type");
    if (at("["))
      fail(t.loc,
           fmt::format("unknown element type '{}'; there are f32, f64, i32, i64, u8 and bool", t.text));
    return std::string(t.text);
  }

  // Whether a whole division stands between a token and here.
  bool divides(size_t from) const {
    return std::any_of(tokens_.begin() + static_cast<long>(from), tokens_.begin() + static_cast<long>(at_),
                       [](const Token& t) { return t.is("//"); });
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
          fail(t.loc, fmt::format("expected the end of the statement, found {}{}", shown(t),
                                  divides(first) ? "; a comment begins with #" : ""));
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
    else if (t.is("step") && named && peek(2).is("{"))
      s = step();
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
    if (t.is("init") && second.kind == Token::Kind::Name && peek(2).is("from"))
      fail(t.loc, "init stands beside the train block, not in it: init m from \"weights.safetensors\"");
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
    if (at("carry")) {
      const Token& word = next();
      if (s.kind == Stmt::Kind::Param) fail(word.loc, "a state is carried, not a param");
      s.carry = true;
    }
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

  Stmt step() {
    Depth depth(*this);
    Stmt s;
    s.kind = Stmt::Kind::Step;
    next();
    s.name = name("a step").text;
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
};

}  // namespace

File parse(const Sources& sources, uint32_t file, Diagnostics& diagnostics) {
  return Parser(sources, file, diagnostics).file();
}

Expr parse_expression(const Sources& sources, uint32_t file, Diagnostics& diagnostics) {
  return Parser(sources, file, diagnostics).only_expression();
}

}  // namespace gradc::frontend
