#include "support/diagnostic.h"

#include <algorithm>

namespace gradc {
namespace {

constexpr int kMaxErrors = 100;
constexpr size_t kMaxLine = 200;  // code points of a source line that are shown

size_t code_points(std::string_view s) {
  return static_cast<size_t>(std::count_if(
      s.begin(), s.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

// The source line and under it a caret and tildes for each range on that line.
std::string excerpt(const Diagnostic& d, const Sources& sources) {
  const std::string_view line = sources.line_at(d.loc.file, d.loc.begin);
  if (code_points(line) > kMaxLine) return "";
  const int row = sources.position(d.loc.file, d.loc.begin).line;
  std::string marks;
  auto mark = [&](Loc loc, char first) {
    const LineColumn from = sources.position(loc.file, loc.begin);
    if (loc.file != d.loc.file || from.line != row) return;
    const size_t at = static_cast<size_t>(from.column - 1);
    const std::string_view rest =
        line.substr(std::min<size_t>(line.size(), loc.begin - (line.data() - sources.text(loc.file).data())));
    const size_t n = std::max<size_t>(1, code_points(rest.substr(0, loc.end - loc.begin)));
    if (marks.size() < at + n) marks.resize(at + n, ' ');
    for (size_t i = 0; i < n; ++i) marks[at + i] = i == 0 ? first : '~';
  };
  for (const Loc& l : d.also) mark(l, '^');
  mark(d.loc, '^');
  std::string shown(line);
  std::replace(shown.begin(), shown.end(), '\t', ' ');
  return shown + "\n" + marks + "\n";
}

std::string place(Loc loc, const Sources& sources) {
  if (!loc) return "";
  const LineColumn p = sources.position(loc.file, loc.begin);
  return fmt::format("{}:{}:{}: ", sources.name(loc.file), p.line, p.column);
}

}  // namespace

Diagnostic& Diagnostics::error(Loc loc, std::string text) {
  if (errors_ < kMaxErrors) all_.push_back({Severity::Error, loc, std::move(text), {}, {}, {}});
  ++errors_;
  return all_.back();
}

Diagnostic& Diagnostics::warning(Loc loc, std::string text) {
  all_.push_back({Severity::Warning, loc, std::move(text), {}, {}, {}});
  return all_.back();
}

void Diagnostics::check() const {
  if (has_errors()) throw CompileError(*this);
}

std::string render(const Diagnostic& d, const Sources& sources, bool color) {
  const bool error = d.severity == Severity::Error;
  const std::string_view kind = error ? "error" : "warning";
  std::string out = place(d.loc, sources);
  out += color ? fmt::format("\033[1;{}m{}:\033[0m \033[1m{}\033[0m\n", error ? 31 : 35, kind, d.text)
               : fmt::format("{}: {}\n", kind, d.text);
  if (d.loc) out += excerpt(d, sources);
  for (const Note& n : d.notes) out += fmt::format("{}note: {}\n", place(n.loc, sources), n.text);
  if (!d.help.empty()) out += fmt::format("help: {}\n", d.help);
  return out;
}

std::string render(const Diagnostics& all, const Sources& sources, bool color) {
  std::string out;
  for (const Diagnostic& d : all.all()) out += render(d, sources, color);
  return out;
}

std::string nearest(std::string_view word, const std::vector<std::string>& known) {
  std::string best;
  size_t best_distance = std::max<size_t>(1, word.size() / 3) + 1;
  for (const std::string& k : known) {
    std::vector<size_t> row(k.size() + 1);
    for (size_t j = 0; j <= k.size(); ++j) row[j] = j;
    for (size_t i = 1; i <= word.size(); ++i) {
      size_t diagonal = row[0];
      row[0] = i;
      for (size_t j = 1; j <= k.size(); ++j) {
        const size_t change = diagonal + (word[i - 1] != k[j - 1]);
        diagonal = row[j];
        row[j] = std::min({row[j] + 1, row[j - 1] + 1, change});
      }
    }
    if (row[k.size()] < best_distance) best_distance = row[k.size()], best = k;
  }
  return best;
}

}  // namespace gradc
