// Rows of a result as tiles of one picture, which is written as PNG.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/array.h"

namespace gradc {

class PictureGrid {
 public:
  // `shape` of one row: [height, width], or [height, width, channels] of 1 (grey), 3 (red, green, blue) or 4
  // (and alpha). Throws runtime::Error for another.
  PictureGrid(const std::string& result, const std::vector<int64_t>& shape);
  // Floats are in 0..1 and whole numbers in 0..255; what is outside is cut to them, and NaN is 0.
  void add(const runtime::Array& batch, int64_t rows);
  int64_t cut() const { return cut_; }
  // The tiles in reading order, as many a row as rows, a line of grey between them. Throws runtime::Error
  // where there is no tile, or the picture is larger than any viewer shows.
  std::string png() const;

 private:
  std::string result_;
  int64_t height_, width_, channels_, tiles_ = 0, cut_ = 0;
  std::vector<uint8_t> samples_;  // [tiles, height, width, channels]
};

}  // namespace gradc
