// What a reader of one kind of data source is given and gives. A kind is a file in this folder, its line in
// table.cpp, and the row that says how it is written in frontend/training/source_kinds.cpp.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "frontend/training/data_spec.h"
#include "runtime/dataset.h"

namespace gradc {

// What predict calls "-". Tables that come from it list files of the current folder.
constexpr const char* kStandardInput = "/dev/stdin";

struct SourceRequest {
  const frontend::SourceSpec& spec;
  std::function<std::string(const std::string&path, Loc loc)> find, find_folder;
  // The type of the model's input of that name, its first axis the batch; nothing when it is no input.
  std::function<std::optional<Type>(const std::string& field)> input;
  const std::string* tokenizer = nullptr;  // of the weights, in place of the source's file
  bool predicting = false;                 // every row has a result, so none may be left out

  std::optional<DType> input_type(const std::string& field) const {
    const std::optional<Type> t = input(field);
    return t ? std::optional(t->dtype) : std::nullopt;
  }
  DType type_of(const frontend::FieldSpec& f) const { return input_type(f.name).value_or(f.dtype); }
};

struct SourceData {
  runtime::Dataset data;
  std::string file;                                         // for messages
  std::map<std::string, std::string> files;                 // of fields that have their own
  std::map<std::string, std::vector<std::string>> columns;  // that fields of a table took
  // Fields, "" for the sequence, whose numbers stand for names until the vocabulary is known.
  std::map<std::string, std::vector<std::string>> names;
  // Elements of fields that wait for the mean or median of their column in the training split.
  std::map<std::string, std::vector<int64_t>> missing;
  std::set<std::string> unknown;       // fields in whose vocabulary the first entry, "", is every other name
  std::set<std::string> padded;        // fields in whose vocabulary the first entry, "", is no letter
  std::vector<std::string> remarks;    // what a person should know of the file
  std::vector<std::string> row_names;  // of rows that are files
  bool raw_bytes = false;              // the sequence is bytes, a vocabulary of its own
  std::string tokenizer;               // what says what the sequence's tokens stand for: the text of its file
  int64_t tokens = 0;                  // that it knows
  // Where an element of a field is, or of the sequence, and how it is written there.
  std::function<std::string(const std::string& field, int64_t element)> place;

  const std::string& file_of(const std::string& field) const {
    const auto it = files.find(field);
    return it == files.end() ? file : it->second;
  }
};

// A kind's reader. Both throw runtime::Error for what is wrong with a file.
struct SourceReader {
  std::string_view kind;
  SourceData (*read)(const SourceRequest&);
  // The type of one example, for fields whose FieldSpec does not say it.
  std::optional<Type> (*type)(const SourceRequest&, const frontend::FieldSpec&);
};

const SourceReader& source_reader(std::string_view kind);

// Whether a source of recordings takes nothing but the files of one column, and these are such: no table has
// to list them where they are predicted.
bool are_recordings(const frontend::SourceSpec& spec, const std::vector<std::string>& files);

// The kinds, in the order of the files.
std::span<const SourceReader> table_sources();    // csv.cpp
std::span<const SourceReader> array_sources();    // arrays.cpp: idx, npy, npz, safetensors
std::span<const SourceReader> cifar_sources();    // cifar.cpp
std::span<const SourceReader> picture_sources();  // pictures.cpp: image_folder, image_table
std::span<const SourceReader> text_sources();     // text.cpp
std::span<const SourceReader> sound_sources();    // wav.cpp
std::span<const SourceReader> drawn_sources();    // points.cpp

// The columns of a field in a table with these columns: names, and patterns `p*` and `p00..p63`.
std::vector<std::string> field_columns(const frontend::FieldSpec& field,
                                       const std::vector<std::string>& columns);

}  // namespace gradc
