#include "frontend/syntax/token_reader.h"

#include <fmt/format.h>

#include <array>

namespace gradc::frontend {
namespace {

constexpr std::array kDeclarations = {"import", "const", "fn", "layer", "model", "data", "train"};
// A line that starts with one of these continues the line before.
constexpr std::array kContinues = {"|>", "+", "-",  "*",  "/",  "//",  "@",  "**",  "<",
                                   "<=", ">", ">=", "==", "!=", "and", "or", "else"};

}  // namespace

// Passes newlines where they mean nothing: inside brackets, and before a line that continues.
void TokenReader::skip() {
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

const Token& TokenReader::peek(int ahead) {
  skip();
  size_t j = at_;
  for (; ahead > 0 && j + 1 < tokens_.size(); --ahead) {
    ++j;
    while (!lines_.back() && tokens_[j].kind == Token::Kind::Newline) ++j;
  }
  return tokens_[j];
}

const Token& TokenReader::next() {
  skip();
  const Token& t = tokens_[at_];
  if (t.kind != Token::Kind::End) ++at_;
  return last_ = &t, t;
}

void TokenReader::skip_newlines() {
  while (tokens_[at_].kind == Token::Kind::Newline) ++at_;
}

std::string TokenReader::shown(const Token& t) {
  if (t.kind == Token::Kind::End) return "the end of the file";
  if (t.kind == Token::Kind::Newline) return "the end of the line";
  if (t.kind == Token::Kind::String) return fmt::format("\"{}\"", t.text);
  return fmt::format("'{}'", t.text);
}

void TokenReader::fail(Loc loc, std::string text, std::string help) {
  throw CompileError(Diagnostic{Severity::Error, loc, std::move(text), {}, {}, std::move(help)});
}

// What follows a bad character on its line says nothing new.
void TokenReader::report(const CompileError& e) {
  const Loc at = e.diagnostic.loc;
  for (size_t i = lexed_from_; i < lexed_to_; ++i)
    if (const Loc bad = d_.all()[i].loc; bad.file == at.file && sources_.position(bad.file, bad.begin).line ==
                                                                    sources_.position(at.file, at.begin).line)
      return;
  d_.error(e.diagnostic.loc, e.diagnostic.text).help = e.diagnostic.help;
}

const Token& TokenReader::eat(std::string_view word) {
  if (!at(word)) fail(peek().loc, fmt::format("expected '{}', found {}", word, shown(peek())));
  const Token& t = next();
  if (word == "," || word == "=" || word == "->" || in(kContinues, word)) skip_newlines();
  return t;
}

const Token& TokenReader::name(std::string_view what) {
  const Token& t = peek();
  if (t.kind != Token::Kind::Name) fail(t.loc, fmt::format("expected {}, found {}", what, shown(t)));
  if (is_reserved(t.text))
    fail(t.loc, fmt::format("'{}' is a word of the language; {} needs another name", t.text, what));
  return next();
}

const Token& TokenReader::string(std::string_view what) {
  if (peek().kind != Token::Kind::String)
    fail(peek().loc, fmt::format("expected {} in quotes, found {}", what, shown(peek())));
  return next();
}

void TokenReader::recover_statement(size_t start) {
  int depth = 0, braces = 0;  // of brackets in all, and of braces
  for (size_t j = start; j < at_ && j < tokens_.size(); ++j) count(tokens_[j], depth, braces);
  size_t j = std::max(at_, start + 1);
  for (; tokens_[j].kind != Token::Kind::End; ++j) {
    const Token& t = tokens_[j];
    if (depth <= 0 && (t.kind == Token::Kind::Newline || t.is(";"))) break;
    if (t.is("}") && braces <= 0) break;  // of the block around: a bracket of the statement was never closed
    if (t.kind == Token::Kind::Newline && is_declaration(j + 1)) break;
    count(t, depth, braces);
  }
  at_ = j;
}

void TokenReader::count(const Token& t, int& depth, int& braces) {
  depth += bracket(t);
  braces += t.is("{") ? 1 : t.is("}") ? -1 : 0;
}

int TokenReader::bracket(const Token& t) {
  return t.is("(") || t.is("[") || t.is("{") ? 1 : t.is(")") || t.is("]") || t.is("}") ? -1 : 0;
}

bool TokenReader::is_declaration(size_t j) const {
  return j < tokens_.size() && tokens_[j].kind == Token::Kind::Name && in(kDeclarations, tokens_[j].text) &&
         (j == 0 || tokens_[j - 1].kind == Token::Kind::Newline) &&
         (j + 1 < tokens_.size() &&
          (tokens_[j + 1].kind == Token::Kind::Name || tokens_[j + 1].kind == Token::Kind::String)) &&
         sources_.position(tokens_[j].loc.file, tokens_[j].loc.begin).column == 1;
}

void TokenReader::recover_declaration(size_t start) {
  lines_ = {true};
  heads_ = {false};
  depth_ = 0;
  at_ = std::max(at_, start + 1);
  while (tokens_[at_].kind != Token::Kind::End && !is_declaration(at_)) ++at_;
}

}  // namespace gradc::frontend
