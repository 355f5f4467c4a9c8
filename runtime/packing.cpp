#include "runtime/packing.h"

#include <cstring>
#include <utility>

namespace gradc::runtime {
namespace {

// A physical axis is a digit of a logical axis's index: i / below, modulo `size` where it is a block.
struct Digit {
  size_t axis;
  int64_t below, size;
  int64_t of(int64_t i) const { return size > 0 ? i / below % size : i / below; }
  int64_t extent(int64_t n) const { return size > 0 ? size : (n + below - 1) / below; }
};

// Outermost first.
std::vector<Digit> digits_of(const Layout& l, size_t rank) {
  std::vector<int64_t> below(rank, 1);
  for (const Block& b : l.blocks) below[static_cast<size_t>(b.axis)] *= b.size;
  std::vector<Digit> digits;
  for (size_t i = 0; i < rank; ++i) {
    const size_t a = l.order.empty() ? i : static_cast<size_t>(l.order[i]);
    digits.push_back({a, below[a], 0});
  }
  for (const Block& b : l.blocks) {
    const auto a = static_cast<size_t>(b.axis);
    digits.push_back({a, below[a] /= b.size, b.size});
  }
  return digits;
}

}  // namespace

Packing::Packing(const Layout& layout, std::vector<int64_t> shape, int64_t element_bytes)
    : shape_(std::move(shape)),
      step_(shape_.size()),
      element_bytes_(element_bytes),
      logical_bytes_(element_bytes) {
  for (size_t a = shape_.size(); a-- > 0; logical_bytes_ *= shape_[a]) step_[a] = logical_bytes_;
  packed_bytes_ = logical_bytes_;
  if (layout.plain()) return;
  const std::vector<Digit> digits = digits_of(layout, shape_.size());
  places_.resize(shape_.size());
  for (size_t a = 0; a < shape_.size(); ++a) places_[a].resize(static_cast<size_t>(shape_[a]));
  packed_bytes_ = element_bytes;
  for (size_t d = digits.size(); d-- > 0;) {
    const Digit& g = digits[d];
    for (int64_t i = 0; i < shape_[g.axis]; ++i)
      places_[g.axis][static_cast<size_t>(i)] += g.of(i) * packed_bytes_;
    packed_bytes_ *= g.extent(shape_[g.axis]) + (layout.padding.empty() ? 0 : layout.padding[d]);
  }
  for (size_t i = 0; !places_.empty() && i < places_.back().size(); ++i)
    if (i > 0 && places_.back()[i] == places_.back()[i - 1] + element_bytes)
      ++stretches_.back();
    else
      stretches_.push_back(1);
  for (dense_ = shape_.size(); dense_ > 0; --dense_)
    for (int64_t i = 0; i < shape_[dense_ - 1]; ++i)
      if (places_[dense_ - 1][static_cast<size_t>(i)] != i * step_[dense_ - 1]) return;
}

template <class F>
void Packing::runs(size_t axis, int64_t logical, int64_t packed, const F& f) const {
  if (axis == dense_ || axis == shape_.size()) {
    const int64_t bytes = axis < shape_.size() ? step_[axis] * shape_[axis] : element_bytes_;
    if (bytes > 0) f(logical, packed, static_cast<size_t>(bytes));
    return;
  }
  if (axis + 1 == shape_.size()) {
    int64_t i = 0;
    for (int64_t n : stretches_) {
      f(logical + i * step_[axis], packed + place(axis, i), static_cast<size_t>(n * element_bytes_));
      i += n;
    }
    return;
  }
  for (int64_t i = 0; i < shape_[axis]; ++i)
    runs(axis + 1, logical + i * step_[axis], packed + place(axis, i), f);
}

void Packing::clear_padding(std::byte* packed) const {
  if (packed_bytes_ > logical_bytes_) std::memset(packed, 0, static_cast<size_t>(packed_bytes_));
}

void Packing::pack(const std::byte* logical, std::byte* packed) const {
  clear_padding(packed);
  runs(0, 0, 0,
       [&](int64_t from, int64_t to, size_t bytes) { std::memcpy(packed + to, logical + from, bytes); });
}

void Packing::pack_rows(const std::byte* logical, std::span<const int64_t> rows, std::byte* packed,
                        int64_t apart) const {
  const int64_t row = step_[0];
  if (apart == 0) apart = row;
  clear_padding(packed);
  if (row == 0) return;
  if (dense_ == 0) {
    for (size_t i = 0; i < rows.size(); ++i)
      std::memcpy(packed + static_cast<int64_t>(i) * row, logical + rows[i] * apart,
                  static_cast<size_t>(row));
    return;
  }
  for (size_t i = 0; i < rows.size(); ++i)
    runs(1, rows[i] * apart, place(0, static_cast<int64_t>(i)),
         [&](int64_t from, int64_t to, size_t bytes) { std::memcpy(packed + to, logical + from, bytes); });
}

void Packing::unpack(const std::byte* packed, std::byte* logical) const {
  runs(0, 0, 0,
       [&](int64_t to, int64_t from, size_t bytes) { std::memcpy(logical + to, packed + from, bytes); });
}

}  // namespace gradc::runtime
