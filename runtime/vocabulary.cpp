#include "runtime/vocabulary.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "runtime/file.h"
#include "runtime/utf8.h"

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
