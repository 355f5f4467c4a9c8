// Where the elements of a tensor with a layout lie at given extents: the compiler's Layout::address as plain
// loops, and the one loop that packs and unpacks. Callers and files hold logical tensors, row-major; what
// entries work on is packed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/program.h"

namespace gradc::runtime {

class Packing {
 public:
  // The extents are those of the logical axes, each at least 0.
  Packing(const Layout& layout, std::vector<int64_t> shape, int64_t element_bytes);

  int64_t packed_bytes() const { return packed_bytes_; }  // padding included
  // From the logical tensor; padding becomes 0.
  void pack(const std::byte* logical, std::byte* packed) const;
  // The same where row i of axis 0 is row rows[i] of `logical`, which has others too; `apart` bytes lie
  // between the starts of neighbours, those of a row where it is 0.
  void pack_rows(const std::byte* logical, std::span<const int64_t> rows, std::byte* packed,
                 int64_t apart = 0) const;
  void unpack(const std::byte* packed, std::byte* logical) const;

 private:
  void clear_padding(std::byte* packed) const;
  // Calls f(logical, packed, bytes) for every run of bytes that lies side by side in both tensors: those of
  // the axes from `axis` on, where the axes before them add up to `logical` and `packed`.
  template <class F>
  void runs(size_t axis, int64_t logical, int64_t packed, const F& f) const;
  int64_t place(size_t axis, int64_t i) const {
    return axis >= dense_ ? i * step_[axis] : places_[axis][static_cast<size_t>(i)];
  }

  std::vector<int64_t> shape_;
  std::vector<int64_t> step_;                 // bytes between neighbours of an axis in the logical tensor
  std::vector<std::vector<int64_t>> places_;  // bytes that an index of an axis adds to the place
  std::vector<int64_t> stretches_;            // elements of the last axis that lie side by side, in pieces
  size_t dense_ = 0;                          // from this axis on both tensors are alike
  int64_t element_bytes_, logical_bytes_, packed_bytes_ = 0;
};

}  // namespace gradc::runtime
