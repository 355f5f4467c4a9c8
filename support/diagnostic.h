// Messages to the user: file:line:col, the text, a caret, notes and a help line; and CompileError, the only
// exception of the compiler, which carries them to the tool's edge.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "support/source.h"

namespace gradc {

enum class Severity { Error, Warning };

struct Note {
  Loc loc;
  std::string text;
};

struct Diagnostic {
  Severity severity = Severity::Error;
  Loc loc;
  std::string text;
  std::vector<Loc> also;  // further ranges of the same line to underline
  std::vector<Note> notes;
  std::string help;
};

// Collects the messages of one compilation, in order, at most 100 errors and 100 warnings.
class Diagnostics {
 public:
  Diagnostic& error(Loc loc, std::string text);
  Diagnostic& warning(Loc loc, std::string text);
  bool has_errors() const { return errors_ > 0; }
  int error_count() const { return errors_; }
  const std::vector<Diagnostic>& all() const { return all_; }
  // Throws CompileError if any error was reported.
  void check() const;

 private:
  Diagnostic& add(Diagnostic d, bool keep);

  std::vector<Diagnostic> all_;
  Diagnostic dropped_;  // what callers write into beyond the limits
  int errors_ = 0, warnings_ = 0;
};

// The text as the user sees it, ending in a newline.
std::string render(const Diagnostic& d, const Sources& sources, bool color = false);
std::string render(const Diagnostics& all, const Sources& sources, bool color = false);

// A mistake in what the user gave. Already reported in `diagnostics` when it has none of its own text.
class CompileError : public std::runtime_error {
 public:
  explicit CompileError(Diagnostic d) : std::runtime_error(d.text), diagnostic(std::move(d)) {}
  CompileError(Loc loc, std::string text) : CompileError(Diagnostic{Severity::Error, loc, std::move(text)}) {}
  explicit CompileError(const Diagnostics&) : CompileError(Diagnostic{}) { reported = true; }

  Diagnostic diagnostic;
  bool reported = false;
};

// Text of files and users on its way to a terminal: control characters (but newline and tab) and broken UTF-8
// as \x1b, and no more than `most` bytes, the middle left out.
std::string printable(std::string_view text, size_t most = 4096);

// The nearest of `known` to `word` by edit distance, or "" if none is near enough to suggest.
std::string nearest(std::string_view word, const std::vector<std::string>& known);

}  // namespace gradc
