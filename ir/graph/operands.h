// The operands of a node. A graph has many nodes and almost all of them read few others: up to four lie in
// the node itself, without an allocation.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace gradc::graph {

using NodeId = uint32_t;
inline constexpr NodeId kNone = ~0u;

class Operands {
 public:
  Operands() = default;
  Operands(std::span<const NodeId> list) : size_(static_cast<uint32_t>(list.size())) {  // NOLINT: the same
    if (size_ > near_.size()) far_ = std::make_unique<NodeId[]>(size_);
    std::copy(list.begin(), list.end(), data());
  }
  Operands(const std::vector<NodeId>& list) : Operands(std::span(list)) {}  // NOLINT: the same
  Operands(std::initializer_list<NodeId> list) : Operands(std::span(list.begin(), list.size())) {}
  Operands(const Operands& o) : Operands(std::span<const NodeId>(o)) {}
  Operands(Operands&& o) noexcept
      : near_(o.near_), far_(std::move(o.far_)), size_(std::exchange(o.size_, 0)) {}
  Operands& operator=(const Operands& o) { return *this = Operands(o); }
  Operands& operator=(Operands&& o) noexcept {
    near_ = o.near_;
    far_ = std::move(o.far_);
    size_ = std::exchange(o.size_, 0);
    return *this;
  }
  ~Operands() = default;

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  const NodeId* begin() const { return far_ ? far_.get() : near_.data(); }
  const NodeId* end() const { return begin() + size_; }
  auto rbegin() const { return std::reverse_iterator(end()); }
  auto rend() const { return std::reverse_iterator(begin()); }
  NodeId operator[](size_t i) const { return begin()[i]; }
  NodeId front() const { return *begin(); }
  NodeId back() const { return end()[-1]; }
  operator std::span<const NodeId>() const { return {begin(), size_}; }  // NOLINT: the same
  std::vector<NodeId> list() const { return {begin(), end()}; }
  // What stands for them in a copy.
  Operands through(std::span<const NodeId> map) const {
    Operands out = *this;
    for (NodeId* n = out.data(); n != out.end(); ++n) *n = map[*n];
    return out;
  }
  bool operator==(const Operands& o) const { return std::equal(begin(), end(), o.begin(), o.end()); }

 private:
  NodeId* data() { return far_ ? far_.get() : near_.data(); }

  std::array<NodeId, 4> near_{};
  std::unique_ptr<NodeId[]> far_;  // instead, where there are more
  uint32_t size_ = 0;
};

}  // namespace gradc::graph
