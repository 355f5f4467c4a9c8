// What missing cells of tables are filled by.
#pragma once

#include <string>
#include <vector>

#include "driver/sources/source.h"
#include "runtime/dataset.h"

namespace gradc {

// The mean or median of each column of a field over these rows, without the elements in `missing`, which is
// sorted. Throws CompileError where a column has nothing in them.
std::vector<double> fitted_fills(const frontend::FieldSpec& f, const std::vector<std::string>& columns,
                                 const runtime::Array& values, const std::vector<int64_t>& rows,
                                 const std::vector<int64_t>& missing);
// Fills the elements in `missing`.
void fill_missing(runtime::Array& values, const std::vector<int64_t>& missing,
                  const std::vector<double>& fills);

}  // namespace gradc
