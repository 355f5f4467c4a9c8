// What `gradc new` decides about a table, and why.
#pragma once

#include <string>
#include <vector>

#include "runtime/csv.h"

namespace gradc {

struct TablePlan {
  struct Category {
    std::string column, input;  // as the table and the model call it
    int64_t kinds = 0;          // in the whole table
    bool missing = false;       // some cells are
  };
  enum class Target {
    Numbers,  // classes 0, 1, ... as they stand
    Names,    // classes by their names
    Amount,   // a number to be predicted
  } target = Target::Amount;
  std::string target_column;
  int64_t classes = 0;
  double center = 0, scale = 1;      // of an amount
  bool target_missing = false;       // rows without one are left out
  std::vector<std::string> numbers;  // columns
  std::vector<std::string> gaps;     // those of them with missing cells
  std::vector<Category> categories;
  int64_t rows = 0;                  // with a target
  bool val = true;                   // a split of its own that says which weights are kept
  int64_t seed = 0;                  // of the shuffle
  std::vector<std::string> remarks;  // one a line
};

// Throws runtime::Error where there is nothing to learn, or to learn from.
TablePlan plan_table(const runtime::CsvTable& table, const std::string& target);
// Whether a text can stand within quotes in a model file.
bool can_be_written(const std::string& text);
// A name of the language for a column, which none of `taken` is.
std::string identifier(const std::string& name, const std::vector<std::string>& taken);

}  // namespace gradc
