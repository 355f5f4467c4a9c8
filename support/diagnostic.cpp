#include "support/diagnostic.h"

#include <algorithm>

namespace gradc {
namespace {

constexpr int kMaxErrors = 100;
constexpr size_t kMaxNotes = 10;  // of a message
constexpr size_t kMaxLine = 200;  // code points of a source line that are shown

constexpr size_t kMaxPart = 2048;      // bytes of a message, a note, a name
constexpr size_t kMaxRendered = 32768;  // bytes of all messages together

// The length of the character at `at`: 0 when it is broken.
size_t utf8_length(std::string_view s, size_t at) {
  const auto first = static_cast<unsigned char>(s[at]);
  const size_t n = first < 0x80 ? 1 : first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF5 ? 4 : 0;
  if (n > s.size() - at) return 0;
  for (size_t i = 1; i < n; ++i)
    if ((static_cast<unsigned char>(s[at + i]) & 0xC0) != 0x80) return 0;
  return n;
}

// Characters that act on a terminal, or turn the direction of writing round, instead of being shown.
bool acts(std::string_view c) {
  if (c.size() == 1) return (static_cast<unsigned char>(c[0]) < 0x20 && c[0] != '\n' && c[0] != '\t') || c[0] == 0x7F;
  if (c.size() == 2) return c[0] == '\xC2' && static_cast<unsigned char>(c[1]) < 0xA0;
  if (c.size() != 3 || c[0] != '\xE2') return false;
  return (c[1] == '\x80' && c[2] >= '\xAA' && c[2] <= '\xAE') || (c[1] == '\x81' && c[2] >= '\xA6' && c[2] <= '\xA9');
}

// Calls show(character) for what can be shown and hide(bytes) for what cannot.
template <class Show, class Hide>
void each_character(std::string_view s, Show show, Hide hide) {
  for (size_t at = 0; at < s.size();) {
    const size_t n = utf8_length(s, at);
    const std::string_view c = s.substr(at, std::max<size_t>(1, n));
    n == 0 || acts(c) ? hide(c) : show(c);
    at += c.size();
  }
}

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
  // One column for each character, so that the marks stay below what they mean.
  std::string shown;
  each_character(
      line, [&](std::string_view c) { shown += c == "\t" ? " " : c; },
      [&](std::string_view c) { shown += c == "\r" ? " " : "\xEF\xBF\xBD"; });
  while (!shown.empty() && shown.back() == ' ') shown.pop_back();
  return shown + "\n" + marks + "\n";
}

std::string place(Loc loc, const Sources& sources) {
  if (!loc) return "";
  const LineColumn p = sources.position(loc.file, loc.begin);
  return fmt::format("{}:{}:{}: ", printable(sources.name(loc.file), kMaxPart), p.line, p.column);
}

}  // namespace

Diagnostic& Diagnostics::error(Loc loc, std::string text) {
  return add({Severity::Error, loc, std::move(text), {}, {}, {}}, errors_++ < kMaxErrors);
}

Diagnostic& Diagnostics::warning(Loc loc, std::string text) {
  return add({Severity::Warning, loc, std::move(text), {}, {}, {}}, warnings_++ < kMaxErrors);
}

Diagnostic& Diagnostics::add(Diagnostic d, bool keep) {
  if (!keep) return dropped_ = std::move(d);
  all_.push_back(std::move(d));
  return all_.back();
}

void Diagnostics::check() const {
  if (has_errors()) throw CompileError(*this);
}

std::string printable(std::string_view text, size_t most) {
  std::string out;
  each_character(
      text, [&](std::string_view c) { out += c; },
      [&](std::string_view c) {
        for (char b : c) out += fmt::format("\\x{:02x}", static_cast<unsigned char>(b));
      });
  if (out.size() <= most) return out;
  auto boundary = [&](size_t at) {  // not inside a character
    while (at > 0 && (static_cast<unsigned char>(out[at]) & 0xC0) == 0x80) --at;
    return at;
  };
  const size_t head = boundary(most * 3 / 4), tail = boundary(out.size() - most / 4);
  return out.substr(0, head) + fmt::format(" ... ({} bytes left out) ... ", tail - head) + out.substr(tail);
}

std::string render(const Diagnostic& d, const Sources& sources, bool color) {
  const bool error = d.severity == Severity::Error;
  const std::string_view kind = error ? "error" : "warning";
  const std::string text = printable(d.text, kMaxPart);
  std::string out = place(d.loc, sources);
  out += color ? fmt::format("\033[1;{}m{}:\033[0m \033[1m{}\033[0m\n", error ? 31 : 35, kind, text)
               : fmt::format("{}: {}\n", kind, text);
  if (d.loc) out += excerpt(d, sources);
  for (size_t i = 0; i < d.notes.size() && i < kMaxNotes; ++i)
    out += fmt::format("{}note: {}\n", place(d.notes[i].loc, sources), printable(d.notes[i].text, kMaxPart));
  if (!d.help.empty()) out += fmt::format("help: {}\n", printable(d.help, kMaxPart));
  return out;
}

std::string render(const Diagnostics& all, const Sources& sources, bool color) {
  std::string out;
  for (size_t i = 0; i < all.all().size(); ++i) {
    const std::string next = render(all.all()[i], sources, color);
    if (!out.empty() && out.size() + next.size() > kMaxRendered)
      return out + fmt::format("... and {} more messages\n", all.all().size() - i);
    out += next;
  }
  return out;
}

std::string nearest(std::string_view word, const std::vector<std::string>& known) {
  std::string best;
  if (word.size() > kMaxLine) return best;
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
