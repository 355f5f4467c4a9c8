// Where the elements of a tensor lie, as data. Outermost stand the logical axes, in `order`; within all of
// them stand blocks, each of which holds low digits of one axis's index: OIhw16i16o is blocks [1:16,0:16].
// These are the physical axes, and behind each there may be padding, places that hold no element. Every
// reader and writer of a buffer finds an element by address(); the runtime has the same by plain loops
// (runtime/packing.h).
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include "ir/type.h"

namespace gradc {

class Layout {
 public:
  struct Block {
    int axis = 0;
    int64_t size = 0;
    auto operator<=>(const Block&) const = default;
  };

  Layout() = default;  // plain: row-major, every place an element
  // Of a tensor with `rank` axes; an empty order is the logical one, an empty padding none. Equal layouts are
  // equal values. InternalError where fault() says something.
  static Layout make(int rank, std::vector<int> order, std::vector<Block> blocks,
                     std::vector<int64_t> padding);
  static Layout padded(int rank, std::vector<int64_t> padding) {
    return make(rank, {}, {}, std::move(padding));
  }
  // Why these describe no layout; "" when they do.
  static std::string fault(int rank, const std::vector<int>& order, const std::vector<Block>& blocks,
                           const std::vector<int64_t>& padding);

  bool is_plain() const { return order_.empty() && blocks_.empty() && padding_.empty(); }
  bool fits(int rank) const { return is_plain() || rank == rank_; }
  // "" where they say nothing: the order is the logical one, there is no block or no padding.
  const std::vector<int>& order() const { return order_; }
  const std::vector<Block>& blocks() const { return blocks_; }
  const std::vector<int64_t>& padding() const { return padding_; }

  // Of the physical axes, padding included.
  Shape extents(const Shape& logical) const;
  // How many places there are.
  Dim size(const Shape& logical) const { return element_count(extents(logical)); }
  // The place of the element at a logical index, counted from the first.
  Index address(const Shape& logical, const std::vector<Index>& at) const;
  // The same as it moves within innermost blocks: an index that crosses none of its axis's block, counted
  // from elsewhere.
  Index within(const Shape& logical, const std::vector<Index>& at) const;

  // Elements of the axis in the innermost of its blocks; 0 where it has none.
  int64_t block_of(int axis) const;

  std::string str() const;  // " order [1,0] blocks [0:16] pad [0,0,4]"; "" when plain

  auto operator<=>(const Layout&) const = default;

 private:
  int rank_ = 0;  // 0 when plain
  std::vector<int> order_;
  std::vector<Block> blocks_;
  std::vector<int64_t> padding_;
};

}  // namespace gradc
