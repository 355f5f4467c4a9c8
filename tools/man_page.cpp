// The man page, in the macros of man(7), from the table of the commands.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "tools/command_table.h"

namespace gradc {
namespace {

// A backslash and a dash mean something else to troff; so does a dot or a quote that begins a line.
std::string troff(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if ((c == '.' || c == '\'') && (out.empty() || out.back() == '\n')) out += "\\&";
    out += c == '\\' ? "\\e" : c == '-' ? "\\-" : std::string(1, c);
  }
  return out;
}

std::string option_text(const OptionRow& o) {
  std::string names;
  for (const std::string& n : o.names) names += (names.empty() ? "" : ", ") + ("\\fB" + troff(n) + "\\fR");
  if (!o.positional && !o.kind.empty()) names += " \\fI" + troff(o.kind) + "\\fR";
  std::string what = troff(o.what);
  if (!o.choices.empty()) what += troff(fmt::format("; one of {}", fmt::join(o.choices, ", ")));
  if (!o.standard.empty()) what += troff(fmt::format(" (default {})", o.standard));
  if (o.required) what += " (required)";
  return fmt::format(".TP\n{}\n{}\n", names, what.empty() ? "\\&" : what);
}

std::string synopsis(const CommandRow& c) {
  std::string out = ".B gradc " + troff(c.path) + "\n";
  out += c.options.empty() ? "" : ".RI [ options ]\n";
  for (const OptionRow& o : c.options)
    if (o.positional) out += fmt::format(".I {}\n", troff(o.names[0]));
  return out;
}

}  // namespace

std::string man_page(const std::vector<CommandRow>& table, const std::string& version,
                     const std::string& footer) {
  const std::string what = table.front().what;  // "gradc: what it is"
  std::string out = fmt::format(".TH GRADC 1 \"\" \"gradc {}\" \"User Commands\"\n", troff(version));
  out += ".SH NAME\ngradc \\- " + troff(what.substr(what.find(": ") + 2)) + "\n.SH SYNOPSIS\n";
  for (const CommandRow& c : table)
    if (c.children.empty()) out += synopsis(c) + ".br\n";
  out += ".SH OPTIONS\n";
  for (const OptionRow& o : table.front().options) out += option_text(o);
  out += ".SH COMMANDS\n";
  for (const CommandRow& c : table) {
    if (c.path.empty() || !c.children.empty()) continue;
    out += fmt::format(".SS {}\n{}\n", troff(c.path), troff(c.what));
    for (const OptionRow& o : c.options) out += option_text(o);
  }
  out += ".SH EXIT STATUS\n" + troff(footer) + "\n";
  out += ".SH ENVIRONMENT\n";
  for (const auto& [name, meaning] :
       {std::pair{"GRADC_CACHE", "folder of compiled code; empty switches it off"},
        {"GRADC_DATA", "root of data files, where --data names none"},
        {"NO_COLOR", "no colours in messages"},
        {"TMPDIR", "where the input of a pass that failed is kept"}})
    out += fmt::format(".TP\n\\fB{}\\fR\n{}\n", name, troff(meaning));
  return out;
}

}  // namespace gradc
