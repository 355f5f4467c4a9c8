// Fields of tables, for the sources that are one or are described by one.
#pragma once

#include <memory>

#include "driver/sources/source.h"
#include "runtime/csv.h"
#include "runtime/vocabulary.h"

namespace gradc {

// The table of a source without the rows that missing=drop leaves out, which are counted in `to`.
std::shared_ptr<const runtime::CsvTable> read_table(const SourceRequest& r, SourceData& to);
// column, columns, is_missing, label, category, letters and their length.
void read_table_field(const runtime::CsvTable& table, const frontend::FieldSpec& f, DType t, SourceData& to);
// The path of the file that a cell names, of the table's folder or below it: a table may name no others.
std::string listed_file(const runtime::CsvTable& table, int64_t row, int column);
// For SourceData::place, once all fields are read.
std::function<std::string(const std::string&, int64_t)> table_places(
    std::shared_ptr<const runtime::CsvTable> table, const SourceData& read);

}  // namespace gradc
