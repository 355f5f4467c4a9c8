// Carries out a data block: opens the files, checks the fields against the model's inputs, cuts the splits.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "driver/sources/source.h"
#include "frontend/frontend.h"
#include "runtime/dataset.h"
#include "support/source.h"

namespace gradc {

// Where data files are looked for: beside the model file, then below one root.
struct DataPlaces {
  std::string model_folder;
  std::string root;  // --data; "" takes GRADC_DATA, else ../shared/data
};

struct LoadedData {
  std::vector<std::unique_ptr<runtime::Dataset>> sources;
  runtime::Splits splits;
  // The columns that each field of a table took, for prediction and for the file's metadata.
  std::map<std::string, std::vector<std::string>> columns;
  // What the numbers of a field stand for, in order: characters, labels. Fitted on the training split.
  std::map<std::string, std::vector<std::string>> vocabulary;
  // By what missing cells of a field are filled, one number for each column. Fitted on the training split.
  std::map<std::string, std::vector<double>> fills;
  std::map<std::string, std::string> forms;       // of fields of a table, where columns do not tell it
  std::map<std::string, std::string> tokenizers;  // the text of the file, by field
  std::vector<std::string> remarks;               // what a person should know of it, one a line
};

// The folder below which data files are found: the given one, else GRADC_DATA, else ../shared/data.
std::string data_root(const std::string& given);
// Throws CompileError with the place in the model file or in the data file.
std::string find_data(const std::string& path, const DataPlaces& places, Loc loc, bool folder = false);
LoadedData load_data(const frontend::Unit& unit, const DataPlaces& places, const Sources& sources);
// For frontend::Options::example_type.
std::optional<Type> example_type(const frontend::SourceSpec& source, const frontend::FieldSpec& field,
                                 const DataPlaces& places);

}  // namespace gradc
