// A small strict JSON reader for headers and metadata, and the escaping of text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/error.h"

namespace gradc::runtime {

struct Json {
  enum class Kind : uint8_t { Null, Bool, Number, String, List, Object } kind = Kind::Null;
  bool truth = false;
  double number = 0;
  size_t at = 0;     // the byte of the text where it begins
  std::string text;  // String; Number: as it is written
  std::vector<Json> items;
  std::vector<std::pair<std::string, Json>> members;  // in order, names unique

  const Json* find(std::string_view name) const;
  std::optional<int64_t> whole() const;  // of a number without fraction and exponent, with all 64 bits
};

struct JsonError : Error {
  JsonError(size_t at, const std::string& what);
  size_t at;           // the byte
  std::string reason;  // without the place
};

// Throws JsonError. Nesting is limited to 64.
Json parse_json(std::string_view text);
std::string quote_json(std::string_view text);

}  // namespace gradc::runtime
