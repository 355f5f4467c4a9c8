// What the text of one cell of a table says, whatever column it stands in.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace gradc::runtime {

struct CellValue {
  enum class Kind {
    Missing,  // nothing, or what programs write for nothing
    Number,
    Flag,      // 0 or 1, in a word
    Date,      // days since 1970-01-01, with the time of day as a fraction
    TooLarge,  // a number beyond f64
    Text,
  } kind = Kind::Text;
  double value = 0;  // of numbers, flags and dates
};

std::string_view trimmed(std::string_view text);
CellValue read_cell(std::string_view text);
std::optional<int64_t> read_whole(std::string_view text);  // digits, with all 64 bits
bool is_missing(std::string_view text);

}  // namespace gradc::runtime
