#include "tools/metric_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "runtime/progress.h"
#include "support/diagnostic.h"

namespace gradc {
namespace {

using Names = std::vector<std::string>;

Names names_of(const runtime::Table& t, const LoadedData& data, int64_t count) {
  for (const std::string& field : t.fields)
    if (const auto it = data.vocabulary.find(field);
        it != data.vocabulary.end() && static_cast<int64_t>(it->second.size()) == count) {
      Names shown;
      for (const std::string& name : it->second) shown.push_back(printable(name, 24));
      return shown;
    }
  Names numbers;
  for (int64_t i = 0; i < count; ++i) numbers.push_back(std::to_string(i));
  return numbers;
}

std::string text_of(double v) {
  const bool whole = v == std::trunc(v) && std::fabs(v) < 0x1p53;
  return runtime::number(whole ? "%.0f" : "%.4f", v);
}

}  // namespace

std::string tables_text(const runtime::Program& p, const LoadedData& data,
                        const std::vector<double>& values) {
  std::string out;
  size_t at = p.metrics.size();
  for (const runtime::Table& t : p.tables) {
    const Names rows = names_of(t, data, t.rows), columns = names_of(t, data, t.columns);
    std::vector<Names> cells{{t.name}};
    cells[0].insert(cells[0].end(), columns.begin(), columns.end());
    for (const std::string& row : rows) {
      cells.push_back({row});
      for (size_t i = 0; i < columns.size(); ++i) cells.back().push_back(text_of(values.at(at++)));
    }
    std::vector<size_t> widths(columns.size() + 1);
    for (const Names& line : cells)
      for (size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
    for (const Names& line : cells) {
      out += fmt::format("{:{}}", line[0], widths[0]);
      for (size_t i = 1; i < line.size(); ++i) out += fmt::format("  {:>{}}", line[i], widths[i]);
      out += "\n";
    }
  }
  return out;
}

}  // namespace gradc
