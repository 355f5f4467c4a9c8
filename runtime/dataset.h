// Fields of equal length in memory, and the splits that name their rows.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/array.h"
#include "runtime/token_bins.h"

namespace gradc::runtime {

// A field that is a window of Dataset::sequence: of row r the elements from r + offset on. Windows overlap in
// memory, so that a text lies there once.
struct Window {
  int64_t offset = 0, length = 0;
};

struct Dataset {
  std::map<std::string, Array> fields;
  Array sequence;                         // one axis
  std::shared_ptr<const TokenBins> bins;  // stands for the sequence where it lies in mapped files
  int64_t sequence_length() const { return bins ? bins->count() : sequence.count(); }
  std::map<std::string, Window> windows;
  int64_t rows = 0;
};

// One random change of a picture.
struct PictureChange {
  enum class Kind {
    Shift,  // by up to `most` pixels, down or up and right or left
    Flip    // left and right, of every second picture
  } kind = Kind::Shift;
  int64_t most = 0;
};

// Where a program leaves the first axis of examples open, rows of about one length share batches, and the
// axis is as long in them as their bucket.
struct Buckets {
  std::vector<int64_t> extents;  // ascending; none where no axis is open
  std::vector<uint32_t> number;  // by row of the data: which of them; none where there is but one
  size_t of(int64_t row) const { return number.empty() ? 0 : number[static_cast<size_t>(row)]; }
};

struct Split {
  const Dataset* data = nullptr;  // null: there is no such split
  std::vector<int64_t> rows;
  // By field, each at least of rank 3 with its rows; made in training steps alone (augment.h).
  std::map<std::string, std::vector<PictureChange>> changes = {};
  bool in_order = false;  // what follows what matters: no epoch shuffles the rows
  Buckets buckets = {};
  explicit operator bool() const { return data != nullptr; }
};

struct Splits {
  Split train, val, test;
};

}  // namespace gradc::runtime
