// What a `data` block says, as plain data: where fields come from and how splits are cut. No file is opened
// here; the driver carries it out with the runtime's readers.
#pragma once

#include <string>
#include <vector>

#include "ir/dtype.h"
#include "support/source.h"

namespace gradc::frontend {

// One field of a source: `x = columns(except="digit")`, `y = column("digit", i32)`, `x = "images.gz"`.
struct FieldSpec {
  std::string name;
  std::vector<std::string> columns;  // csv: by name; empty with `all_except` set
  std::vector<std::string> except;   // csv: all columns but these
  bool all_columns = false;          // csv: columns() or columns(except=...)
  bool scalar = false;               // csv: column(...): shape [B], not [B, 1]
  DType dtype = DType::F32;
  std::string path;  // idx
  Loc loc;
};

struct SourceSpec {
  enum class Kind { Csv, Idx } kind = Kind::Csv;
  std::string path;  // csv
  std::vector<FieldSpec> fields;
  Loc loc;
};

// One step of the chain from sources to splits, over numbered datasets.
struct DataOp {
  enum class Kind { Source, Shuffle, Split } kind = Kind::Source;
  int input = -1;             // dataset that a shuffle or split reads
  int source = -1;            // index into sources
  int64_t seed = 0;           // shuffle
  std::vector<double> parts;  // split: fractions (percent / 100) or counts
  bool fractions = true;      // split
  std::vector<int> outputs;   // numbers of the datasets it makes
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
