// A small strict JSON reader for headers and metadata, and the escaping of text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gradc::runtime {

struct Json {
  enum class Kind : uint8_t { Null, Bool, Number, String, List, Object } kind = Kind::Null;
  bool truth = false;
  double number = 0;
  std::string text;  // String; Number: as it is written
  std::vector<Json> items;
  std::vector<std::pair<std::string, Json>> members;  // in order, names unique

  const Json* find(std::string_view name) const;
  std::optional<int64_t> whole() const;  // of a number without fraction and exponent, with all 64 bits
};

// Throws Error with the byte offset. Nesting is limited to 64.
Json parse_json(std::string_view text);
std::string quote_json(std::string_view text);

}  // namespace gradc::runtime
