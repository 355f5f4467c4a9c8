#include "tools/result_text.h"

#include <fmt/format.h>

#include <cmath>
#include <functional>
#include <numeric>

#include "runtime/json.h"
#include "runtime/npy.h"

namespace gradc {
namespace {

using runtime::Array;
using runtime::DType;

constexpr const char* kRowName = "file";

int64_t width_of(const ResultColumn& c) {
  return std::accumulate(c.shape.begin(), c.shape.end(), int64_t{1}, std::multiplies<>());
}

std::string number_text(const Array& v, int64_t i) {
  // From 10^9 on the shortest text would show digits before the point that the f32 does not have.
  if (v.dtype == DType::F32 && std::abs(v.at(i)) >= 1e9) return fmt::format("{:.9g}", v.at(i));
  if (v.dtype == DType::F32) return fmt::format("{}", static_cast<float>(v.at(i)));
  if (v.dtype == DType::F64) return fmt::format("{}", v.at(i));
  return fmt::format("{}", v.whole_at(i));
}

// Null where the number has no name: a model may tell apart more classes than training had.
const std::string* name_at(const ResultColumn& c, const Array& v, int64_t i) {
  if (c.classes == nullptr) return nullptr;
  const int64_t n = v.whole_at(i);
  return n >= 0 && n < static_cast<int64_t>(c.classes->size()) ? &(*c.classes)[static_cast<size_t>(n)]
                                                               : nullptr;
}

std::string csv_text(const std::string& name) {
  if (name.find_first_of(",\"\r\n") == name.npos) return name;
  std::string out = "\"";
  for (char x : name) out += x == '"' ? std::string("\"\"") : std::string(1, x);
  return out + "\"";
}

// JSON has no word for NaN and the infinities.
std::string json_text(const ResultColumn& c, const Array& v, int64_t i) {
  if (const std::string* name = name_at(c, v, i)) return runtime::quote_json(*name);
  if (v.dtype == DType::Bool) return v.whole_at(i) != 0 ? "true" : "false";
  const bool real = v.dtype == DType::F32 || v.dtype == DType::F64;
  return real && !std::isfinite(v.at(i)) ? "null" : number_text(v, i);
}

// The elements from `at` on, as lists within lists.
std::string json_lists(const ResultColumn& c, const Array& v, size_t axis, int64_t& at) {
  if (axis == c.shape.size()) return json_text(c, v, at++);
  std::string out = "[";
  for (int64_t k = 0; k < c.shape[axis]; ++k) out += (k == 0 ? "" : ", ") + json_lists(c, v, axis + 1, at);
  return out + "]";
}

}  // namespace

ResultText::ResultText(Format format, std::vector<ResultColumn> columns, std::vector<std::string> row_names)
    : format_(format), columns_(std::move(columns)), row_names_(std::move(row_names)) {
  for (const ResultColumn& c : columns_)
    if (c.name == kRowName) row_names_.clear();
  if (format_ != Format::Csv) return;
  std::string head = row_names_.empty() ? "" : kRowName;
  for (const ResultColumn& c : columns_)
    for (int64_t i = 0; i < width_of(c); ++i)
      head += (head.empty() ? "" : ",") + c.name + (c.shape.empty() ? "" : "." + std::to_string(i));
  text_ = head + "\n";
}

void ResultText::add(const std::vector<Array>& batch, int64_t rows) {
  if (format_ == Format::Npy) {
    rows_ += rows;
    dtype_ = batch[0].dtype;
    text_.append(reinterpret_cast<const char*>(batch[0].bytes.data()), batch[0].bytes.size());
    return;
  }
  for (int64_t i = 0; i < rows; ++i, ++rows_)
    text_ += (format_ == Format::Csv ? csv_row(batch, i) : json_row(batch, i)) + "\n";
}

std::string ResultText::csv_row(const std::vector<Array>& batch, int64_t row) const {
  const bool named = !row_names_.empty();
  std::string line = named ? csv_text(row_names_[static_cast<size_t>(rows_)]) : "";
  for (size_t r = 0; r < batch.size(); ++r) {
    const int64_t width = width_of(columns_[r]);
    for (int64_t i = row * width; i < (row + 1) * width; ++i) {
      const std::string* name = name_at(columns_[r], batch[r], i);
      line += (!named && r == 0 && i == row * width ? "" : ",") +
              (name ? csv_text(*name) : number_text(batch[r], i));
    }
  }
  return line;
}

std::string ResultText::json_row(const std::vector<Array>& batch, int64_t row) const {
  const bool named = !row_names_.empty();
  std::string line =
      named ? fmt::format("\"{}\": {}", kRowName, runtime::quote_json(row_names_[static_cast<size_t>(rows_)]))
            : "";
  for (size_t r = 0; r < batch.size(); ++r) {
    int64_t at = row * width_of(columns_[r]);
    line += (line.empty() ? "" : ", ") + runtime::quote_json(columns_[r].name) + ": " +
            json_lists(columns_[r], batch[r], 0, at);
  }
  return "{" + line + "}";
}

std::string ResultText::finish() {
  if (format_ != Format::Npy) return std::move(text_);
  std::vector<int64_t> shape = columns_[0].shape;
  shape.insert(shape.begin(), rows_);
  return runtime::npy_head(dtype_, shape) + text_;
}

}  // namespace gradc
