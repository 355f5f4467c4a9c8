// Patterns of names: freeze = ["encoder.*"], matches(param.path, "*.weight"), columns("p*").
#pragma once

#include <string_view>

namespace gradc {

// Whether `text` is `pattern`, where each * is any text.
inline bool fits_pattern(std::string_view text, std::string_view pattern) {
  size_t at = 0, star = std::string_view::npos, from = 0, i = 0;
  while (at < text.size()) {
    if (i < pattern.size() && pattern[i] == '*') {
      star = i++, from = at;
    } else if (i < pattern.size() && pattern[i] == text[at]) {
      ++i, ++at;
    } else if (star != std::string_view::npos) {
      i = star + 1, at = ++from;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', i) == std::string_view::npos;
}

}  // namespace gradc
