// The commands and options as plain data, read from the parser's table: what --help, the completions and the
// man page have in common.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace gradc {

struct OptionRow {
  std::vector<std::string> names;    // -o, --output; of a positional argument its name alone
  std::string what, kind;            // FILE, INT, TEXT ...; "" for a flag
  std::vector<std::string> choices;  // the only values, where there are only some
  std::string standard;              // the default, as shown
  bool positional = false, required = false;
};

struct CommandRow {
  std::string path, what;  // "data inspect"
  std::vector<OptionRow> options;
  std::vector<std::string> children;  // the next words
};

// The tool itself first, with an empty path.
std::vector<CommandRow> command_table(const CLI::App& app);

// For bash, zsh or fish.
std::string completion_script(const std::vector<CommandRow>& table, const std::string& shell);
// The page of section 1, for man.
std::string man_page(const std::vector<CommandRow>& table, const std::string& version,
                     const std::string& footer);

}  // namespace gradc
