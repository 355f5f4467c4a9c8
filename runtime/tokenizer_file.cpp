#include "runtime/tokenizer_file.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <span>
#include <unordered_map>

#include "runtime/error.h"
#include "runtime/json.h"
#include "runtime/utf8.h"

namespace gradc::runtime {
namespace {

constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr size_t kLetters = 0x144;  // the alphabet's characters are below

// GPT-2's alphabet: bytes that print are themselves, the others follow behind 255.
const std::array<char32_t, 256>& letter_of_byte() {
  static const std::array<char32_t, 256> letters = [] {
    std::array<char32_t, 256> all{};
    char32_t next = 256;
    for (char32_t b = 0; b < 256; ++b) {
      const bool prints = (b >= '!' && b <= '~') || (b >= 0xA1 && b != 0xAD);
      all[b] = prints ? b : next++;
    }
    return all;
  }();
  return letters;
}

// -1: no letter of the alphabet.
int byte_of_letter(char32_t c) {
  static const std::array<int16_t, kLetters> bytes = [] {
    std::array<int16_t, kLetters> all{};
    all.fill(-1);
    for (size_t b = 0; b < 256; ++b) all[letter_of_byte()[b]] = static_cast<int16_t>(b);
    return all;
  }();
  return c < kLetters ? bytes[c] : -1;
}

const char* kind_of(const Json& j) {
  constexpr const char* kinds[] = {"null", "a truth value", "a number", "a text", "a list", "an object"};
  return kinds[static_cast<size_t>(j.kind)];
}

class Reader {
 public:
  Reader(const std::string& path, std::string_view text) : path_(path), text_(text) {}

  TokenizerSpec run() {
    const Json all = parse();
    want(all, Json::Kind::Object, "the tokenizer");
    only(all, "the tokenizer",
         {"version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor",
          "decoder", "model"});
    if (const Json* v = all.find("version"); v != nullptr && (v->text != "1.0"))
      fail(*v, "the version is " + shown(*v) + "; 1.0 is read");
    for (const char* part : {"truncation", "padding", "normalizer"}) absent(all, part);
    for (const char* part : {"post_processor", "decoder"}) byte_level_or_none(all, part);
    cutting(all);
    model(member(all, "model", Json::Kind::Object));
    bytes(member(all, "model", Json::Kind::Object));
    if (const Json* added = all.find("added_tokens"); added != nullptr) added_tokens(*added);
    check_numbers(member(all, "model", Json::Kind::Object));
    return std::move(out_);
  }

 private:
  [[noreturn]] void fail_at(size_t at, const std::string& what) const {
    throw Error(Failure::Data, text_place(path_, text_, std::min(at, text_.size())) + ": " + what);
  }
  [[noreturn]] void fail(const Json& j, const std::string& what) const { fail_at(j.at, what); }

  Json parse() const {
    for (size_t at = 0; at < text_.size();) {
      const size_t n = character_size(text_, at);
      if (n == 0) fail_at(at, "no UTF-8; a tokenizer.json is");
      at += n;
    }
    try {
      return parse_json(text_);
    } catch (const JsonError& e) {
      fail_at(e.at, "not JSON: " + e.reason);
    }
  }

  static std::string shown(const Json& j) {
    switch (j.kind) {
      case Json::Kind::Bool:
        return j.truth ? "true" : "false";
      case Json::Kind::Number:
        return j.text.substr(0, 40);
      case Json::Kind::String:
        return quote_json(std::string_view(j.text).substr(0, 80));
      default:
        return kind_of(j);
    }
  }

  void want(const Json& j, Json::Kind kind, const std::string& what) const {
    if (j.kind == kind) return;
    Json wanted;
    wanted.kind = kind;
    fail(j, what + " is " + kind_of(wanted) + ", not " + kind_of(j));
  }
  const Json& member(const Json& of, const std::string& name, Json::Kind kind) const {
    const Json* j = of.find(name);
    if (j == nullptr) fail(of, "'" + name + "' is missing");
    want(*j, kind, "'" + name + "'");
    return *j;
  }
  void only(const Json& of, const std::string& what, std::initializer_list<std::string_view> known) const {
    for (const auto& [name, value] : of.members)
      if (std::find(known.begin(), known.end(), name) == known.end())
        fail(value, what + " says '" + name.substr(0, 80) + "', which is not read");
  }
  void absent(const Json& of, const std::string& name) const {
    const Json* j = of.find(name);
    if (j != nullptr && j->kind != Json::Kind::Null)
      fail(*j, "a " + name + type_text(*j) + " is not read; byte-level BPE without one is");
  }
  static std::string type_text(const Json& j) {
    const Json* type = j.find("type");
    return type == nullptr ? "" : " " + shown(*type);
  }
  bool truth(const Json& of, const char* name, bool otherwise) const {
    const Json* j = of.find(name);
    if (j == nullptr || j->kind == Json::Kind::Null) return otherwise;
    want(*j, Json::Kind::Bool, std::string("'") + name + "'");
    return j->truth;
  }
  // `name` must be `value` where it is said at all.
  void must(const Json& of, const char* name, bool value) const {
    if (truth(of, name, value) != value)
      fail(*of.find(name), std::string(name) + "=" + (value ? "false" : "true") + " is not read");
  }

  bool is_type(const Json& j, const char* type) const {
    return j.kind == Json::Kind::Object && j.find("type") != nullptr && j.find("type")->text == type;
  }
  void byte_level_or_none(const Json& of, const std::string& part) const {
    const Json* j = of.find(part);
    if (j == nullptr || j->kind == Json::Kind::Null || is_type(*j, "ByteLevel")) return;
    fail(*j, "a " + part + type_text(*j) + " is not read; ByteLevel or none is");
  }

  void cutting(const Json& all) {
    const Json& pre = member(all, "pre_tokenizer", Json::Kind::Object);
    if (is_type(pre, "ByteLevel")) {
      out_.cut = byte_level(pre);
    } else if (const Json* list = pre.find("pretokenizers");
               is_type(pre, "Sequence") && list != nullptr && list->items.size() == 2 &&
               is_type(list->items[0], "Split") && is_type(list->items[1], "ByteLevel")) {
      split(list->items[0]);
      if (byte_level(list->items[1]))
        fail(list->items[1], "use_regex=true cuts the pieces of a Split once more, which is not read");
    } else {
      fail(pre, "a pre_tokenizer" + type_text(pre) +
                    " of this kind is not read; ByteLevel is, alone or behind a Split by GPT-2's expression");
    }
  }
  // Whether it cuts the text.
  bool byte_level(const Json& j) const {
    only(j, "ByteLevel", {"type", "add_prefix_space", "trim_offsets", "use_regex"});
    if (truth(j, "add_prefix_space", true))
      fail(j, "add_prefix_space=true is not read: write add_prefix_space false, and the space in the text");
    return truth(j, "use_regex", true);
  }
  void split(const Json& j) const {
    only(j, "Split", {"type", "pattern", "behavior", "invert"});
    const Json* regex = member(j, "pattern", Json::Kind::Object).find("Regex");
    if (regex == nullptr || regex->text != kGpt2)
      fail(j, "a Split by " + (regex == nullptr ? "no expression" : shown(*regex)) +
                  " is not read; by GPT-2's, " + std::string(kGpt2) + ", it is");
    if (const Json& b = member(j, "behavior", Json::Kind::String); b.text != "Isolated")
      fail(b, "the behavior " + shown(b) + " is not read; \"Isolated\" is");
    must(j, "invert", false);
  }

  void model(const Json& m) {
    only(m, "the model",
         {"type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
          "byte_fallback", "ignore_merges", "vocab", "merges"});
    // Files of before 2021 name no type; what has merges is BPE.
    if (const Json* type = m.find("type"); type != nullptr && type->text != "BPE")
      fail(*type, "a model " + shown(*type) + " is not read; \"BPE\" is");
    if (const Json* d = m.find("dropout"); d != nullptr && d->kind != Json::Kind::Null)
      fail(*d, "dropout draws tokens at random, which is not read; null is");
    for (const char* name : {"continuing_subword_prefix", "end_of_word_suffix"})
      if (const Json* j = m.find(name); j != nullptr && !(j->kind == Json::Kind::Null || j->text.empty()))
        fail(*j, std::string(name) + " " + shown(*j) + " is not read; \"\" is");
    must(m, "byte_fallback", false);
    out_.ignore_merges = truth(m, "ignore_merges", false);
    for (const auto& [name, id] : member(m, "vocab", Json::Kind::Object).members) take(name, number(id), id);
    const Json& merges = member(m, "merges", Json::Kind::List);
    for (size_t i = 0; i < merges.items.size(); ++i) merge(merges.items[i], i);
  }

  // Below 2^24, of which there are not as many in any file.
  int32_t number(const Json& j) const {
    int32_t n = -1;
    const char* end = j.text.data() + j.text.size();
    if (j.kind == Json::Kind::Number) {
      const auto [at, error] = std::from_chars(j.text.data(), end, n);
      if (error != std::errc{} || at != end) n = -1;
    }
    if (n < 0 || n >= 1 << 24) fail(j, "a token's number is a whole one from 0 to 16777215, not " + shown(j));
    return n;
  }

  void take(const std::string& name, int32_t id, const Json& at) {
    const auto [other, fresh] = names_.emplace(id, name);
    if (!fresh)
      fail(at, "the tokens " + quote_json(other->second) + " and " + quote_json(name) + " are both number " +
                   std::to_string(id));
    ids_.emplace(name, id);
  }

  int32_t known(const std::string& name, const Json& at, size_t number) const {
    const auto it = ids_.find(name);
    if (it != ids_.end()) return it->second;
    fail(at, "merge " + std::to_string(number + 1) + " names " + quote_json(name.substr(0, 80)) +
                 ", which is not in the vocabulary");
  }

  void merge(const Json& j, size_t number) {
    std::string left, right;
    if (j.kind == Json::Kind::String) {
      const size_t space = j.text.find(' ');
      if (space != j.text.npos) left = j.text.substr(0, space), right = j.text.substr(space + 1);
    } else if (j.items.size() == 2) {
      left = j.items[0].text, right = j.items[1].text;
    }
    if (left.empty() || right.empty())
      fail(j,
           "merge " + std::to_string(number + 1) + " is no pair of tokens; write \"a b\" or [\"a\", \"b\"]");
    const Merge m{known(left, j, number), known(right, j, number), known(left + right, j, number)};
    const uint64_t key = uint64_t(uint32_t(m.left)) << 32 | uint32_t(m.right);
    const auto [other, fresh] = pairs_.emplace(key, number);
    if (!fresh)
      fail(j, "merge " + std::to_string(number + 1) + " joins the pair of merge " +
                  std::to_string(other->second + 1) + " once more");
    out_.merges.push_back(m);
  }

  void added_tokens(const Json& list) {
    want(list, Json::Kind::List, "'added_tokens'");
    for (const Json& j : list.items) {
      want(j, Json::Kind::Object, "an added token");
      only(j, "an added token",
           {"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
      for (const char* name : {"single_word", "lstrip", "rstrip"}) must(j, name, false);
      AddedToken t{member(j, "content", Json::Kind::String).text, number(member(j, "id", Json::Kind::Number)),
                   truth(j, "normalized", !truth(j, "special", false))};
      if (t.text.empty()) fail(j, "an added token has no text");
      if (const auto it = ids_.find(t.text); it == ids_.end())
        take(t.text, t.id, j), no_merge_makes_.push_back(t.id);
      else if (it->second != t.id)
        fail(j, "the added token " + quote_json(t.text) + " is number " + std::to_string(t.id) +
                    ", in the vocabulary or before it is " + std::to_string(it->second));
      out_.added.push_back(std::move(t));
    }
  }

  // From 0 on without a gap, so that a model needs no rows that nothing trains.
  void check_numbers(const Json& model) {
    const auto all = static_cast<int32_t>(names_.size());
    for (const auto& [id, name] : names_)
      if (id >= all)
        fail(model, "there are " + std::to_string(all) + " tokens, numbered from 0, but " + quote_json(name) +
                        " is number " + std::to_string(id));
    if (all == 0) fail(model, "there are no tokens");
    out_.names.resize(names_.size());
    for (auto& [id, name] : names_) out_.names[static_cast<size_t>(id)] = name;
    for (const int32_t id : no_merge_makes_) out_.names[static_cast<size_t>(id)].clear();
  }

  void bytes(const Json& model) {
    bool complete = true;
    for (size_t b = 0; b < 256; ++b) {
      const auto it = ids_.find(utf8_of(letter_of_byte()[b]));
      out_.byte_ids.push_back(it == ids_.end() ? -1 : it->second);
      complete = complete && it != ids_.end();
    }
    const Json* unknown = model.find("unk_token");
    if (unknown != nullptr && unknown->kind != Json::Kind::Null && !complete)
      fail(*unknown, "unk_token " + shown(*unknown) +
                         " is not read where a byte has no token; null is, or a vocabulary of all 256 bytes");
  }

  const std::string& path_;
  std::string_view text_;
  TokenizerSpec out_;
  std::unordered_map<std::string, int32_t> ids_;
  std::unordered_map<int32_t, std::string> names_;
  std::unordered_map<uint64_t, size_t> pairs_;
  std::vector<int32_t> no_merge_makes_;
};

}  // namespace

TokenizerSpec parse_tokenizer(const std::string& path, std::string_view text) {
  return Reader(path, text).run();
}

std::string token_name(std::string_view bytes) {
  std::string out;
  for (const char b : bytes) out += utf8_of(letter_of_byte()[static_cast<uint8_t>(b)]);
  return out;
}

std::string token_bytes(std::string_view name) {
  std::string out;
  for (size_t at = 0; at < name.size();) {
    const size_t n = character_size(name, at);
    const int byte = n == 0 ? -1 : byte_of_letter(character_at(name, at, n));
    if (byte < 0) return std::string(name);
    out += static_cast<char>(byte);
    at += n;
  }
  return out;
}

}  // namespace gradc::runtime
