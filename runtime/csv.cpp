#include "runtime/csv.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <optional>

#include "runtime/error.h"
#include "runtime/file.h"

namespace gradc::runtime {
namespace {

std::string_view trimmed(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
  return s;
}

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

enum class Reading { Number, Text, TooLarge };

Reading read_number(std::string_view text, double& value) {
  text = trimmed(text);
  if (text.size() > 1 && text[0] == '+' && text[1] != '-' && text[1] != '+') text.remove_prefix(1);
  if (text.empty()) return Reading::Text;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (end != text.data() + text.size() || error == std::errc::invalid_argument) return Reading::Text;
  // from_chars does not say on which side the number is out of range; strtod does.
  if (error == std::errc::result_out_of_range) {
    value = std::strtod(std::string(text).c_str(), nullptr);
    return std::isfinite(value) ? Reading::Number : Reading::TooLarge;
  }
  return std::isfinite(value) ? Reading::Number : Reading::Text;
}

std::optional<int64_t> read_whole(std::string_view text) {
  text = trimmed(text);
  if (text.size() > 1 && text[0] == '+' && text[1] != '-' && text[1] != '+') text.remove_prefix(1);
  int64_t n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  return !text.empty() && error == std::errc() && end == text.data() + text.size() ? std::optional(n)
                                                                                   : std::nullopt;
}

}  // namespace

bool is_missing(std::string_view s) {
  s = trimmed(s);
  return s.empty() || s == "NA" || s == "n/a" || s == "nan" || s == "NaN";
}

bool to_number(std::string_view text, double& value) { return read_number(text, value) == Reading::Number; }

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
  double ignored = 0;
  bool some = false, only = true;
  for (int c = 0; c < n; ++c) {
    const bool number = read_number(raw(0, c), ignored) != Reading::Text;
    some = some || number;
    only = only && (number || is_missing(raw(0, c)));
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

double CsvTable::number(int64_t row, int column, DType t) const {
  double v = 0;
  const std::string_view text = raw(row, column);
  auto complain = [&](const std::string& what) {
    throw Error(Failure::Data,
                where(row, column) + ": column '" + columns_[static_cast<size_t>(column)] + "': " + what);
  };
  const Reading reading = read_number(text, v);
  const std::string shown = "'" + std::string(text.substr(0, 60)) + "'";
  if (reading == Reading::TooLarge ||
      (reading == Reading::Number && t == DType::F32 && std::isinf(static_cast<float>(v))))
    complain(shown + " is no " + name_of(t) + ": the largest is " +
             (t == DType::F32 ? "3.4e38; scale the column, or use --float f64" : "1.8e308"));
  if (reading != Reading::Number)
    complain(trimmed(text).empty() ? "the cell is empty; drop or fill missing cells"
                                   : shown + " is not a number; drop or fill missing cells");
  if (t == DType::F32 || t == DType::F64) return v;
  const double low = t == DType::I32 ? -2147483648.0 : t == DType::I64 ? -9007199254740991.0 : 0;
  const double high = t == DType::Bool  ? 1
                      : t == DType::U8  ? 255
                      : t == DType::I32 ? 2147483647.0
                                        : 9007199254740991.0;
  if (v != std::floor(v) || v < low || v > high)
    complain(shown + " is no " + name_of(t) +
             (t == DType::I64 && std::abs(v) < 0x1p63 && std::abs(v) > high
                  ? "; beyond 2^53 only digits are read, without point and exponent"
                  : ""));
  return v;
}

// Digits keep all 64 bits of an i64; what is written as a real number goes through f64.
void CsvTable::read_cell(int64_t row, int column, Array& into, int64_t at) const {
  if (const auto n = into.dtype == DType::I64 ? read_whole(raw(row, column)) : std::nullopt)
    into.set_whole(at, *n);
  else
    into.set(at, number(row, column, into.dtype));
}

Array CsvTable::columns(const std::vector<std::string>& names, DType t) const {
  Array a = make_array(t, {rows(), static_cast<int64_t>(names.size())});
  std::vector<int> places;
  for (const std::string& n : names) places.push_back(require(n));
  int64_t at = 0;
  for (int64_t r = 0; r < rows(); ++r)
    for (int c : places) read_cell(r, c, a, at++);
  return a;
}

Array CsvTable::column(const std::string& name, DType t) const {
  Array a = columns({name}, t);
  a.shape = {rows()};
  return a;
}

}  // namespace gradc::runtime
