#include "driver/sources/table_fields.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>

#include "driver/element_type.h"
#include "runtime/error.h"
#include "support/diagnostic.h"
#include "support/pattern.h"

namespace gradc {
namespace {

using frontend::FieldSpec;
using Names = std::vector<std::string>;
using Policy = frontend::MissingCells::Policy;

bool contains(const Names& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

constexpr int64_t kMostColumns = 1 << 20;

// p00..p63 or p1..p12: names that end in numbers; with as many digits as the first has.
std::optional<Names> range(const std::string& text, Loc loc) {
  const size_t dots = text.find("..");
  if (dots == text.npos) return std::nullopt;
  const std::string first = text.substr(0, dots), last = text.substr(dots + 2);
  auto stem_of = [](const std::string& s) { return s.substr(0, s.find_last_not_of("0123456789") + 1); };
  const std::string stem = stem_of(first);
  auto number = [&](const std::string& s) -> int64_t {
    int64_t n = -1;
    const char* end = s.data() + s.size();
    const auto r = std::from_chars(s.data() + stem.size(), end, n);
    return r.ec == std::errc() && r.ptr == end ? n : -1;
  };
  const int64_t from = stem_of(last) == stem ? number(first) : -1, to = from < 0 ? -1 : number(last);
  if (from < 0 || to < from || to - from >= kMostColumns)
    throw CompileError(loc, fmt::format("'{}' is no range of columns; write p00..p63", text));
  Names out;
  for (int64_t n = from; n <= to; ++n)
    out.push_back(fmt::format("{}{:0{}}", stem, n, first.size() - stem.size()));
  return out;
}

// A column of exactly that name is no pattern.
Names expanded(const std::string& text, const Names& columns, Loc loc) {
  if (contains(columns, text)) return {text};
  if (auto names = range(text, loc)) return std::move(*names);
  if (text.find('*') == text.npos) return {text};
  Names out;
  for (const std::string& c : columns)
    if (fits_pattern(c, text)) out.push_back(c);
  if (out.empty())
    throw CompileError(
        loc, fmt::format("no column of the table is called '{}' (it has: {}{})", text,
                         fmt::join(columns.begin(),
                                   columns.begin() + std::min<std::ptrdiff_t>(50, std::ssize(columns)), ", "),
                         columns.size() > 50 ? ", ..." : ""));
  return out;
}

void drop_rows(runtime::CsvTable& table, const SourceRequest& r, SourceData& to) {
  std::vector<bool> keep(static_cast<size_t>(table.rows()), true);
  std::map<std::string, int64_t> missing;
  for (const FieldSpec& f : r.spec.fields) {
    if (f.missing.policy != Policy::Drop) continue;
    for (const std::string& name : field_columns(f, table.columns())) {
      if (missing.count(name) != 0) continue;
      const int column = table.require(name);
      for (int64_t row = 0; row < table.rows(); ++row)
        if (table.is_missing(row, column)) ++missing[name], keep[static_cast<size_t>(row)] = false;
    }
  }
  const auto dropped = std::count(keep.begin(), keep.end(), false);
  if (dropped == 0) return;
  Names list;
  for (const auto& [name, n] : missing) list.push_back(fmt::format("{} in {}", name, n));
  to.remarks.push_back(fmt::format("{}: {} of {} rows are left out for a missing cell: {}", table.name(),
                                   dropped, table.rows(), fmt::join(list, ", ")));
  table.keep(keep);
}

void read_names(const runtime::CsvTable& table, const FieldSpec& f, SourceData& to) {
  const int column = table.require(to.columns.at(f.name)[0]);
  Names texts;
  int64_t filled = 0;
  for (int64_t r = 0; r < table.rows(); ++r) {
    const bool missing = table.is_missing(r, column);
    if (missing && f.missing.policy == Policy::Name) {
      texts.push_back(f.missing.name), ++filled;
    } else if (missing && f.missing.policy == Policy::Unknown) {
      texts.emplace_back();  // the first entry of the vocabulary
    } else if (missing) {
      throw runtime::Error(
          runtime::Failure::Data,
          fmt::format("{}: column '{}': {}; {}", table.where(r, column),
                      table.columns()[static_cast<size_t>(column)],
                      runtime::trimmed(table.cell(r, column)).empty()
                          ? "the cell is empty"
                          : "'" + table.cell(r, column) + "' says that nothing is there",
                      f.missing.policy == Policy::Drop
                          ? "training left out such rows"
                          : "missing=drop leaves out such rows, missing=\"none\" makes it a category"));
    } else {
      texts.push_back(table.cell(r, column));
    }
  }
  runtime::Coded coded = runtime::number_names(texts);
  to.names[f.name] = std::move(coded.names);
  if (f.unknown) to.unknown.insert(f.name);
  to.data.fields.emplace(f.name, std::move(coded.ids));
  if (filled > 0)
    to.remarks.push_back(
        fmt::format("{}: {}: {} missing, filled by '{}'", table.name(), f.name, filled, f.missing.name));
}

// The characters of a cell, at least one and at most so many as the field takes.
runtime::Coded letters_of(const runtime::CsvTable& table, int64_t row, int column, const FieldSpec& f) {
  const std::string text = table.cell(row, column);
  auto refuse = [&](const std::string& what) -> runtime::Error {
    return {runtime::Failure::Data,
            fmt::format("{}: column '{}': {}", table.where(row, column), f.texts[0], what)};
  };
  runtime::Coded letters;
  try {
    letters = runtime::number_characters(text, "");
  } catch (const runtime::Error&) {
    throw refuse("the cell is no UTF-8");
  }
  const int64_t n = letters.ids.count();
  const auto most = f.numbers.find("length");
  if (n == 0) throw refuse("the cell is empty, and letters are at least one");
  if (most != f.numbers.end() && n > most->second)
    throw refuse(fmt::format("'{}' has {} letters, the field {} takes {}; write length={}",
                             printable(text, 64), n, f.name, most->second, n));
  return letters;
}

// Behind the last letter stands "", which is number 0 in every vocabulary.
void read_letters(const runtime::CsvTable& table, const FieldSpec& f, SourceData& to) {
  const int column = table.require(to.columns.at(f.name)[0]);
  const int64_t length = f.numbers.at("length");
  runtime::Array ids = runtime::make_array(runtime::DType::I32, {table.rows(), length});
  Names names = {""};
  std::map<std::string, int64_t> known;
  for (int64_t row = 0; row < table.rows(); ++row) {
    const runtime::Coded letters = letters_of(table, row, column, f);
    for (int64_t i = 0; i < letters.ids.count(); ++i) {
      const std::string& letter = letters.names[static_cast<size_t>(letters.ids.whole_at(i))];
      const auto [at, fresh] = known.emplace(letter, std::ssize(names));
      if (fresh) names.push_back(letter);
      ids.set_whole(row * length + i, at->second);
    }
  }
  to.names[f.name] = std::move(names);
  to.padded.insert(f.name);
  to.data.fields.emplace(f.name, std::move(ids));
}

void read_lengths(const runtime::CsvTable& table, const FieldSpec& f, DType t, SourceData& to) {
  if (t != DType::I32 && t != DType::I64)
    throw CompileError(f.loc, fmt::format("length is i32 or i64, the input {} is {}", f.name, name_of(t)));
  const int column = table.require(to.columns.at(f.name)[0]);
  runtime::Array lengths = runtime::make_array(runtime_type(t), {table.rows()});
  for (int64_t row = 0; row < table.rows(); ++row)
    lengths.set_whole(row, letters_of(table, row, column, f).ids.count());
  to.data.fields.emplace(f.name, std::move(lengths));
}

void read_indicator(const runtime::CsvTable& table, const FieldSpec& f, DType t, SourceData& to) {
  const Names& names = to.columns.at(f.name);
  runtime::Array a = runtime::make_array(runtime_type(t), {table.rows(), static_cast<int64_t>(names.size())});
  for (size_t c = 0; c < names.size(); ++c) {
    const int column = table.require(names[c]);
    for (int64_t r = 0; r < table.rows(); ++r)
      a.set(r * a.shape[1] + static_cast<int64_t>(c), table.is_missing(r, column) ? 1 : 0);
  }
  to.data.fields.emplace(f.name, std::move(a));
}

// What cells may be filled by, as the field's type has it.
void check_fill(const FieldSpec& f, DType t) {
  const frontend::MissingCells& m = f.missing;
  if (m.fitted() && !is_float(t))
    throw CompileError(f.loc, fmt::format("the {} of a column is no {}; fill missing cells by a number",
                                          m.policy == Policy::Mean ? "mean" : "median", name_of(t)));
  const double high = t == DType::Bool ? 1 : t == DType::U8 ? 255 : 2147483647;
  const double low = t == DType::Bool || t == DType::U8 ? 0 : -high;
  for (const double v : m.fills)
    if (!is_float(t) && (v != std::floor(v) || v < low || v > high))
      throw CompileError(
          f.loc, fmt::format("missing cells of {} cannot be filled by {}: it is {}", f.name, v, name_of(t)));
}

void read_numbers(const runtime::CsvTable& table, const FieldSpec& f, DType t, SourceData& to) {
  const frontend::MissingCells& m = f.missing;
  check_fill(f, t);
  const Names& names = to.columns.at(f.name);
  runtime::CsvTable::Columns read = table.read(names, runtime_type(t), m.policy != Policy::Refuse);
  const auto width = static_cast<int64_t>(names.size());
  if (m.policy == Policy::Drop && !read.missing.empty()) {
    const int64_t i = read.missing[0];
    const std::string& name = names[static_cast<size_t>(i % width)];
    throw runtime::Error(runtime::Failure::Data,
                         fmt::format("{}: column '{}': nothing is there, and training left out such rows",
                                     table.where(i / width, table.require(name)), name));
  }
  if (m.policy == Policy::Fill)
    for (int64_t i : read.missing)
      read.values.set(i, m.fills[m.fills.size() == 1 ? 0 : static_cast<size_t>(i % width)]);
  if (m.fitted()) to.missing[f.name] = read.missing;
  if (!read.missing.empty())
    to.remarks.push_back(fmt::format("{}: {}: {} missing, filled by {}", table.name(), f.name,
                                     read.missing.size(),
                                     m.policy == Policy::Mean     ? "the mean of their column"
                                     : m.policy == Policy::Median ? "the median of their column"
                                     : m.fills.size() == 1        ? fmt::format("{:g}", m.fills[0])
                                                                  : "what training fitted"));
  if (f.form == "column") read.values.shape = {table.rows()};
  to.data.fields.emplace(f.name, std::move(read.values));
}

}  // namespace

Names field_columns(const FieldSpec& field, const Names& columns) {
  Names out, except;
  // A pattern takes what no name before it took.
  auto add = [&](const Names& names) {
    for (const std::string& n : names)
      if (!contains(except, n) && !contains(out, n)) out.push_back(n);
  };
  const bool several = !field.exact && (field.form == "columns" || field.form == "is_missing");
  for (const std::string& text : field.texts)
    if (Names names = several ? expanded(text, columns, field.loc) : Names{text}; names == Names{text})
      out.push_back(text);
    else
      add(names);
  if (!field.texts.empty()) return out;
  for (const std::string& e : field.except)
    for (const std::string& name : expanded(e, columns, field.loc)) {
      if (!contains(columns, name))
        throw CompileError(field.loc, fmt::format("the table has no column '{}' to leave out", name));
      except.push_back(name);
    }
  add(columns);
  return out;
}

std::shared_ptr<const runtime::CsvTable> read_table(const SourceRequest& r, SourceData& to) {
  auto table = std::make_shared<runtime::CsvTable>(runtime::read_csv(r.find(r.spec.paths[0], r.spec.loc)));
  to.file = table->name();
  if (!r.predicting) drop_rows(*table, r, to);
  to.data.rows = table->rows();
  return table;
}

void read_table_field(const runtime::CsvTable& table, const FieldSpec& f, DType t, SourceData& to) {
  to.columns[f.name] = field_columns(f, table.columns());
  if (f.form == "label" || f.form == "category")
    read_names(table, f, to);
  else if (f.form == "letters")
    read_letters(table, f, to);
  else if (f.form == "length")
    read_lengths(table, f, t, to);
  else if (f.form == "is_missing")
    read_indicator(table, f, t, to);
  else
    read_numbers(table, f, t, to);
}

std::string listed_file(const runtime::CsvTable& table, int64_t row, int column) {
  namespace fs = std::filesystem;
  const std::string name = table.cell(row, column);
  const fs::path path(name);
  if (name.empty() || path.is_absolute() || std::find(path.begin(), path.end(), "..") != path.end())
    throw runtime::Error(runtime::Failure::Data, table.where(row, column) + ": '" + name +
                                                     "' is no file below the folder of the table");
  const fs::path folder = table.name() == kStandardInput ? "" : fs::path(table.name()).parent_path();
  return (folder / path).string();
}

std::function<std::string(const std::string&, int64_t)> table_places(
    std::shared_ptr<const runtime::CsvTable> table, const SourceData& read) {
  std::map<std::string, int64_t> widths;
  for (const auto& [name, a] : read.data.fields)
    widths[name] = std::max<int64_t>(1, a.count() / std::max<int64_t>(1, read.data.rows));
  return [table = std::move(table), columns = read.columns, widths](const std::string& field,
                                                                    int64_t element) {
    // The samples of a recording, the letters of a word: several numbers that one cell names.
    const Names& names = columns.at(field);
    const int64_t width = widths.at(field), row = element / width;
    const int column = table->require(names[names.size() == 1 ? 0 : static_cast<size_t>(element % width)]);
    return fmt::format("{}: {} = {}", table->where(row, column), field, table->cell(row, column));
  };
}

}  // namespace gradc
