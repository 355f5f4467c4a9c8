#include <algorithm>
#include <memory>

#include "driver/element_type.h"
#include "driver/sources/source.h"
#include "driver/sources/table_fields.h"
#include "support/diagnostic.h"

namespace gradc {

using frontend::FieldSpec;

std::vector<std::string> field_columns(const FieldSpec& field, const std::vector<std::string>& columns) {
  if (!field.texts.empty()) return field.texts;
  std::vector<std::string> out;
  for (const std::string& e : field.except)
    if (std::find(columns.begin(), columns.end(), e) == columns.end())
      throw CompileError(field.loc, fmt::format("the table has no column '{}' to leave out", e));
  for (const std::string& c : columns)
    if (std::find(field.except.begin(), field.except.end(), c) == field.except.end()) out.push_back(c);
  return out;
}

SourceData table_data(std::shared_ptr<const runtime::CsvTable> table) {
  SourceData out;
  out.file = table->name();
  out.data.rows = table->rows();
  return out;
}

void read_table_field(const runtime::CsvTable& table, const FieldSpec& f, DType t, SourceData& to) {
  const std::vector<std::string> names = field_columns(f, table.columns());
  to.columns[f.name] = names;
  if (f.form == "label") {
    const int column = table.require(names[0]);
    std::vector<std::string> texts;
    for (int64_t r = 0; r < table.rows(); ++r) texts.push_back(table.cell(r, column));
    runtime::Coded coded = runtime::number_names(texts);
    to.names[f.name] = std::move(coded.names);
    to.data.fields.emplace(f.name, std::move(coded.ids));
    return;
  }
  to.data.fields.emplace(f.name, f.form == "column" ? table.column(names[0], runtime_type(t))
                                                    : table.columns(names, runtime_type(t)));
}

std::function<std::string(const std::string&, int64_t)> table_places(
    std::shared_ptr<const runtime::CsvTable> table, std::map<std::string, std::vector<std::string>> columns) {
  return [table = std::move(table), columns = std::move(columns)](const std::string& field, int64_t element) {
    const std::vector<std::string>& names = columns.at(field);
    const auto width = static_cast<int64_t>(names.size());
    const int column = table->require(names[static_cast<size_t>(element % width)]);
    return fmt::format("{}: {} = {}", table->where(element / width, column), field,
                       table->cell(element / width, column));
  };
}

namespace {

SourceData read(const SourceRequest& r) {
  const auto table =
      std::make_shared<const runtime::CsvTable>(runtime::read_csv(r.find(r.spec.paths[0], r.spec.loc)));
  SourceData out = table_data(table);
  for (const FieldSpec& f : r.spec.fields) read_table_field(*table, f, r.type_of(f), out);
  out.place = table_places(table, out.columns);
  return out;
}

std::optional<Type> type(const SourceRequest& r, const FieldSpec& f) {
  const auto names = field_columns(f, runtime::read_csv(r.find(r.spec.paths[0], f.loc)).columns());
  return Type{f.dtype, {Dim(static_cast<int64_t>(names.size()))}};
}

}  // namespace

std::span<const SourceReader> table_sources() {
  static constexpr SourceReader rows[] = {{"csv", read, type}};
  return rows;
}

}  // namespace gradc
