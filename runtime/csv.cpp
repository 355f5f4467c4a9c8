#include "runtime/csv.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "runtime/cell.h"
#include "runtime/error.h"
#include "runtime/file.h"

namespace gradc::runtime {
namespace {

bool ends_line(char c) { return c == '\n' || c == '\r'; }

// Line ends, of which "\r\n" is one.
uint32_t count_lines(std::string_view s) {
  uint32_t n = 0;
  for (size_t i = 0; i < s.size(); ++i)
    n += s[i] == '\n' || (s[i] == '\r' && (i + 1 == s.size() || s[i + 1] != '\n'));
  return n;
}

// The separator that the header has most of, outside quotes; a comma when in doubt.
char separator_of(std::string_view text) {
  std::array<size_t, 3> counts{};
  constexpr std::string_view kSeparators = ",;\t";
  bool quoted = false;
  for (char c : text) {
    if (c == '"') quoted = !quoted;
    if (quoted) continue;
    if (ends_line(c)) break;
    if (const size_t i = kSeparators.find(c); i != std::string_view::npos) ++counts[i];
  }
  return kSeparators[static_cast<size_t>(std::max_element(counts.begin(), counts.end()) - counts.begin())];
}

// What no column may hold together, by the cell that came first.
class ColumnKinds {
 public:
  // The kind of the first cell that this one does not go with, and its row; -1 where it goes with all.
  int64_t conflict(CellValue::Kind kind, double value, int64_t row, CellValue::Kind& other) {
    using Kind = CellValue::Kind;
    // 0 and 1 are flags as well.
    const bool either = kind == Kind::Number && (value == 0 || value == 1);
    const auto mine = static_cast<size_t>(kind);
    if (!either && first_[mine] < 0) first_[mine] = row;
    if (either && either_ < 0) either_ = row;
    for (const Kind k : {Kind::Number, Kind::Flag, Kind::Date}) {
      if (k == kind || (either && k == Kind::Flag)) continue;
      other = k;
      if (first_[static_cast<size_t>(k)] >= 0) return first_[static_cast<size_t>(k)];
      if (k == Kind::Number && kind == Kind::Date && either_ >= 0) return either_;
    }
    return -1;
  }

 private:
  std::array<int64_t, 6> first_ = {-1, -1, -1, -1, -1, -1};
  int64_t either_ = -1;
};

const char* kind_name(CellValue::Kind k) {
  return k == CellValue::Kind::Date ? "a date" : k == CellValue::Kind::Flag ? "a truth value" : "a number";
}

}  // namespace

CsvTable read_csv(const std::string& path) { return CsvTable(path, read_file(path, int64_t(4) << 30)); }

CsvTable::CsvTable(std::string name, std::string text) : name_(std::move(name)), text_(std::move(text)) {
  if (text_.size() >= (size_t(1) << 32))
    throw Error(Failure::Data, name_ + ": tables above 4 GB are not read");
  if (text_.rfind("\xFF\xFE", 0) == 0 || text_.rfind("\xFE\xFF", 0) == 0)
    throw Error(Failure::Data, name_ + ": the table is UTF-16; save it as UTF-8");
  parse();
}

// A cell that begins with a quote, up to its closing quote; `line` is the line that it begins on.
void CsvTable::read_quoted(size_t& at, uint32_t line) const {
  const size_t from = at;
  auto lines_before = [&](size_t end) {
    return count_lines(std::string_view(text_).substr(line_begin_, end - line_begin_));
  };
  auto complain = [&](const std::string& what) {
    const size_t start = from == 0 ? 0 : text_.find_last_of("\r\n", from - 1) + 1;  // npos + 1 is 0
    throw Error(Failure::Data, name_ + ":" + std::to_string(line + lines_before(from)) + ":" +
                                   std::to_string(from - start + 1) + ": " + what);
  };
  for (++at;; ++at) {
    at = text_.find('"', at);
    if (at == std::string::npos) complain("the quote that opens here is not closed");
    if (at + 1 >= text_.size() || text_[at + 1] != '"') break;
    ++at;
  }
  ++at;
  size_t rest = at;
  while (rest < text_.size() && (text_[rest] == ' ' || (text_[rest] == '\t' && separator_ != '\t'))) ++rest;
  if (rest < text_.size() && text_[rest] != separator_ && !ends_line(text_[rest]))
    complain("the quote that opens here closes in line " + std::to_string(line + lines_before(at)) +
             ", where text follows it; a quote is missing, or one inside the text is not doubled");
}

// One record from `at` on; quotes may hold separators, newlines and doubled quotes.
void CsvTable::read_line(size_t& at, uint32_t line, std::vector<Cell>& cells) {
  cells.clear();
  line_begin_ = at;
  while (true) {
    const size_t begin = at;
    const bool quoted = at < text_.size() && text_[at] == '"';
    if (quoted) read_quoted(at, line);
    size_t end = at;
    while (at < text_.size() && text_[at] != separator_ && !ends_line(text_[at])) ++at;
    if (!quoted) end = at;
    cells.push_back({static_cast<uint32_t>(begin), static_cast<uint32_t>(end - begin), quoted});
    if (at >= text_.size()) return;
    const bool carriage_return = text_[at] == '\r', last = ends_line(text_[at]);
    ++at;
    if (carriage_return && at < text_.size() && text_[at] == '\n') ++at;
    if (last) return;
  }
}

// The first line gives the names, or is a row itself when it has numbers and nothing else; then the columns
// are called 0, 1, ...
void CsvTable::read_header(const std::vector<Cell>& cells, uint32_t line) {
  cells_ = cells;
  lines_ = {line};
  columns_.resize(cells.size());
  const int n = static_cast<int>(cells.size());
  bool some = false, only = true;
  for (int c = 0; c < n; ++c) {
    const CellValue::Kind kind = read_cell(raw(0, c)).kind;
    const bool number = kind == CellValue::Kind::Number || kind == CellValue::Kind::TooLarge;
    some = some || number;
    only = only && (number || kind == CellValue::Kind::Missing);
  }
  no_header_ = some && only;
  for (int c = 0; c < n; ++c)
    columns_[static_cast<size_t>(c)] = no_header_ ? std::to_string(c) : std::string(trimmed(cell(0, c)));
  if (!no_header_) cells_.clear(), lines_.clear();
  for (int c = 0; c < n; ++c)
    if (const std::string& column = columns_[static_cast<size_t>(c)]; !places_.emplace(column, c).second)
      throw Error(Failure::Data,
                  name_ + ":" + std::to_string(line) + ": two columns are called '" + column + "'");
}

void CsvTable::parse() {
  size_t at = text_.rfind("\xEF\xBB\xBF", 0) == 0 ? 3 : 0;
  while (at < text_.size() && ends_line(text_[at])) ++at;  // blank lines before the header
  uint32_t line = 1 + count_lines(std::string_view(text_).substr(0, at));
  separator_ = separator_of(std::string_view(text_).substr(at));
  std::vector<Cell> cells;
  while (at < text_.size()) {
    const size_t from = at;
    const uint32_t here = line;
    read_line(at, here, cells);
    line += count_lines(std::string_view(text_).substr(from, at - from));
    if (cells.size() == 1 && cells[0].size == 0) continue;  // a blank line
    if (columns_.empty()) {
      read_header(cells, here);
      continue;
    }
    if (cells.size() != columns_.size())
      throw Error(Failure::Data, name_ + ":" + std::to_string(here) + ": " + std::to_string(cells.size()) +
                                     " cells, the " + (no_header_ ? "first line" : "header") + " has " +
                                     std::to_string(columns_.size()));
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

bool CsvTable::is_missing(int64_t row, int column) const { return runtime::is_missing(raw(row, column)); }

std::string CsvTable::where(int64_t row, int column) const {
  const size_t first = static_cast<size_t>(row) * columns_.size(), line = cells_[first].begin,
               begin = cells_[first + static_cast<size_t>(column)].begin;
  const size_t start = begin == 0 ? 0 : text_.find_last_of("\r\n", begin - 1) + 1;  // npos + 1 is 0
  const uint32_t further = count_lines(std::string_view(text_).substr(line, begin - line));
  return name_ + ":" + std::to_string(lines_[static_cast<size_t>(row)] + further) + ":" +
         std::to_string(begin - start + 1);
}

int CsvTable::index_of(const std::string& column) const {
  const auto it = places_.find(column);
  return it == places_.end() ? -1 : it->second;
}

int CsvTable::require(const std::string& column) const {
  const int i = index_of(column);
  if (i >= 0) return i;
  std::string list;
  for (size_t n = 0; n < columns_.size() && n < 50; ++n) list += (n > 0 ? ", " : "") + columns_[n];
  if (columns_.size() > 50) list += ", ...";
  throw Error(Failure::Data, name_ + " has no column '" + column + "' (it has: " + list + ")" +
                                 (no_header_ ? "; its first line has numbers only, so it is no header" : ""));
}

void CsvTable::keep(const std::vector<bool>& rows) {
  size_t to = 0;
  for (size_t r = 0; r < rows.size(); ++r) {
    if (!rows[r]) continue;
    const auto from = cells_.begin() + static_cast<std::ptrdiff_t>(r * columns_.size());
    std::copy(from, from + static_cast<std::ptrdiff_t>(columns_.size()),
              cells_.begin() + static_cast<std::ptrdiff_t>(to * columns_.size()));
    lines_[to++] = lines_[r];
  }
  lines_.resize(to);
  cells_.resize(to * columns_.size());
}

void CsvTable::complain(int64_t row, int column, const std::string& what) const {
  throw Error(Failure::Data,
              where(row, column) + ": column '" + columns_[static_cast<size_t>(column)] + "': " + what);
}

double CsvTable::number(int64_t row, int column, DType t, const CellValue& cell) const {
  using Kind = CellValue::Kind;
  const double v = cell.value;
  const std::string_view text = raw(row, column);
  const std::string shown = "'" + std::string(text.substr(0, 60)) + "'";
  if (cell.kind == Kind::TooLarge || (t == DType::F32 && std::isinf(static_cast<float>(v))))
    complain(row, column,
             shown + " is no " + name_of(t) + ": the largest is " +
                 (t == DType::F32 ? "3.4e38; scale the column, or use --float f64" : "1.8e308"));
  if (cell.kind == Kind::Missing)
    complain(row, column,
             (trimmed(text).empty() ? "the cell is empty" : shown + " is not a number") +
                 "; drop or fill missing cells: missing=drop, mean, median or a number");
  if (cell.kind == Kind::Text)
    complain(row, column,
             shown + " is not a number; texts are read by category(\"" +
                 columns_[static_cast<size_t>(column)] + "\")");
  if (t == DType::F32 || t == DType::F64) return v;
  const double low = t == DType::I32 ? -2147483648.0 : t == DType::I64 ? -9007199254740991.0 : 0;
  const double high = t == DType::Bool  ? 1
                      : t == DType::U8  ? 255
                      : t == DType::I32 ? 2147483647.0
                                        : 9007199254740991.0;
  if (v != std::floor(v) || v < low || v > high)
    complain(row, column,
             shown + " is no " + name_of(t) +
                 (t == DType::I64 && std::abs(v) < 0x1p63 && std::abs(v) > high
                      ? "; beyond 2^53 only digits are read, without point and exponent"
                      : ""));
  return v;
}

// Digits keep all 64 bits of an i64; what is written as a real number goes through f64.
void CsvTable::put(int64_t row, int column, const CellValue& cell, Array& into, int64_t at) const {
  if (const auto n = into.dtype == DType::I64 ? read_whole(raw(row, column)) : std::nullopt)
    into.set_whole(at, *n);
  else
    into.set(at, number(row, column, into.dtype, cell));
}

CsvTable::Columns CsvTable::read(const std::vector<std::string>& names, DType t, bool may_miss) const {
  Columns out{make_array(t, {rows(), static_cast<int64_t>(names.size())}), {}};
  std::vector<int> places;
  for (const std::string& n : names) places.push_back(require(n));
  std::vector<ColumnKinds> kinds(names.size());
  int64_t at = 0;
  for (int64_t r = 0; r < rows(); ++r)
    for (size_t i = 0; i < places.size(); ++i, ++at) {
      const int c = places[i];
      const CellValue cell = read_cell(raw(r, c));
      if (cell.kind == CellValue::Kind::Missing && may_miss) {
        out.missing.push_back(at);
        continue;
      }
      put(r, c, cell, out.values, at);
      CellValue::Kind other{};
      if (const int64_t before = kinds[i].conflict(cell.kind, cell.value, r, other); before >= 0)
        complain(r, c,
                 "'" + std::string(raw(r, c).substr(0, 60)) + "' is " + kind_name(cell.kind) + ", but line " +
                     std::to_string(lines_[static_cast<size_t>(before)]) + " has " + kind_name(other) +
                     ", '" + std::string(raw(before, c).substr(0, 60)) + "'");
    }
  return out;
}

Array CsvTable::columns(const std::vector<std::string>& names, DType t) const {
  return read(names, t, false).values;
}

Array CsvTable::column(const std::string& name, DType t) const {
  Array a = columns({name}, t);
  a.shape = {rows()};
  return a;
}

}  // namespace gradc::runtime
