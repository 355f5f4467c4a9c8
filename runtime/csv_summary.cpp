// What a table holds, column by column.
#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "runtime/csv.h"

namespace gradc::runtime {
namespace {

using Kind = CellValue::Kind;

// One kind alone, or flags that are written 0 and 1 in part: what CsvTable::read takes.
std::string type_of(const std::array<int64_t, 6>& kinds, const ColumnSummary& s, bool whole) {
  auto count = [&](Kind k) { return kinds[static_cast<size_t>(k)]; };
  const int64_t numbers = count(Kind::Number), flags = count(Kind::Flag), dates = count(Kind::Date);
  if (count(Kind::Text) + count(Kind::TooLarge) > 0 || numbers + flags + dates == 0) return "text";
  if (dates > 0) return numbers + flags == 0 ? "date" : "text";
  if (flags > 0) return s.min >= 0 && s.max <= 1 && whole ? "flag" : "text";
  return whole ? "integer" : "real";
}

}  // namespace

std::vector<ColumnSummary> summarize(const CsvTable& table) {
  std::vector<ColumnSummary> out;
  for (int c = 0; c < static_cast<int>(table.columns().size()); ++c) {
    ColumnSummary s;
    s.name = table.columns()[static_cast<size_t>(c)];
    std::map<std::string, int64_t> counts;
    bool whole = true;
    std::array<int64_t, 6> kinds{};
    double sum = 0;
    int64_t seen = 0;
    for (int64_t r = 0; r < table.rows(); ++r) {
      const std::string text = table.cell(r, c);
      const CellValue cell = read_cell(text);
      const double v = cell.value;
      ++kinds[static_cast<size_t>(cell.kind)];
      if (cell.kind == Kind::Missing) {
        ++s.missing;
        continue;
      }
      if (counts.size() <= 1000 || counts.count(text) != 0) ++counts[text];
      if (cell.kind == Kind::Text || cell.kind == Kind::TooLarge) continue;
      whole = whole && v == std::floor(v);
      s.min = seen == 0 ? v : std::min(s.min, v);
      s.max = seen == 0 ? v : std::max(s.max, v);
      sum += v;
      ++seen;
    }
    s.type = type_of(kinds, s, whole);
    s.mean = seen > 0 ? sum / static_cast<double>(seen) : 0;
    s.distinct = static_cast<int64_t>(counts.size());
    s.top.assign(counts.begin(), counts.end());
    std::stable_sort(s.top.begin(), s.top.end(),
                     [](const auto& a, const auto& b) { return a.second > b.second; });
    s.top.resize(std::min<size_t>(10, s.top.size()));
    out.push_back(std::move(s));
  }
  return out;
}

}  // namespace gradc::runtime
