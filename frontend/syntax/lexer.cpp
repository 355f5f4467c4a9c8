#include "frontend/syntax/lexer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace gradc::frontend {
namespace {

constexpr size_t kMaxFile = size_t(16) << 20, kMaxLine = size_t(1) << 20;

constexpr std::array kReserved = {"import", "const", "fn",  "layer",  "model",   "repeat", "scan",
                                  "if",     "else",  "in",  "return", "require", "where",  "as",
                                  "and",    "or",    "not", "true",   "false"};
// Longest first, so that the first match is the right one.
constexpr std::array<std::string_view, 34> kOps = {
    "...", "|>", "->", "**", "//", "<=", ">=", "==", "!=", "+=", "-=", "*=", "/=", "-", "+", "*", "/",
    "@",   "<",  ">",  "=",  ",",  ";",  ":",  ".",  "(",  ")",  "{",  "}",  "[",  "]", "~", "&", "|"};

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// The length of the UTF-8 sequence at `at`, 0 when it is malformed.
size_t utf8_length(std::string_view s, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(s[i]); };
  const unsigned char c = byte(at);
  const size_t n = c < 0x80                ? 1
                   : c >= 0xC2 && c < 0xE0 ? 2
                   : c >= 0xE0 && c < 0xF0 ? 3
                   : c >= 0xF0 && c < 0xF5 ? 4
                                           : 0;
  if (n == 0 || at + n > s.size()) return 0;
  for (size_t i = 1; i < n; ++i)
    if ((byte(at + i) & 0xC0) != 0x80) return 0;
  if ((c == 0xE0 && byte(at + 1) < 0xA0) || (c == 0xED && byte(at + 1) > 0x9F)) return 0;
  if ((c == 0xF0 && byte(at + 1) < 0x90) || (c == 0xF4 && byte(at + 1) > 0x8F)) return 0;
  return n;
}

class Lexer {
 public:
  Lexer(const Sources& sources, uint32_t file, Diagnostics& d) : s_(sources.text(file)), file_(file), d_(d) {}

  std::vector<Token> run() {
    if (s_.size() > kMaxFile) {
      d_.error(place(0, 0), fmt::format("the file has {} bytes; at most {} are read", s_.size(), kMaxFile));
      s_ = {};
    }
    if (s_.substr(0, 3) == "\xEF\xBB\xBF") at_ = 3;
    while (at_ < s_.size()) step();
    add(Token::Kind::Newline, at_, at_);
    add(Token::Kind::End, at_, at_);
    return std::move(out_);
  }

 private:
  Loc place(size_t from, size_t to) const {
    return {file_, static_cast<uint32_t>(from), static_cast<uint32_t>(to)};
  }
  Token& add(Token::Kind k, size_t from, size_t to) {
    out_.push_back({k, s_.substr(std::min(from, s_.size()), to - from), place(from, to)});
    return out_.back();
  }

  void step() {
    const char c = s_[at_];
    if (c == ' ' || c == '\t' || c == '\r') {
      ++at_;
    } else if (c == '#') {
      while (at_ < s_.size() && s_[at_] != '\n') skip_character();
    } else if (c == '\n') {
      if (at_ - line_ > kMaxLine)
        d_.error(place(line_, line_ + 1),
                 fmt::format("a line of {} bytes; at most {} are read", at_ - line_, kMaxLine));
      add(Token::Kind::Newline, at_, at_ + 1);
      line_ = ++at_;
    } else if (is_letter(c)) {
      const size_t from = at_;
      while (at_ < s_.size() && (is_letter(s_[at_]) || is_digit(s_[at_]))) ++at_;
      add(Token::Kind::Name, from, at_);
    } else if (is_digit(c) || (c == '.' && at_ + 1 < s_.size() && is_digit(s_[at_ + 1]))) {
      number();
    } else if (c == '"') {
      string();
    } else {
      op();
    }
  }

  // Passes one character; malformed UTF-8 is an error once.
  void skip_character() {
    const size_t n = utf8_length(s_, at_);
    if (n == 0 && !bad_utf8_) {
      bad_utf8_ = true;
      d_.error(place(at_, at_ + 1), "the file is not UTF-8 from here; save it as UTF-8 text");
    }
    at_ += std::max<size_t>(1, n);
  }

  void digits() {
    while (at_ < s_.size() && is_digit(s_[at_])) ++at_;
  }

  void number() {
    const size_t from = at_;
    bool real = false;
    digits();
    // "1..." is not a number with a fraction, and "2.relu" is a member.
    if (at_ < s_.size() && s_[at_] == '.' && s_.substr(at_, 3) != "..." &&
        !(at_ + 1 < s_.size() && is_letter(s_[at_ + 1]) && s_[at_ + 1] != 'e' && s_[at_ + 1] != 'E')) {
      real = true;
      ++at_;
      digits();
    }
    size_t e = at_;
    if (e < s_.size() && (s_[e] == 'e' || s_[e] == 'E')) {
      ++e;
      if (e < s_.size() && (s_[e] == '+' || s_[e] == '-')) ++e;
      if (e < s_.size() && is_digit(s_[e])) {
        real = true;
        at_ = e;
        digits();
      }
    }
    finish_number(from, real);
  }

  void finish_number(size_t from, bool real) {
    const size_t end = at_;
    double scale = 1;
    bool percent = false;
    if (at_ < s_.size() && (s_[at_] == 'k' || s_[at_] == 'M'))
      scale = s_[at_++] == 'k' ? 1e3 : 1e6;
    else if (at_ < s_.size() && s_[at_] == '%')
      percent = true, ++at_;
    if (at_ < s_.size() && (is_letter(s_[at_]) || is_digit(s_[at_]))) {
      while (at_ < s_.size() && (is_letter(s_[at_]) || is_digit(s_[at_]))) ++at_;
      d_.error(place(from, at_), fmt::format("'{}' is not a number; numbers may end in k, M or %",
                                             s_.substr(from, at_ - from)));
      add(Token::Kind::Integer, from, at_);
      return;
    }
    Token& t = add(real || percent ? Token::Kind::Real : Token::Kind::Integer, from, at_);
    t.percent = percent;
    const auto real_error = std::from_chars(s_.data() + from, s_.data() + end, t.number).ec;
    t.number = percent ? t.number / 100 : t.number * scale;
    if (real_error != std::errc{} || !std::isfinite(t.number))
      d_.error(t.loc, "the number is too large or too small for f64");
    if (t.kind == Token::Kind::Real && scale > 1 && t.number == std::floor(t.number) &&
        std::abs(t.number) < 1e15)
      t.kind = Token::Kind::Integer;  // 1.5k
    if (t.kind != Token::Kind::Integer) return;
    const auto [p, error] = std::from_chars(s_.data() + from, s_.data() + end, t.integer);
    const bool whole = !real;
    if (whole &&
        (error != std::errc{} || __builtin_mul_overflow(t.integer, static_cast<int64_t>(scale), &t.integer)))
      d_.error(t.loc, "the integer does not fit 64 bits; write it as a real number, such as 1e20");
    if (!whole) t.integer = static_cast<int64_t>(t.number);
  }

  void string() {
    const size_t from = at_++;
    while (at_ < s_.size() && s_[at_] != '"' && s_[at_] != '\n') skip_character();
    if (at_ >= s_.size() || s_[at_] != '"') {
      d_.error(place(from, at_), "the string has no closing quote on its line");
      add(Token::Kind::String, from + 1, at_);
      return;
    }
    Token& t = add(Token::Kind::String, from + 1, at_++);
    t.loc = place(from, at_);
  }

  void op() {
    for (std::string_view o : kOps)
      if (s_.substr(at_, o.size()) == o) {
        add(Token::Kind::Op, at_, at_ + o.size());
        at_ += o.size();
        return;
      }
    const size_t from = at_;
    if (s_[at_] == '^') {
      d_.error(place(at_, at_ + 1), "power is **");
      add(Token::Kind::Op, at_, at_ + 1).text = "**";
      ++at_;
      return;
    }
    if (s_[at_] == '%') {
      d_.error(place(at_, at_ + 1),
               "'%' has no meaning here: a share is 90%, and what is left of x by n is x - n * (x // n)");
      add(Token::Kind::Op, at_, at_ + 1).text = "//";
      ++at_;
      return;
    }
    const bool was_bad = bad_utf8_;
    skip_character();
    if (bad_utf8_ && !was_bad) return;
    if (from < s_.size() && static_cast<unsigned char>(s_[from]) < 0x20)
      d_.error(place(from, at_),
               fmt::format("a control character (code {}) has no meaning here", int(s_[from])));
    else if (utf8_length(s_, from) != 0)
      d_.error(place(from, at_), fmt::format("'{}' has no meaning here", s_.substr(from, at_ - from)));
  }

  std::string_view s_;
  uint32_t file_;
  Diagnostics& d_;
  size_t at_ = 0, line_ = 0;
  bool bad_utf8_ = false;
  std::vector<Token> out_;
};

}  // namespace

bool is_reserved(std::string_view word) {
  return std::find(kReserved.begin(), kReserved.end(), word) != kReserved.end();
}

std::vector<Token> lex(const Sources& sources, uint32_t file, Diagnostics& diagnostics) {
  return Lexer(sources, file, diagnostics).run();
}

}  // namespace gradc::frontend
