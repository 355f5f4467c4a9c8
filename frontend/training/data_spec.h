// What a `data` block says, as plain data: where fields come from and how splits are cut. No file is opened
// here; the driver carries it out with the runtime's readers.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ir/type.h"
#include "support/source.h"

namespace gradc::frontend {

// What becomes of missing cells of a table: `missing=drop`, `missing=mean`, `missing=0`, `missing="none"`.
struct MissingCells {
  enum class Policy {
    Refuse,
    Drop,  // the row
    Mean,
    Median,   // of the column in the training split
    Fill,     // by a number: one, or one for each column
    Name,     // by a category
    Unknown,  // by the number of unknown categories
  } policy = Policy::Refuse;
  std::vector<double> fills;
  std::string name;
  bool fitted() const { return policy == Policy::Mean || policy == Policy::Median; }
};

// How pictures of another size than the model's input come to it.
enum class PictureFit {
  Exact,    // they are refused
  Stretch,  // each axis is scaled
  Crop,     // both are scaled alike, and what stands over is cut off: fit=crop
};

// One field of a source: `x = columns(except="digit")`, `y = column("digit", i32)`, `x = "images.gz"`.
struct FieldSpec {
  std::string name;
  std::string form;  // column, columns, is_missing, label, category, letters, audio, length, image; or ""
  std::vector<std::string> texts;   // the form's columns; the file or member of a field without a form
  std::vector<std::string> except;  // columns: all but these
  MissingCells missing;
  bool exact = false;                      // texts are columns, and no patterns of them
  bool unknown = false;                    // a category that no training example has is number 0
  std::map<std::string, int64_t> numbers;  // the form's settings: length = 8000
  double low = 0, high = 1;                // drawn numbers
  PictureFit fit = PictureFit::Exact;      // of an image
  DType dtype = DType::F32;                // what an input of the model does not decide
  std::optional<Type> type;                // of one example, where no file has to be asked
  Loc loc;
};

struct SourceSpec {
  std::string kind;                // the name of its row in source_kinds.cpp
  std::vector<std::string> paths;  // of the whole source
  std::vector<FieldSpec> fields;   // of a text: made by its windows
  int64_t rows = 0, seed = 0;      // of drawn points
  std::string tokenizer;           // of tokens: the file that says what they stand for
  Loc tokenizer_loc;
  int token_bytes = 0;  // of token_bins: u16 is 2, u32 is 4, 0 where nothing is said
  Loc loc;
};

// One of the changes of `augment(x = [random_shift(2), random_flip()])`.
struct PictureChangeSpec {
  std::string form;  // random_shift, random_crop, random_flip
  int64_t most = 0;  // pixels, where the form says some
  Loc loc;
};

// One step of the chain from sources to splits, over numbered datasets.
struct DataOp {
  enum class Kind { Source, Only, Shuffle, Split, Windows, Augment, Buckets } kind = Kind::Source;
  int input = -1;     // dataset that the others read
  int source = -1;    // index into sources
  std::string field;  // only: the rows whose field is one of these; buckets: the lengths, and where each ends
  std::vector<int64_t> values;
  int64_t seed = 0;                // shuffle
  std::vector<double> parts;       // split: fractions (percent / 100) or counts
  bool fractions = true;           // split
  int64_t length = 0, stride = 0;  // windows
  std::map<std::string, std::vector<PictureChangeSpec>> changes;  // augment: by field
  std::vector<int> outputs;                                       // numbers of the datasets it makes
  Loc loc;
};

struct DataSpec {
  std::string name;
  std::vector<SourceSpec> sources;
  std::vector<DataOp> ops;  // in order
  int datasets = 0;
  int train = -1, val = -1, test = -1;  // dataset numbers
  Loc loc;
};

}  // namespace gradc::frontend
