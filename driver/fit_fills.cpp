#include "driver/fit_fills.h"

#include <algorithm>

#include "support/diagnostic.h"

namespace gradc {
namespace {

double mean(const std::vector<double>& v) {
  double sum = 0;
  for (double x : v) sum += x;
  return sum / static_cast<double>(v.size());
}

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  const size_t half = v.size() / 2;
  return v.size() % 2 == 1 ? v[half] : v[half - 1] + (v[half] - v[half - 1]) / 2;
}

}  // namespace

std::vector<double> fitted_fills(const frontend::FieldSpec& f, const std::vector<std::string>& columns,
                                 const runtime::Array& values, const std::vector<int64_t>& rows,
                                 const std::vector<int64_t>& missing) {
  const auto width = static_cast<int64_t>(columns.size());
  std::vector<double> out;
  for (int64_t c = 0; c < width; ++c) {
    std::vector<double> there;
    for (int64_t r : rows)
      if (!std::binary_search(missing.begin(), missing.end(), r * width + c))
        there.push_back(values.at(r * width + c));
    if (there.empty())
      throw CompileError(f.loc, fmt::format("no row of the training split has a number in column '{}'; fill "
                                            "missing cells by one, missing=0, or leave the column out",
                                            columns[static_cast<size_t>(c)]));
    out.push_back(f.missing.policy == frontend::MissingCells::Policy::Mean ? mean(there)
                                                                           : median(std::move(there)));
  }
  return out;
}

void fill_missing(runtime::Array& values, const std::vector<int64_t>& missing,
                  const std::vector<double>& fills) {
  for (int64_t i : missing) values.set(i, fills[static_cast<size_t>(i) % fills.size()]);
}

}  // namespace gradc
