#include "ir/scanner.h"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "support/diagnostic.h"

namespace gradc {
namespace {

bool word_char(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '/' || c == '-';
}

}  // namespace

Loc Scanner::here() const {
  const uint32_t at = static_cast<uint32_t>(all_.size() - t_.size());
  return {file_, at, at + (t_.empty() ? 0 : 1)};
}
void Scanner::fail(const std::string& why) const { throw CompileError(here(), why); }

void Scanner::skip() {
  while (!t_.empty()) {
    if (std::isspace(static_cast<unsigned char>(t_[0])))
      t_.remove_prefix(1);
    else if (t_.starts_with("//") || t_[0] == '#')
      t_.remove_prefix(std::min(t_.find('\n'), t_.size()));
    else
      return;
  }
}
bool Scanner::at_end() {
  skip();
  return t_.empty();
}
bool Scanner::eat(std::string_view s) {
  skip();
  if (!t_.starts_with(s)) return false;
  t_.remove_prefix(s.size());
  return true;
}
void Scanner::expect(std::string_view s) {
  if (!eat(s)) fail(fmt::format("expected '{}'", s));
}

bool Scanner::at_word() {
  skip();
  return !t_.empty() && word_char(t_[0]) && t_[0] != '-';
}
std::string Scanner::word() {
  skip();
  size_t n = 0;
  while (n < t_.size() && word_char(t_[n]) && !t_.substr(n).starts_with("->")) ++n;
  if (n == 0) fail("expected a name");
  std::string w(t_.substr(0, n));
  t_.remove_prefix(n);
  return w;
}
bool Scanner::eat_word(std::string_view w) {
  skip();
  if (!t_.starts_with(w) || (t_.size() > w.size() && word_char(t_[w.size()]))) return false;
  t_.remove_prefix(w.size());
  return true;
}
void Scanner::expect_word(std::string_view w) {
  if (!eat_word(w)) fail(fmt::format("expected '{}'", w));
}

int64_t Scanner::integer() {
  skip();
  int64_t v = 0;
  const auto [end, error] = std::from_chars(t_.data(), t_.data() + t_.size(), v);
  if (error != std::errc()) fail("expected an integer of 64 bits");
  t_.remove_prefix(static_cast<size_t>(end - t_.data()));
  return v;
}
Scanner::Number Scanner::number() {
  skip();
  size_t n = 0;
  while (n < t_.size() &&
         (std::isalnum(static_cast<unsigned char>(t_[n])) || t_[n] == '.' || t_[n] == '-' || t_[n] == '+'))
    ++n;
  const std::string_view s = t_.substr(0, n);
  Number v;
  v.real = s.find_first_of(".ein") != std::string_view::npos;
  if (!v.real) {
    v.i = integer();
    return v;
  }
  const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), v.f);
  if (error != std::errc() || end != s.data() + s.size()) fail(fmt::format("'{}' is no number", s));
  t_.remove_prefix(n);
  return v;
}

Index Scanner::index(const std::function<int(std::string_view)>& var) {
  skip();
  try {
    return parse_index(t_, var);
  } catch (const CompileError& e) {
    fail(e.what());
  }
}
Index Scanner::index() {
  return index([](std::string_view) -> int { throw CompileError({}, "a dimension has no variables"); });
}
Shape Scanner::shape() {
  Shape s;
  expect("[");
  if (eat("]")) return s;
  do s.push_back(index());
  while (eat(","));
  expect("]");
  return s;
}
DType Scanner::dtype() {
  const std::string w = word();
  const std::optional<DType> t = dtype_named(w);
  if (!t) fail(fmt::format("unknown element type '{}'", w));
  return *t;
}
Layout Scanner::layout(int rank) {
  std::vector<int> order;
  std::vector<Layout::Block> blocks;
  std::vector<int64_t> padding;
  auto axis = [&] {
    const int64_t a = integer();
    if (a < 0 || a >= rank) fail(fmt::format("axis {} of {}", a, rank));
    return static_cast<int>(a);
  };
  auto list = [&](std::string_view w, auto&& item) {
    if (!eat_word(w)) return;
    expect("[");
    do item();
    while (eat(","));
    expect("]");
  };
  list("order", [&] { order.push_back(axis()); });
  list("blocks", [&] {
    const int a = axis();
    expect(":");
    blocks.push_back({a, integer()});
  });
  list("pad", [&] { padding.push_back(integer()); });
  const std::string why = Layout::fault(rank, order, blocks, padding);
  if (!why.empty()) fail(why);
  return Layout::make(rank, std::move(order), std::move(blocks), std::move(padding));
}
Type Scanner::type() {
  const DType t = dtype();
  return {t, shape()};
}

}  // namespace gradc
