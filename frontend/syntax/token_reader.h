// Tokens as the parser reads them: newlines that mean nothing are passed, mistakes are reported and passed
// over to the end of a statement or declaration, nesting is bounded.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/syntax/lexer.h"
#include "support/diagnostic.h"

namespace gradc::frontend {

template <class List>
bool in(const List& list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

inline Loc join(Loc a, Loc b) { return {a.file, a.begin, std::max(a.end, b.end)}; }

constexpr int kMaxNesting = 256;

class TokenReader {
 public:
  TokenReader(const Sources& sources, uint32_t file, Diagnostics& d)
      : sources_(sources),
        d_(d),
        lexed_from_(d.all().size()),
        tokens_(lex(sources, file, d)),
        lexed_to_(d.all().size()) {}

 protected:
  void skip();
  const Token& peek(int ahead = 0);
  bool at(std::string_view word, int ahead = 0) { return peek(ahead).is(word); }
  const Token& next();
  void skip_newlines();
  static std::string shown(const Token& t);
  [[noreturn]] static void fail(Loc loc, std::string text, std::string help = "");
  void report(const CompileError& e);
  const Token& eat(std::string_view word);
  bool accept(std::string_view word) { return at(word) ? (eat(word), true) : false; }
  const Token& name(std::string_view what);
  const Token& string(std::string_view what);
  Loc from(Loc start) const { return join(start, last_->loc); }
  struct Depth {  // of recursion; bounds the stack that hostile files can use
    explicit Depth(TokenReader& p) : p(p) {
      if (++p.depth_ > kMaxNesting)
        fail(p.peek().loc, fmt::format("nested deeper than {} levels", kMaxNesting));
    }
    ~Depth() { --p.depth_; }
    TokenReader& p;
  };
  struct Brackets {  // inside them newlines mean nothing and braces make layers
    explicit Brackets(TokenReader& p) : p(p) { p.lines_.push_back(false), p.heads_.push_back(false); }
    ~Brackets() { p.lines_.pop_back(), p.heads_.pop_back(); }
    TokenReader& p;
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

  // recovery
  void recover_statement(size_t start);
  static void count(const Token& t, int& depth, int& braces);
  static int bracket(const Token& t);
  bool is_declaration(size_t j) const;
  void recover_declaration(size_t start);

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

}  // namespace gradc::frontend
