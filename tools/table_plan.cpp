#include "tools/table_plan.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "frontend/syntax/lexer.h"
#include "runtime/error.h"
#include "runtime/shuffle.h"
#include "support/check.h"
#include "support/diagnostic.h"

namespace gradc {
namespace {

using runtime::CellValue;
using runtime::ColumnSummary;
using runtime::CsvTable;

constexpr int64_t kMostClasses = 30;  // of numbers; more are an amount
constexpr int64_t kMostNamedClasses = 200;
constexpr int64_t kMostKinds = 1000;   // of an embedded column
constexpr int64_t kRowsForVal = 1000;  // a tenth of fewer says little about weights

std::string shown(const std::string& text) { return printable(text, 64); }

template <class... A>
runtime::Error refusal(const CsvTable& table, fmt::format_string<A...> text, A&&... args) {
  return {runtime::Failure::Data,
          fmt::format("{}: {}", table.name(), fmt::format(text, std::forward<A>(args)...))};
}

class Planner {
 public:
  Planner(const CsvTable& table, const std::string& target)
      : table_(table), summaries_(runtime::summarize(table)), column_(table.require(target)) {
    plan_.target_column = target;
  }

  TablePlan run() {
    if (!can_be_written(plan_.target_column))
      throw refusal(table_, "a model file cannot hold the name of the target '{}'; rename the column",
                    shown(plan_.target_column));
    take_rows();
    take_target();
    choose_splits();
    for (const ColumnSummary& s : summaries_)
      if (s.name != plan_.target_column) take_column(s);
    if (plan_.numbers.empty() && plan_.categories.empty())
      throw refusal(table_, "no column is left to learn from");
    say_columns();
    return std::move(plan_);
  }

 private:
  template <class... A>
  void say(fmt::format_string<A...> text, A&&... args) {
    plan_.remarks.push_back(fmt::format(text, std::forward<A>(args)...));
  }

  void take_rows() {
    for (int64_t r = 0; r < table_.rows(); ++r)
      if (!table_.is_missing(r, column_)) rows_.push_back(r);
    plan_.rows = std::ssize(rows_);
    plan_.target_missing = plan_.rows < table_.rows();
    if (plan_.target_missing)
      say("rows without {}: {} of {}, left out", shown(plan_.target_column), table_.rows() - plan_.rows,
          table_.rows());
    if (plan_.rows < 5) throw refusal(table_, "{} rows with a target are too few", plan_.rows);
  }

  const ColumnSummary& target() const { return summaries_[static_cast<size_t>(column_)]; }

  void take_target() {
    for (int64_t r : rows_) ++classes_[table_.cell(r, column_)];
    const auto kinds = std::ssize(classes_);
    if (kinds < 2)
      throw refusal(table_, "the target '{}' is the same in every row", shown(plan_.target_column));
    if (target().type == "text") {
      if (kinds > kMostNamedClasses || 2 * kinds > plan_.rows)
        throw refusal(table_, "the target '{}' has {} different texts in {} rows, which are no classes{}",
                      shown(plan_.target_column), kinds, plan_.rows, mixed_with(target()));
      take_classes("texts");
    } else if (target().type == "flag") {
      take_classes("truth values");
    } else if (const std::string why = class_numbers(); !why.empty()) {
      take_classes(why);
    } else {
      take_amount();
    }
  }

  // Why the numbers of the target are classes; "" where they are an amount.
  std::string class_numbers() const {
    const ColumnSummary& s = target();
    std::set<double> values;
    for (const auto& [text, n] : classes_) values.insert(runtime::read_cell(text).value);
    // 1 and 1.0 are one number, but two names.
    if (s.type == "date" || values.size() != classes_.size()) return "";
    const auto kinds = std::ssize(values);
    if (s.type == "integer" && kinds <= kMostClasses && s.min == 0 && s.max == double(kinds - 1))
      return "numbers from 0 on";
    if (kinds == 2) return s.min == -1 && s.max == 1 ? "-1 and 1" : "two numbers";
    if (s.type == "integer" && kinds <= kMostClasses && s.min == 1 && s.max == double(kinds))
      return "numbers from 1 on";
    return "";
  }

  void take_classes(const std::string& why) {
    plan_.classes = std::ssize(classes_);
    bool plain = why == "numbers from 0 on";
    for (int64_t i = 0; i < plan_.classes; ++i) plain = plain && classes_.count(std::to_string(i)) != 0;
    plan_.target = plain ? TablePlan::Target::Numbers : TablePlan::Target::Names;
    std::vector<std::string> list;
    for (const auto& [text, n] : classes_)
      if (list.size() < 10)
        list.push_back(
            fmt::format("{} {:.1f}%", shown(text), 100.0 * double(n) / static_cast<double>(plan_.rows)));
    say("target {}: {} classes, for it holds {}: {}{}", shown(plan_.target_column), plan_.classes, why,
        fmt::join(list, ", "), plan_.classes > 10 ? ", ..." : "");
    if (plan_.classes > 2 && why.starts_with("numbers"))
      say("        if these are amounts, predict a number: y = column(\"{}\"), and the loss is mse",
          shown(plan_.target_column));
  }

  void take_amount() {
    double sum = 0, squares = 0;
    const auto n = static_cast<double>(plan_.rows);
    for (int64_t r : rows_) sum += runtime::read_cell(table_.cell(r, column_)).value;
    plan_.center = sum / n;
    for (int64_t r : rows_) {
      const double d = runtime::read_cell(table_.cell(r, column_)).value - plan_.center;
      squares += d * d;
    }
    plan_.scale = std::max(1e-30, std::sqrt(squares / n));
    if (!std::isfinite(plan_.scale) || plan_.scale > 1e30)
      throw refusal(table_, "the target '{}' is too large: {:g} .. {:g}; scale it",
                    shown(plan_.target_column), target().min, target().max);
    say("target {}: {}, {:g} .. {:g}, to be predicted as a number", shown(plan_.target_column),
        target().type == "date" ? "days since 1970-01-01" : "an amount", target().min, target().max);
  }

  // The rows of the training split, as load_data cuts it. A class that it lacks could not be learnt, so the
  // order is one in which it has all.
  void choose_splits() {
    plan_.val = plan_.rows >= kRowsForVal;
    const double share = plan_.val ? 0.7 : 0.8;
    const auto size = static_cast<size_t>(share * static_cast<double>(plan_.rows) + 1e-9);
    for (plan_.seed = 0; plan_.seed < 100; ++plan_.seed) {
      const std::vector<int64_t> order =
          runtime::permutation(static_cast<uint64_t>(plan_.seed), ~uint64_t(0), plan_.rows);
      training_.clear();
      for (size_t i = 0; i < size; ++i) training_.push_back(rows_[static_cast<size_t>(order[i])]);
      if (plan_.target == TablePlan::Target::Amount || has_every_class()) break;
    }
    if (plan_.seed == 100)
      throw refusal(table_,
                    "no order of the rows has every class of '{}' in its first {:g}%; the rarest, "
                    "'{}', is in {} rows",
                    shown(plan_.target_column), 100 * share, shown(rarest().first), rarest().second);
    if (plan_.seed > 0)
      say("shuffle(seed={}): the first order in which the training split has every class", plan_.seed);
    if (!plan_.val)
      say("{} rows: too few for a validation split to choose weights by; those of the last epoch are kept",
          plan_.rows);
  }

  bool has_every_class() const {
    std::set<std::string> seen;
    for (int64_t r : training_) seen.insert(table_.cell(r, column_));
    return seen.size() == classes_.size();
  }
  std::pair<std::string, int64_t> rarest() const {
    return *std::min_element(classes_.begin(), classes_.end(),
                             [](const auto& a, const auto& b) { return a.second < b.second; });
  }

  void take_column(const ColumnSummary& s) {
    if (const std::string why = reason_against(s); !why.empty())
      return say("left out {}: {}", shown(s.name), why);
    if (s.type == "text") {
      TablePlan::Category c{s.name, identifier(s.name, taken_), s.distinct, s.missing > 0};
      taken_.push_back(c.input);
      plan_.categories.push_back(c);
      return;
    }
    plan_.numbers.push_back(s.name);
    if (s.missing > 0) plan_.gaps.push_back(s.name);
    if (s.type == "date") say("{}: dates, as days since 1970-01-01", shown(s.name));
  }

  std::string reason_against(const ColumnSummary& s) const {
    if (!can_be_written(s.name)) return "a model file cannot hold its name; rename the column";
    if (s.distinct == 0) return "nothing but missing cells";
    if (s.distinct < 2 && !(s.type == "text" && s.missing > 0)) return "constant";
    if (s.type == "text") {
      const int64_t there = table_.rows() - s.missing;
      if (s.distinct > kMostKinds) return fmt::format("text, more than {} kinds", kMostKinds) + mixed_with(s);
      if (s.distinct > 20 && 2 * s.distinct > there)
        return fmt::format("text, {} kinds in {} rows", s.distinct, there) + mixed_with(s);
      return "";
    }
    // Their squares are f32 in Standardize.
    if (std::max(-s.min, s.max) > 1e18) return "numbers beyond 1e18; scale them";
    if (s.max - s.min < 1e-5) return "numbers closer than 1e-5 to one another; scale them";
    if (counts_rows(s)) return "numbers its rows";
    if (constant_in_training(s)) return "constant in the training split";
    return "";
  }

  // A few texts among numbers make a column text.
  std::string mixed_with(const ColumnSummary& s) const {
    const int column = table_.index_of(s.name);
    int64_t others = 0, first = -1;
    for (int64_t r = 0; r < table_.rows(); ++r) {
      const CellValue::Kind k = runtime::read_cell(table_.cell(r, column)).kind;
      if (k == CellValue::Kind::Number || k == CellValue::Kind::Missing) continue;
      if (first < 0) first = r;
      ++others;
    }
    if (first < 0 || 2 * others > table_.rows() - s.missing) return "";
    return fmt::format("; numbers but for {} cells, the first at {}: '{}'", others,
                       table_.where(first, column), shown(table_.cell(first, column)));
  }

  bool counts_rows(const ColumnSummary& s) const {
    if (s.type != "integer" || s.missing > 0 || table_.rows() < 10) return false;
    const int column = table_.index_of(s.name);
    for (int64_t r = 0; r < table_.rows(); ++r)
      if (runtime::read_cell(table_.cell(r, column)).value != s.min + static_cast<double>(r)) return false;
    return true;
  }

  bool constant_in_training(const ColumnSummary& s) const {
    const int column = table_.index_of(s.name);
    std::set<double> values;
    for (int64_t r : training_) {
      const CellValue cell = runtime::read_cell(table_.cell(r, column));
      if (cell.kind != CellValue::Kind::Missing) values.insert(cell.value);
      if (values.size() > 1) return false;
    }
    return true;
  }

  void say_columns() {
    if (!plan_.numbers.empty()) say("{} columns of numbers, standardised", plan_.numbers.size());
    for (const std::string& name : plan_.gaps)
      say("{}: missing in {} of {} rows, filled by the median, and an input says where", shown(name),
          summaries_[static_cast<size_t>(table_.index_of(name))].missing, table_.rows());
    for (const TablePlan::Category& c : plan_.categories)
      say("{}: {} kinds, embedded; {}others are kind 0", shown(c.column), c.kinds,
          c.missing ? "missing cells and " : "");
  }

  const CsvTable& table_;
  std::vector<ColumnSummary> summaries_;
  int column_;
  std::vector<int64_t> rows_, training_;    // with a target; of the training split
  std::map<std::string, int64_t> classes_;  // texts of the target, and in how many rows
  // What the model file calls something else by.
  std::vector<std::string> taken_ = {"x",      "y",       "gaps",   "logits", "prediction",   "h",
                                     "hidden", "classes", "center", "scale",  "rows",         "all",
                                     "train",  "val",     "test",   "B",      "Standardize",  "Dense",
                                     "relu",   "Dropout", "Embed",  "concat", "squeeze",      "argmax",
                                     "mean",   "mse",     "r2",     "param",  "cross_entropy"};
  TablePlan plan_;
};

}  // namespace

bool can_be_written(const std::string& text) {
  bool continued_well = true;
  size_t rest = 0;  // bytes that a character of UTF-8 still needs
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (u == '"' || u < 0x20 || u == 0x7F) return false;
    continued_well = continued_well && ((u & 0xC0) == 0x80) == (rest > 0);
    rest = rest > 0 ? rest - 1 : u >= 0xF0 ? 3 : u >= 0xE0 ? 2 : u >= 0xC0 ? 1 : 0;
  }
  return continued_well && rest == 0;
}

std::string identifier(const std::string& name, const std::vector<std::string>& taken) {
  std::string out;
  for (char c : name)
    out += (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ? c : '_';
  auto is_taken = [&](const std::string& s) {
    return frontend::is_reserved(s) || std::find(taken.begin(), taken.end(), s) != taken.end();
  };
  if (out.empty() || (out[0] >= '0' && out[0] <= '9') || is_taken(out)) out = "m_" + out;
  if (!is_taken(out)) return out;
  for (int n = 2;; ++n)
    if (const std::string numbered = fmt::format("{}_{}", out, n); !is_taken(numbered)) return numbered;
}

TablePlan plan_table(const runtime::CsvTable& table, const std::string& target) {
  return Planner(table, target).run();
}

}  // namespace gradc
