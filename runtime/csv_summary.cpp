// What a table holds, column by column.
#include <algorithm>
#include <cmath>
#include <map>

#include "runtime/csv.h"

namespace gradc::runtime {

std::vector<ColumnSummary> summarize(const CsvTable& table) {
  std::vector<ColumnSummary> out;
  for (int c = 0; c < static_cast<int>(table.columns().size()); ++c) {
    ColumnSummary s;
    s.name = table.columns()[static_cast<size_t>(c)];
    std::map<std::string, int64_t> counts;
    bool numbers = true, whole = true;
    double sum = 0;
    int64_t seen = 0;
    for (int64_t r = 0; r < table.rows(); ++r) {
      const std::string text = table.cell(r, c);
      double v = 0;
      if (is_missing(text)) {
        ++s.missing;
        continue;
      }
      if (counts.size() <= 1000 || counts.count(text) != 0) ++counts[text];
      if (!to_number(text, v)) {
        numbers = false;
        continue;
      }
      whole = whole && v == std::floor(v);
      s.min = seen == 0 ? v : std::min(s.min, v);
      s.max = seen == 0 ? v : std::max(s.max, v);
      sum += v;
      ++seen;
    }
    s.type = !numbers || seen == 0 ? "text" : whole ? "integer" : "real";
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
