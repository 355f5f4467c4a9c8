// UTF-8, read strictly.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace gradc::runtime {

// Bytes of the character that starts at `at`, 0 where none does: well-formed UTF-8 as Unicode 15, table 3-7.
size_t character_size(std::string_view text, size_t at);
// The character of `size` bytes there.
char32_t character_at(std::string_view text, size_t at, size_t size);
std::string utf8_of(char32_t c);
// file:line:column of a byte; columns count characters.
std::string text_place(const std::string& path, std::string_view text, size_t at);
// Throws Error with file, line and byte where the text is not UTF-8 at `at`.
[[noreturn]] void not_utf8(const std::string& path, std::string_view text, size_t at);

}  // namespace gradc::runtime
