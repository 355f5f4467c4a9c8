// What shells are told of the commands: one script for each shell, all from the table.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "support/check.h"
#include "tools/command_table.h"

namespace gradc {
namespace {

std::string quoted(const std::string& text) {  // for a shell, in single quotes
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

// All but positional arguments.
std::vector<std::string> option_names(const CommandRow& c) {
  std::vector<std::string> names;
  for (const OptionRow& o : c.options)
    if (!o.positional) names.insert(names.end(), o.names.begin(), o.names.end());
  return names;
}

// The words that may stand for a command's next: its children, else the choices of its first argument.
std::vector<std::string> next_words(const CommandRow& c) {
  if (!c.children.empty()) return c.children;
  for (const OptionRow& o : c.options)
    if (o.positional) return o.choices;
  return {};
}

constexpr const char* kBash = R"(# Completion of gradc for bash, made by: gradc completion bash
_gradc() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command='' option='' i words options
  # bash cuts --name=value into three words.
  if [[ $cur == = ]]; then option=$prev cur=''
  elif [[ $prev == = ]]; then option=${COMP_WORDS[COMP_CWORD-2]}
  elif [[ $prev == -* ]]; then option=$prev; fi
  for ((i = 1; i < COMP_CWORD; ++i)); do
    case "$command ${COMP_WORDS[i]}" in
@PATHS@    esac
  done
  COMPREPLY=()
  case "$command $option" in
@VALUES@  esac
  case "$command" in
@COMMANDS@  esac
  if [[ $cur == -* ]]; then words=$options; fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o bashdefault -o default -F _gradc gradc
)";

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  const size_t at = text.find(what);
  GRADC_CHECK(at != text.npos, "no {} in the script", what);
  return text.replace(at, what.size(), by);
}

std::string bash(const std::vector<CommandRow>& table) {
  std::string paths, values, commands;
  for (const CommandRow& c : table) {
    for (const std::string& child : c.children)
      paths += fmt::format("      '{} {}') command='{}{}{}' ;;\n", c.path, child, c.path,
                           c.path.empty() ? "" : " ", child);
    for (const OptionRow& o : c.options)
      for (const std::string& name : o.names) {
        if (o.positional || o.kind.empty()) continue;
        const std::string reply =
            o.choices.empty()
                ? std::string(o.kind == "FOLDER" ? "COMPREPLY=($(compgen -d -- \"$cur\")); " : "")
                : fmt::format("COMPREPLY=($(compgen -W '{}' -- \"$cur\")); ", fmt::join(o.choices, " "));
        values += fmt::format("    '{} {}') {}return ;;\n", c.path, name, reply);
      }
    commands += fmt::format("    '{}') words='{}' options='{}' ;;\n", c.path, fmt::join(next_words(c), " "),
                            fmt::join(option_names(c), " "));
  }
  return replaced(replaced(replaced(kBash, "@PATHS@", paths), "@VALUES@", values), "@COMMANDS@", commands);
}

// Text within a specification of _arguments: brackets and colons are its own.
std::string zsh_text(const std::string& text) {
  std::string out;
  for (const char c : text)
    out += (c == '[' || c == ']' || c == ':' || c == '\\' ? "\\" : "") + std::string(1, c);
  return out;
}

std::string zsh_values(const OptionRow& o) {
  if (!o.choices.empty()) return fmt::format("({})", fmt::join(o.choices, " "));
  return o.kind == "FOLDER" ? "_files -/" : o.kind == "INT" ? " " : "_files";
}

std::string zsh_function(const CommandRow& c) {
  std::string name = c.path;
  for (char& l : name) l = l == ' ' ? '_' : l;
  std::string out = fmt::format("_gradc_{}() {{\n", name);
  if (!c.children.empty()) {
    out += "  local -a commands=(" + fmt::format("{}", fmt::join(c.children, " ")) + ")\n";
    out += fmt::format(
        "  if (( CURRENT == 2 )); then compadd -a commands; return; fi\n"
        "  shift words; (( CURRENT-- )); _gradc_{}_$words[1]\n}}\n",
        name);
    return out;
  }
  out += "  _arguments";
  for (const OptionRow& o : c.options) {
    if (o.positional) {
      out += " \\\n    " + quoted(fmt::format("1:{}:{}", o.names[0], zsh_values(o)));
      continue;
    }
    for (const std::string& n : o.names)
      out += " \\\n    " +
             quoted(fmt::format("*{}{}[{}]{}", n,
                                o.kind.empty()  ? ""
                                : n.size() == 2 ? "+"
                                                : "=",
                                zsh_text(o.what),
                                o.kind.empty() ? "" : fmt::format(":{}:{}", o.kind, zsh_values(o))));
  }
  return out + "\n}\n";
}

std::string zsh(const std::vector<CommandRow>& table) {
  std::string out = "#compdef gradc\n# Completion of gradc for zsh, made by: gradc completion zsh\n";
  std::string described;
  for (const CommandRow& c : table) {
    if (c.path.empty()) continue;
    out += zsh_function(c);
    if (c.path.find(' ') == c.path.npos) described += " \\\n    " + quoted(zsh_text(c.path) + ":" + c.what);
  }
  out += "_gradc() {\n  local -a commands=(" + described + ")\n";
  out += "  if (( CURRENT == 2 )); then\n    _describe command commands\n    compadd -- " +
         fmt::format("{}", fmt::join(option_names(table.front()), " ")) + "\n    return\n  fi\n";
  out += "  shift words; (( CURRENT-- ))\n  (( $+functions[_gradc_$words[1]] )) && _gradc_$words[1]\n}\n";
  return out + "if [[ $funcstack[1] == _gradc ]]; then _gradc \"$@\"; else compdef _gradc gradc; fi\n";
}

std::string fish_quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += (c == '\'' || c == '\\' ? "\\" : "") + std::string(1, c);
  return out + "'";
}

// When a command's words are completed: each word of its path was seen, none of its children.
std::string fish_condition(const CommandRow& c) {
  std::string test;
  size_t from = 0;
  while (from < c.path.size()) {
    const size_t space = std::min(c.path.find(' ', from), c.path.size());
    test +=
        (test.empty() ? "" : "; and ") + ("__fish_seen_subcommand_from " + c.path.substr(from, space - from));
    from = space + 1;
  }
  if (c.path.empty())
    test = "__fish_use_subcommand";
  else if (!c.children.empty())
    test += fmt::format("; and not __fish_seen_subcommand_from {}", fmt::join(c.children, " "));
  return fish_quoted(test);
}

std::string fish(const std::vector<CommandRow>& table) {
  std::string out = "# Completion of gradc for fish, made by: gradc completion fish\n";
  for (const CommandRow& c : table) {
    const std::string start = "complete -c gradc -n " + fish_condition(c);
    for (const CommandRow& child : table) {
      const size_t space = child.path.rfind(' ');
      const bool nested = space != child.path.npos;
      if (child.path.empty() || (nested ? child.path.substr(0, space) : "") != c.path) continue;
      out += fmt::format("{} -f -a {} -d {}\n", start, nested ? child.path.substr(space + 1) : child.path,
                         fish_quoted(child.what));
    }
    for (const OptionRow& o : c.options) {
      std::string line = start;
      for (const std::string& n : o.names)
        if (!o.positional) line += n.size() == 2 ? " -s " + n.substr(1) : " -l " + n.substr(2);
      if (o.positional && o.choices.empty()) continue;
      if (!o.positional && !o.kind.empty()) line += o.choices.empty() ? " -r" : " -x";
      if (!o.choices.empty())
        line += fmt::format(" {}-a '{}'", o.positional ? "-f " : "", fmt::join(o.choices, " "));
      out += line + " -d " + fish_quoted(o.what) + "\n";
    }
  }
  return out;
}

}  // namespace

std::string completion_script(const std::vector<CommandRow>& table, const std::string& shell) {
  if (shell == "bash") return bash(table);
  if (shell == "zsh") return zsh(table);
  GRADC_CHECK(shell == "fish", "shell {}", shell);
  return fish(table);
}

}  // namespace gradc
