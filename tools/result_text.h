// Rows of results as predict writes them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/array.h"

namespace gradc {

struct ResultColumn {
  std::string name;
  std::vector<int64_t> shape;                         // of one row
  const std::vector<std::string>* classes = nullptr;  // what its numbers stand for; null: numbers
};

class ResultText {
 public:
  enum class Format { Csv, JsonLines, Npy };
  // Npy takes one column. Where rows have names, Csv and JsonLines begin each with its own, as `file`, unless
  // a result is called so.
  ResultText(Format format, std::vector<ResultColumn> columns, std::vector<std::string> row_names = {});
  void add(const std::vector<runtime::Array>& batch, int64_t rows);  // an array for each column
  std::string finish();

 private:
  std::string csv_row(const std::vector<runtime::Array>& batch, int64_t row) const;
  std::string json_row(const std::vector<runtime::Array>& batch, int64_t row) const;

  Format format_;
  std::vector<ResultColumn> columns_;
  std::vector<std::string> row_names_;
  std::string text_;
  int64_t rows_ = 0;
  runtime::DType dtype_ = runtime::DType::F32;  // of the column of an npy file
};

}  // namespace gradc
