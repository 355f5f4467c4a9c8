// What the readers of graph, kernel and step text share: words, numbers, index expressions and types, with
// the place of a mistake.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "ir/layout.h"
#include "ir/scalar.h"
#include "ir/type.h"
#include "support/source.h"

namespace gradc {

class Scanner {
 public:
  // Starts at byte `at` of the text.
  Scanner(std::string_view text, uint32_t file, size_t at = 0)
      : all_(text), t_(text.substr(at)), file_(file) {}

 protected:
  Loc here() const;
  [[noreturn]] void fail(const std::string& why) const;

  // Spaces and comments, which run from // or # to the end of the line, may stand between any two words.
  void skip();
  bool at_end();
  bool eat(std::string_view s);  // a prefix of what follows, not necessarily a whole word
  void expect(std::string_view s);
  bool at_word();
  std::string word();
  bool eat_word(std::string_view w);
  void expect_word(std::string_view w);
  int64_t integer();
  // An integer or a float; `real` says which it looks like.
  struct Number {
    bool real = false;
    int64_t i = 0;
    double f = 0;
  };
  Number number();

  Index index(const std::function<int(std::string_view)>& var);
  Index index();  // without variables
  Shape shape();
  Type type();
  DType dtype();
  // What Layout::str prints, of a tensor with that rank; plain where none of its words stands here.
  Layout layout(int rank);

  std::string_view all_, t_;
  uint32_t file_;
};

}  // namespace gradc
