// Comma, semicolon or tab separated tables with a header line.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/array.h"
#include "runtime/cell.h"

namespace gradc::runtime {

// The text of a file and where its cells are. Messages name file, line and column.
class CsvTable {
 public:
  CsvTable(std::string name, std::string text);

  const std::string& name() const { return name_; }
  const std::vector<std::string>& columns() const { return columns_; }
  int64_t rows() const { return static_cast<int64_t>(lines_.size()); }
  std::string cell(int64_t row, int column) const;   // without quotes
  std::string where(int64_t row, int column) const;  // file:line:column
  bool is_missing(int64_t row, int column) const;
  int index_of(const std::string& column) const;  // -1 when there is none
  int require(const std::string& column) const;   // throws Error that lists the columns

  // Leaves out the rows that say false.
  void keep(const std::vector<bool>& rows);

  struct Columns {
    Array values;                  // [rows, names]; 0 where a cell is missing
    std::vector<int64_t> missing;  // flat places in values
  };
  // Numbers, truth values in words, ISO dates; a column holds one of these. A missing cell is refused, or
  // where it may be, listed.
  Columns read(const std::vector<std::string>& names, DType t, bool may_miss) const;
  Array column(const std::string& name, DType t) const;                 // [rows]
  Array columns(const std::vector<std::string>& names, DType t) const;  // [rows, names]

 private:
  struct Cell {
    uint32_t begin = 0, size = 0;
    bool quoted = false;
  };
  void parse();
  void read_header(const std::vector<Cell>& cells, uint32_t line);
  void read_line(size_t& at, uint32_t line, std::vector<Cell>& cells);
  void read_quoted(size_t& at, uint32_t line) const;
  std::string_view raw(int64_t row, int column) const;
  [[noreturn]] void complain(int64_t row, int column, const std::string& what) const;
  double number(int64_t row, int column, DType t, const CellValue& cell) const;
  void put(int64_t row, int column, const CellValue& cell, Array& into, int64_t at) const;

  std::string name_, text_;
  char separator_ = ',';
  bool no_header_ = false;
  size_t line_begin_ = 0;  // of the record that is being read
  std::vector<std::string> columns_;
  std::map<std::string, int> places_;  // of the columns
  std::vector<Cell> cells_;
  std::vector<uint32_t> lines_;  // of each row, from 1
};

CsvTable read_csv(const std::string& path);  // at most 4 GB

struct ColumnSummary {
  std::string name, type;                            // integer, real, flag, date, text
  int64_t missing = 0, distinct = 0;                 // distinct counts to 1001
  double min = 0, max = 0, mean = 0;                 // of numbers
  std::vector<std::pair<std::string, int64_t>> top;  // the most frequent values, at most 10
};
std::vector<ColumnSummary> summarize(const CsvTable& table);

}  // namespace gradc::runtime
