// Expressions, by precedence from |> down to names and numbers.
#pragma once

#include <array>
#include <string_view>
#include <vector>

#include "frontend/syntax/ast.h"
#include "frontend/syntax/token_reader.h"

namespace gradc::frontend {

class ExpressionParser : public TokenReader {
 public:
  using TokenReader::TokenReader;
  Expr only_expression();

 protected:
  std::vector<Expr> exprs();
  Expr head();
  Expr expr();
  void warn_spread(Loc start, Loc pipe, const Expr& call);
  Expr piped(Expr e, Expr f, Loc start);
  static Expr measured(Expr e);
  Expr make(Expr::Kind k, std::string_view text, std::vector<Expr> kids, Loc start);
  Expr choose();
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
  Expr disjunction() { return chain(std::array{"or"}, &ExpressionParser::conjunction); }
  Expr conjunction() { return chain(std::array{"and"}, &ExpressionParser::negation); }
  Expr negation();
  Expr sum() { return chain(std::array{"+", "-"}, &ExpressionParser::term); }
  bool at_reduction(int ahead = 0);
  Expr term();
  Expr reduction_head();
  Expr unary();
  Expr postfix();
  Expr applied(Expr f, Expr::Kind kind, std::string_view open, std::string_view close);
  Expr layer(Expr f);
  Expr subscripted(Expr x);
  Expr member(Expr x);
  std::vector<Subscript> subscripts();
  Expr primary();
  Expr bracketed(bool round);
};

}  // namespace gradc::frontend
