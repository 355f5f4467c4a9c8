#include "runtime/json.h"

#include <charconv>
#include <set>

#include "runtime/utf8.h"

namespace gradc::runtime {
namespace {

class Reader {
 public:
  explicit Reader(std::string_view s) : s_(s) {}

  Json all() {
    Json v = value(0);
    space();
    if (at_ != s_.size()) fail("text after the end");
    return v;
  }

 private:
  [[noreturn]] void fail(const char* what) const { throw JsonError(at_, what); }
  void space() {
    while (at_ < s_.size() && (s_[at_] == ' ' || s_[at_] == '\t' || s_[at_] == '\n' || s_[at_] == '\r'))
      ++at_;
  }
  bool accept(char c) {
    space();
    if (at_ >= s_.size() || s_[at_] != c) return false;
    ++at_;
    return true;
  }
  void word(std::string_view w) {
    if (s_.substr(at_, w.size()) != w) fail("an unknown word");
    at_ += w.size();
  }

  Json value(int depth) {
    if (depth > 64) fail("nested too deep");
    space();
    if (at_ >= s_.size()) fail("the text ends early");
    const char c = s_[at_];
    const size_t from = at_;
    Json v;
    if (c == '{')
      v = object(depth);
    else if (c == '[')
      v = list(depth);
    else
      v = plain(c);
    v.at = from;
    return v;
  }

  Json plain(char c) {
    Json v;
    if (c == '"') {
      v.kind = Json::Kind::String;
      v.text = string();
    } else if (c == 't' || c == 'f') {
      v.kind = Json::Kind::Bool;
      v.truth = c == 't';
      word(v.truth ? "true" : "false");
    } else if (c == 'n') {
      word("null");
    } else {
      v = number();
    }
    return v;
  }

  Json object(int depth) {
    Json v;
    v.kind = Json::Kind::Object;
    std::set<std::string> names;
    ++at_;
    if (accept('}')) return v;
    do {
      space();
      if (at_ >= s_.size() || s_[at_] != '"') fail("a name is expected");
      std::string name = string();
      if (!names.insert(name).second) fail("a name occurs twice");
      if (!accept(':')) fail("':' is expected");
      v.members.emplace_back(std::move(name), value(depth + 1));
    } while (accept(','));
    if (!accept('}')) fail("'}' is expected");
    return v;
  }

  Json list(int depth) {
    Json v;
    v.kind = Json::Kind::List;
    ++at_;
    if (accept(']')) return v;
    do v.items.push_back(value(depth + 1));
    while (accept(','));
    if (!accept(']')) fail("']' is expected");
    return v;
  }

  Json number() {
    Json v;
    v.kind = Json::Kind::Number;
    const size_t from = at_;
    while (at_ < s_.size() && (std::string_view("+-.eE").find(s_[at_]) != std::string_view::npos ||
                               (s_[at_] >= '0' && s_[at_] <= '9')))
      ++at_;
    v.text = s_.substr(from, at_ - from);
    const auto [end, error] = std::from_chars(v.text.data(), v.text.data() + v.text.size(), v.number);
    if (v.text.empty() || error != std::errc{} || end != v.text.data() + v.text.size()) fail("not a number");
    return v;
  }

  unsigned hex4() {
    unsigned code = 0;
    if (at_ + 4 > s_.size()) fail("the text ends early");
    const auto [end, error] = std::from_chars(s_.data() + at_, s_.data() + at_ + 4, code, 16);
    if (error != std::errc{} || end != s_.data() + at_ + 4) fail("a bad \\u");
    at_ += 4;
    return code;
  }
  std::string string() {
    std::string out;
    for (++at_; at_ < s_.size() && s_[at_] != '"';) {
      char c = s_[at_++];
      if (static_cast<unsigned char>(c) < 0x20) fail("a control character in a string");
      if (c != '\\') {
        out += c;
        continue;
      }
      if (at_ >= s_.size()) break;
      c = s_[at_++];
      constexpr std::string_view from = "\"\\/bfnrt", to = "\"\\/\b\f\n\r\t";
      if (const size_t i = from.find(c); i != std::string_view::npos) {
        out += to[i];
      } else if (c == 'u') {
        unsigned code = hex4();
        if (code >= 0xD800 && code < 0xDC00) {
          if (s_.substr(at_, 2) != "\\u") fail("half a surrogate pair");
          at_ += 2;
          const unsigned low = hex4();
          if (low < 0xDC00 || low > 0xDFFF) fail("half a surrogate pair");
          code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        } else if (code >= 0xDC00 && code < 0xE000) {
          fail("half a surrogate pair");
        }
        out += utf8_of(code);
      } else {
        fail("an unknown escape");
      }
    }
    if (at_ >= s_.size()) fail("a string without end");
    ++at_;
    return out;
  }

  std::string_view s_;
  size_t at_ = 0;
};

}  // namespace

JsonError::JsonError(size_t at, const std::string& what)
    : Error(Failure::Data, "not JSON at byte " + std::to_string(at) + ": " + what), at(at), reason(what) {}

const Json* Json::find(std::string_view name) const {
  for (const auto& [n, v] : members)
    if (n == name) return &v;
  return nullptr;
}

std::optional<int64_t> Json::whole() const {
  int64_t n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  const bool all = kind == Kind::Number && error == std::errc{} && end == text.data() + text.size();
  return all ? std::optional(n) : std::nullopt;
}

Json parse_json(std::string_view text) { return Reader(text).all(); }

std::string quote_json(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\')
      out += {'\\', c};
    else if (c == '\n')
      out += "\\n";
    else if (static_cast<unsigned char>(c) < 0x20) {
      constexpr std::string_view digits = "0123456789abcdef";
      out += std::string("\\u00") + digits[static_cast<unsigned char>(c) >> 4] + digits[c & 15];
    } else
      out += c;
  }
  return out + "\"";
}

}  // namespace gradc::runtime
