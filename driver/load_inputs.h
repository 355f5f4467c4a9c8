// The inputs of a model from files that hold no labels: read as the source of the training split is.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "frontend/frontend.h"
#include "runtime/dataset.h"
#include "support/source.h"

namespace gradc {

// What weights say of the data that they were fitted to.
struct FittedFields {
  std::map<std::string, std::vector<std::string>> columns;     // of tables, by field
  std::map<std::string, std::vector<std::string>> vocabulary;  // what numbers stand for, by field
  std::map<std::string, std::vector<double>> fills;            // of missing cells, by field
  std::map<std::string, std::string> forms;                    // is_missing, category
  std::map<std::string, std::string> tokenizers;               // of tokens, by field
};

struct LoadedInputs {
  runtime::Dataset data;
  runtime::Buckets buckets;
  std::vector<int64_t> rows;           // of a text: where its windows start
  std::vector<std::string> row_names;  // of rows that are files
  std::vector<std::string> remarks;
};

// `files`: for sources that take a file for each field, of the form FIELD=FILE, or FILE where there is one
// input; else what stands in place of the source's paths.
LoadedInputs load_inputs(const frontend::Unit& unit, const std::vector<std::string>& files,
                         const FittedFields& fitted, const Sources& sources);

// The source that the training split is cut from; null without a data block.
const frontend::SourceSpec* training_source(const frontend::Unit& unit);

// The names of the classes that result number i of @predict tells apart: it is argmax over as many classes as
// the loss looks up by one field of labels. Null where its numbers are but numbers.
const std::vector<std::string>* class_names(const frontend::Unit& unit, size_t i, const FittedFields& fitted);

}  // namespace gradc
