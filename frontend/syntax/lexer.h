// Text to tokens. Newlines are tokens; the parser decides where they matter.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "support/diagnostic.h"
#include "support/source.h"

namespace gradc::frontend {

struct Token {
  enum class Kind : uint8_t { Name, Integer, Real, String, Op, Newline, End } kind = Kind::End;
  std::string_view text;  // of the source; a string without its quotes
  Loc loc;
  int64_t integer = 0;
  double number = 0;
  bool percent = false;

  bool is(std::string_view op) const { return (kind == Kind::Op || kind == Kind::Name) && text == op; }
};

// Limits: 16 MB a file, 1 MB a line. Bad characters are reported and skipped.
std::vector<Token> lex(const Sources& sources, uint32_t file, Diagnostics& diagnostics);

bool is_reserved(std::string_view word);

}  // namespace gradc::frontend
