// Fields of tables, for the sources that are one or are described by one.
#pragma once

#include <memory>

#include "driver/sources/source.h"
#include "runtime/csv.h"
#include "runtime/vocabulary.h"

namespace gradc {

SourceData table_data(std::shared_ptr<const runtime::CsvTable> table);
// column, columns and label.
void read_table_field(const runtime::CsvTable& table, const frontend::FieldSpec& f, DType t, SourceData& to);
std::function<std::string(const std::string&, int64_t)> table_places(
    std::shared_ptr<const runtime::CsvTable> table, std::map<std::string, std::vector<std::string>> columns);

}  // namespace gradc
