#include "runtime/utf8.h"

#include <algorithm>
#include <cstdint>

#include "runtime/error.h"

namespace gradc::runtime {
namespace {

size_t line_begin(std::string_view text, size_t at) {
  const size_t end = text.substr(0, at).rfind('\n');
  return end == text.npos ? 0 : end + 1;
}

std::string line_of(std::string_view text, size_t at) {
  const std::string_view before = text.substr(0, at);
  return std::to_string(std::count(before.begin(), before.end(), '\n') + 1);
}

}  // namespace

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

char32_t character_at(std::string_view text, size_t at, size_t size) {
  const auto first = static_cast<uint8_t>(text[at]);
  if (size == 1) return first;
  char32_t c = first & (0xFFu >> (size + 1));
  for (size_t i = 1; i < size; ++i) c = c << 6 | (static_cast<uint8_t>(text[at + i]) & 0x3Fu);
  return c;
}

std::string utf8_of(char32_t c) {
  auto rest = [&](unsigned shift) { return static_cast<char>(0x80 | (c >> shift & 63)); };
  if (c < 0x80) return {static_cast<char>(c)};
  if (c < 0x800) return {static_cast<char>(0xC0 | c >> 6), rest(0)};
  if (c < 0x10000) return {static_cast<char>(0xE0 | c >> 12), rest(6), rest(0)};
  return {static_cast<char>(0xF0 | c >> 18), rest(12), rest(6), rest(0)};
}

std::string text_place(const std::string& path, std::string_view text, size_t at) {
  const std::string_view line = text.substr(line_begin(text, at), at - line_begin(text, at));
  const auto column = std::count_if(line.begin(), line.end(),
                                    [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; });
  return path + ":" + line_of(text, at) + ":" + std::to_string(column + 1);
}

void not_utf8(const std::string& path, std::string_view text, size_t at) {
  throw Error(Failure::Data, path + ":" + line_of(text, at) + ": byte " +
                                 std::to_string(at - line_begin(text, at) + 1) +
                                 " of the line is no UTF-8; bytes(...) reads any file");
}

}  // namespace gradc::runtime
