#include "runtime/csv.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

#include "runtime/error.h"
#include "runtime/file.h"

namespace gradc::runtime {
namespace {

std::string_view trimmed(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
  return s;
}

}  // namespace

bool to_number(std::string_view text, double& value) {
  text = trimmed(text);
  if (!text.empty() && text.front() == '+') text.remove_prefix(1);
  if (text.empty()) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() && std::isfinite(value);
}

CsvTable read_csv(const std::string& path) { return CsvTable(path, read_file(path, int64_t(4) << 30)); }

CsvTable::CsvTable(std::string name, std::string text) : name_(std::move(name)), text_(std::move(text)) {
  if (text_.size() >= (size_t(1) << 32))
    throw Error(Failure::Data, name_ + ": tables above 4 GB are not read");
  parse();
}

// One record from `at` on; quotes may hold separators, newlines and doubled quotes.
void CsvTable::read_line(size_t& at, std::vector<Cell>& cells) const {
  cells.clear();
  while (true) {
    size_t begin = at;
    bool quoted = false;
    if (at < text_.size() && text_[at] == '"') {
      quoted = true;
      for (++at; at < text_.size() && !(text_[at] == '"' && (at + 1 >= text_.size() || text_[at + 1] != '"'));
           ++at)
        if (text_[at] == '"') ++at;
      if (at < text_.size()) ++at;
    }
    while (at < text_.size() && text_[at] != separator_ && text_[at] != '\n') ++at;
    size_t end = at;
    if (end > begin && text_[end - 1] == '\r' && (at >= text_.size() || text_[at] == '\n')) --end;
    cells.push_back({static_cast<uint32_t>(begin), static_cast<uint32_t>(end - begin), quoted});
    if (at >= text_.size() || text_[at] == '\n') {
      if (at < text_.size()) ++at;
      return;
    }
    ++at;
  }
}

void CsvTable::parse() {
  size_t at = text_.rfind("\xEF\xBB\xBF", 0) == 0 ? 3 : 0;
  const std::string_view first = std::string_view(text_).substr(at, text_.find('\n', at) - at);
  for (char c : {';', '\t'})
    if (std::count(first.begin(), first.end(), c) > std::count(first.begin(), first.end(), separator_))
      separator_ = c;
  std::vector<Cell> cells;
  uint32_t line = 1;
  bool header = true;
  while (at < text_.size()) {
    const size_t from = at;
    const uint32_t here = line;
    read_line(at, cells);
    line += static_cast<uint32_t>(
        std::count(text_.begin() + static_cast<long>(from), text_.begin() + static_cast<long>(at), '\n'));
    if (cells.size() == 1 && cells[0].size == 0) continue;  // a blank line
    if (header) {
      header = false;
      lines_.push_back(here);
      cells_ = cells;
      const int n = static_cast<int>(cells.size());
      columns_.resize(cells.size());
      double ignored = 0;
      bool numbers = true;
      for (int c = 0; c < n; ++c) numbers = numbers && to_number(raw(0, c), ignored);
      for (int c = 0; c < n; ++c)
        columns_[static_cast<size_t>(c)] = numbers ? std::to_string(c) : std::string(trimmed(cell(0, c)));
      if (!numbers) cells_.clear(), lines_.clear();
      std::vector<std::string> sorted = columns_;
      std::sort(sorted.begin(), sorted.end());
      if (auto twice = std::adjacent_find(sorted.begin(), sorted.end()); twice != sorted.end())
        throw Error(Failure::Data,
                    name_ + ":" + std::to_string(here) + ": two columns are called '" + *twice + "'");
      continue;
    }
    if (cells.size() != columns_.size())
      throw Error(Failure::Data, name_ + ":" + std::to_string(here) + ": " + std::to_string(cells.size()) +
                                     " cells, the header has " + std::to_string(columns_.size()));
    cells_.insert(cells_.end(), cells.begin(), cells.end());
    lines_.push_back(here);
  }
  if (columns_.empty()) throw Error(Failure::Data, name_ + ": the table is empty");
}

std::string_view CsvTable::raw(int64_t row, int column) const {
  const Cell& c = cells_[static_cast<size_t>(row) * columns_.size() + static_cast<size_t>(column)];
  std::string_view s = std::string_view(text_).substr(c.begin, c.size);
  if (c.quoted && s.size() >= 2 && s.back() == '"') s = s.substr(1, s.size() - 2);
  return s;
}

std::string CsvTable::cell(int64_t row, int column) const {
  std::string out;
  const std::string_view s = raw(row, column);
  for (size_t i = 0; i < s.size(); ++i) {
    out += s[i];
    if (s[i] == '"' && i + 1 < s.size() && s[i + 1] == '"') ++i;
  }
  return out;
}

std::string CsvTable::where(int64_t row, int column) const {
  const Cell& c = cells_[static_cast<size_t>(row) * columns_.size() + static_cast<size_t>(column)];
  const size_t start = c.begin == 0 ? 0 : text_.rfind('\n', c.begin - 1) + 1;  // npos + 1 is 0
  return name_ + ":" + std::to_string(lines_[static_cast<size_t>(row)]) + ":" +
         std::to_string(c.begin - start + 1);
}

int CsvTable::index_of(const std::string& column) const {
  auto it = std::find(columns_.begin(), columns_.end(), column);
  return it == columns_.end() ? -1 : static_cast<int>(it - columns_.begin());
}

int CsvTable::require(const std::string& column) const {
  const int i = index_of(column);
  if (i >= 0) return i;
  std::string list;
  for (size_t n = 0; n < columns_.size() && n < 50; ++n) list += (n > 0 ? ", " : "") + columns_[n];
  throw Error(Failure::Data, name_ + " has no column '" + column + "' (it has: " + list + ")");
}

double CsvTable::number(int64_t row, int column, DType t) const {
  double v = 0;
  const std::string_view text = raw(row, column);
  auto complain = [&](const std::string& what) {
    throw Error(Failure::Data,
                where(row, column) + ": column '" + columns_[static_cast<size_t>(column)] + "': " + what);
  };
  if (!to_number(text, v))
    complain(trimmed(text).empty()
                 ? "the cell is empty; drop or fill missing cells"
                 : "'" + std::string(text.substr(0, 60)) + "' is not a number; drop or fill missing cells");
  if (t == DType::F32 || t == DType::F64) return v;
  const double low = t == DType::I32 ? -2147483648.0 : t == DType::I64 ? -9007199254740992.0 : 0;
  const double high = t == DType::Bool  ? 1
                      : t == DType::U8  ? 255
                      : t == DType::I32 ? 2147483647.0
                                        : 9007199254740992.0;
  if (v != std::floor(v) || v < low || v > high)
    complain("'" + std::string(text.substr(0, 60)) + "' is no " + name_of(t));
  return v;
}

Array CsvTable::columns(const std::vector<std::string>& names, DType t) const {
  Array a = make_array(t, {rows(), static_cast<int64_t>(names.size())});
  std::vector<int> places;
  for (const std::string& n : names) places.push_back(require(n));
  int64_t at = 0;
  for (int64_t r = 0; r < rows(); ++r)
    for (int c : places) a.set(at++, number(r, c, t));
  return a;
}

Array CsvTable::column(const std::string& name, DType t) const {
  Array a = columns({name}, t);
  a.shape = {rows()};
  return a;
}

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
      if (trimmed(text).empty() || text == "NA" || text == "n/a" || text == "nan" || text == "NaN") {
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
