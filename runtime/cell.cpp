#include "runtime/cell.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <string>

namespace gradc::runtime {
namespace {

using Kind = CellValue::Kind;

std::string_view without_plus(std::string_view text) {
  if (text.size() > 1 && text[0] == '+' && text[1] != '-' && text[1] != '+') text.remove_prefix(1);
  return text;
}

CellValue number_of(std::string_view text) {
  text = without_plus(text);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (end != text.data() + text.size() || error == std::errc::invalid_argument) return {};
  // from_chars does not say on which side the number is out of range; strtod does.
  if (error == std::errc::result_out_of_range) {
    value = std::strtod(std::string(text).c_str(), nullptr);
    return {std::isfinite(value) ? Kind::Number : Kind::TooLarge, value};
  }
  return {std::isfinite(value) ? Kind::Number : Kind::Text, value};
}

std::optional<double> flag_of(std::string_view text) {
  constexpr std::array<std::string_view, 5> kYes = {"true", "t", "yes", "y", "on"},
                                            kNo = {"false", "f", "no", "n", "off"};
  if (text.size() > 5) return std::nullopt;
  std::string lower(text);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  if (std::find(kYes.begin(), kYes.end(), lower) != kYes.end()) return 1;
  if (std::find(kNo.begin(), kNo.end(), lower) != kNo.end()) return 0;
  return std::nullopt;
}

// Takes the fixed parts of a date from the front of a text; one that does not fit makes all fail.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  int digits(size_t n) {
    int value = 0;
    if (rest_.size() < n) return fail();
    for (size_t i = 0; i < n; ++i) {
      if (rest_[i] < '0' || rest_[i] > '9') return fail();
      value = 10 * value + (rest_[i] - '0');
    }
    rest_.remove_prefix(n);
    return value;
  }
  bool take(char c) {
    if (rest_.empty() || rest_[0] != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void need(char c) { good_ = take(c) && good_; }
  // What follows a point.
  double fraction() {
    double value = 0, place = 0.1;
    good_ = good_ && !rest_.empty() && rest_[0] >= '0' && rest_[0] <= '9';
    for (; !rest_.empty() && rest_[0] >= '0' && rest_[0] <= '9'; rest_.remove_prefix(1), place /= 10)
      value += place * (rest_[0] - '0');
    return value;
  }
  bool good() const { return good_; }
  bool at_end() const { return rest_.empty(); }

 private:
  int fail() {
    good_ = false;
    return 0;
  }
  std::string_view rest_;
  bool good_ = true;
};

// hh:mm, hh:mm:ss or with a fraction of a second, and a zone, Z or +hh:mm; seconds since midnight of UTC.
std::optional<double> time_of(Reader& in) {
  const int hour = in.digits(2);
  in.need(':');
  const int minute = in.digits(2);
  const bool exact = in.take(':');
  double second = exact ? in.digits(2) : 0;
  if (hour > 23 || minute > 59 || second > 59) return std::nullopt;
  if (exact && in.take('.')) second += in.fraction();
  second += 3600 * hour + 60 * minute;
  if (in.take('Z')) return second;
  const bool east = in.take('+');
  if (!east && !in.take('-')) return second;
  const int hours = in.digits(2);
  in.take(':');
  const int minutes = in.digits(2);
  if (hours > 14 || minutes > 59) return std::nullopt;
  return second - (east ? 1 : -1) * (3600 * hours + 60 * minutes);
}

// ISO 8601: 2024-02-29, or with a time behind a T or a blank.
std::optional<double> date_of(std::string_view text) {
  Reader in(text);
  const int year = in.digits(4);
  in.need('-');
  const auto month = static_cast<unsigned>(in.digits(2));
  in.need('-');
  const auto day = static_cast<unsigned>(in.digits(2));
  if (!in.good()) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(month),
                                         std::chrono::day(day)};
  if (!date.ok()) return std::nullopt;
  double days = static_cast<double>(std::chrono::sys_days(date).time_since_epoch().count());
  if (in.at_end()) return days;
  if (!in.take('T') && !in.take(' ')) return std::nullopt;
  const std::optional<double> seconds = time_of(in);
  if (!seconds || !in.good() || !in.at_end()) return std::nullopt;
  return days + *seconds / 86400;
}

}  // namespace

std::string_view trimmed(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
  return s;
}

bool is_missing(std::string_view s) {
  constexpr std::array<std::string_view, 13> kNothing = {"NA",  "N/A",  "n/a",  "#N/A", "<NA>", "nan", "NaN",
                                                         "NAN", "null", "NULL", "None", "NaT",  "?"};
  s = trimmed(s);
  return s.empty() || std::find(kNothing.begin(), kNothing.end(), s) != kNothing.end();
}

CellValue read_cell(std::string_view text) {
  text = trimmed(text);
  if (is_missing(text)) return {Kind::Missing, 0};
  if (const CellValue n = number_of(text); n.kind != Kind::Text) return n;
  if (const auto flag = flag_of(text)) return {Kind::Flag, *flag};
  if (const auto date = date_of(text)) return {Kind::Date, *date};
  return {};
}

std::optional<int64_t> read_whole(std::string_view text) {
  text = without_plus(trimmed(text));
  int64_t n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  return !text.empty() && error == std::errc() && end == text.data() + text.size() ? std::optional(n)
                                                                                   : std::nullopt;
}

}  // namespace gradc::runtime
