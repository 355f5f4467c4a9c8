// A tensor on the host: what the readers of data files return and what checkpoints are made of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/program.h"

namespace gradc::runtime {

// Row-major, in the machine's byte order. Bool is one byte, 0 or 1.
struct Array {
  DType dtype = DType::F32;
  std::vector<int64_t> shape;
  std::vector<std::byte> bytes;

  int64_t count() const;      // elements; 1 for a scalar
  int64_t row_bytes() const;  // bytes of one element of axis 0; all of them for a scalar
  double at(int64_t flat) const;
  int64_t whole_at(int64_t flat) const;                           // of an integer dtype, every bit
  void set_whole(int64_t flat, int64_t v);                        // of an integer dtype; v must fit
  void set(int64_t flat, double v);                               // as a cast to the dtype does; v must fit
  void set_bytes(int64_t flat, std::span<const uint8_t> values);  // numbers 0..255 from there on
};

bool holds(DType dtype, int64_t v);  // an integer dtype, or bool: whether v is one of its numbers

// Zeroed. Throws Error when a dimension is negative, or the size overflows or is above 64 GB.
Array make_array(DType dtype, std::vector<int64_t> shape);

}  // namespace gradc::runtime
