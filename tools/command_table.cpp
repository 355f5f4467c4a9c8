#include "tools/command_table.h"

#include <CLI/CLI.hpp>

namespace gradc {
namespace {

// The parser shows what a value must be as KIND:{a,b}.
void split_kind(OptionRow& row, const std::string& text) {
  const size_t open = text.find(":{"), close = text.rfind('}');
  row.kind = text.substr(0, text.find(':'));
  if (open == text.npos || close == text.npos || close < open) return;
  std::string word;
  for (const char c : text.substr(open + 2, close - open - 2) + ",")
    if (c != ',')
      word += c;
    else if (!word.empty())
      row.choices.push_back(std::move(word)), word.clear();
}

OptionRow row_of(const CLI::Option& o) {
  OptionRow row;
  row.positional = o.get_positional();
  row.required = o.get_required();
  row.what = o.get_description();
  row.standard = o.get_default_str();
  for (const std::string& s : o.get_snames()) row.names.push_back("-" + s);
  for (const std::string& l : o.get_lnames()) row.names.push_back("--" + l);
  if (row.positional) row.names = {o.get_name(true)};
  if (o.get_items_expected_max() > 0) split_kind(row, o.get_type_name());
  return row;
}

void add(std::vector<CommandRow>& table, const CLI::App& app, const std::string& path) {
  CommandRow c{path, app.get_description(), {}, {}};
  for (const CLI::Option* o : app.get_options({})) c.options.push_back(row_of(*o));
  const std::vector<const CLI::App*> children = app.get_subcommands(std::function<bool(const CLI::App*)>());
  for (const CLI::App* child : children) c.children.push_back(child->get_name());
  table.push_back(std::move(c));
  for (const CLI::App* child : children)
    add(table, *child, path + (path.empty() ? "" : " ") + child->get_name());
}

}  // namespace

std::vector<CommandRow> command_table(const CLI::App& app) {
  std::vector<CommandRow> table;
  add(table, app, "");
  return table;
}

}  // namespace gradc
