#include "runtime/vocabulary.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "runtime/error.h"
#include "runtime/file.h"

namespace gradc::runtime {
namespace {

int32_t id_at(const Array& ids, int64_t i) {
  int32_t id;
  std::memcpy(&id, ids.bytes.data() + i * static_cast<int64_t>(sizeof id), sizeof id);
  return id;
}

void set_id(Array& ids, int64_t i, int32_t id) {
  std::memcpy(ids.bytes.data() + i * static_cast<int64_t>(sizeof id), &id, sizeof id);
}

// Bytes of the character that starts at `at`, 0 where none does: well-formed UTF-8 as Unicode 15, table 3-7.
size_t character_size(std::string_view text, size_t at) {
  auto byte = [&](size_t i) { return at + i < text.size() ? static_cast<uint8_t>(text[at + i]) : 0; };
  auto within = [&](size_t i, int low, int high) { return byte(i) >= low && byte(i) <= high; };
  const int b = byte(0);
  if (b < 0x80) return 1;
  if (b >= 0xC2 && b <= 0xDF) return within(1, 0x80, 0xBF) ? 2 : 0;
  if (b >= 0xE0 && b <= 0xEF)
    return within(1, b == 0xE0 ? 0xA0 : 0x80, b == 0xED ? 0x9F : 0xBF) && within(2, 0x80, 0xBF) ? 3 : 0;
  if (b >= 0xF0 && b <= 0xF4)
    return within(1, b == 0xF0 ? 0x90 : 0x80, b == 0xF4 ? 0x8F : 0xBF) && within(2, 0x80, 0xBF) &&
                   within(3, 0x80, 0xBF)
               ? 4
               : 0;
  return 0;
}

[[noreturn]] void not_utf8(const std::string& path, std::string_view text, size_t at) {
  const std::string_view before = text.substr(0, at);
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const size_t begin = before.rfind('\n') == before.npos ? 0 : before.rfind('\n') + 1;
  throw Error(Failure::Data, path + ":" + std::to_string(line) + ": byte " + std::to_string(at - begin + 1) +
                                 " of the line is no UTF-8; bytes(...) reads any file");
}

}  // namespace

Coded number_names(const std::vector<std::string>& texts) {
  Coded out{make_array(DType::I32, {static_cast<int64_t>(texts.size())}), {}};
  std::unordered_map<std::string, int32_t> known;
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto [it, fresh] = known.emplace(texts[i], static_cast<int32_t>(out.names.size()));
    if (fresh) out.names.push_back(texts[i]);
    set_id(out.ids, static_cast<int64_t>(i), it->second);
  }
  return out;
}

Coded read_characters(const std::string& path) { return number_characters(read_file(path), path); }

Coded number_characters(std::string_view text, const std::string& path) {
  int64_t count = 0;
  for (size_t at = 0; at < text.size(); ++count) {
    const size_t n = character_size(text, at);
    if (n == 0) not_utf8(path, text, at);
    at += n;
  }
  Coded out{make_array(DType::I32, {count}), {}};
  std::vector<int32_t> single(128, -1);
  std::unordered_map<std::string_view, int32_t> others;
  int64_t i = 0;
  for (size_t at = 0; at < text.size(); ++i) {
    const size_t n = character_size(text, at);
    const std::string_view character = text.substr(at, n);
    int32_t& id =
        n == 1 ? single[static_cast<size_t>(text[at])] : others.emplace(character, -1).first->second;
    if (id < 0) {
      id = static_cast<int32_t>(out.names.size());
      out.names.emplace_back(character);
    }
    set_id(out.ids, i, id);
    at += n;
  }
  return out;
}

Array read_bytes(const std::string& path) {
  const std::string text = read_file(path);
  Array out = make_array(DType::I32, {static_cast<int64_t>(text.size())});
  for (size_t i = 0; i < text.size(); ++i)
    set_id(out, static_cast<int64_t>(i), static_cast<uint8_t>(text[i]));
  return out;
}

std::string character_place(const std::string& path, const Coded& text, int64_t position) {
  int64_t line = 1, column = 1;
  for (int64_t i = 0; i < position; ++i, ++column)
    if (text.names[static_cast<size_t>(id_at(text.ids, i))] == "\n") ++line, column = 0;
  return path + ":" + std::to_string(line) + ":" + std::to_string(column);
}

int64_t renumber(Coded& coded, const std::vector<std::string>& vocabulary, bool unknown) {
  std::vector<int32_t> to;
  for (const std::string& name : coded.names) {
    const auto it = std::lower_bound(vocabulary.begin(), vocabulary.end(), name);
    to.push_back(it != vocabulary.end() && *it == name ? static_cast<int32_t>(it - vocabulary.begin())
                 : unknown                             ? 0
                                                       : -1);
  }
  const int64_t n = coded.ids.count();
  for (int64_t i = 0; i < n; ++i)
    if (to[static_cast<size_t>(id_at(coded.ids, i))] < 0) return i;
  for (int64_t i = 0; i < n; ++i) set_id(coded.ids, i, to[static_cast<size_t>(id_at(coded.ids, i))]);
  return -1;
}

}  // namespace gradc::runtime
