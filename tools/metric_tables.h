// Metrics that are tables, as a person reads them.
#pragma once

#include <string>
#include <vector>

#include "driver/load_data.h"
#include "runtime/program.h"

namespace gradc {

// The tables among the values of a split, below each other: rows and columns carry the names of classes where
// a field that the table is computed from has as many, else numbers.
std::string tables_text(const runtime::Program& p, const LoadedData& data, const std::vector<double>& values);

}  // namespace gradc
