#include "ir/layout.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "support/check.h"

namespace gradc {
namespace {

constexpr int64_t kLargest = int64_t(1) << 31;  // block or padding
constexpr size_t kMostBlocks = 16;

// How many elements of each axis its blocks hold together.
std::vector<int64_t> block_totals(size_t rank, const std::vector<Layout::Block>& blocks) {
  std::vector<int64_t> total(rank, 1);
  for (const Layout::Block& b : blocks) total[static_cast<size_t>(b.axis)] *= b.size;
  return total;
}

}  // namespace

std::string Layout::fault(int rank, const std::vector<int>& order, const std::vector<Block>& blocks,
                          const std::vector<int64_t>& padding) {
  std::vector<int> sorted = order;
  std::sort(sorted.begin(), sorted.end());
  for (size_t i = 0; i < sorted.size(); ++i)
    if (sorted[i] != static_cast<int>(i) || static_cast<int>(sorted.size()) != rank)
      return fmt::format("the order [{}] is none of {} axes", fmt::join(order, ","), rank);
  if (blocks.size() > kMostBlocks) return fmt::format("{} blocks", blocks.size());
  std::vector<int64_t> total(static_cast<size_t>(std::max(rank, 0)), 1);
  for (const Block& b : blocks) {
    if (b.axis < 0 || b.axis >= rank) return fmt::format("a block of axis {} of {}", b.axis, rank);
    int64_t& t = total[static_cast<size_t>(b.axis)];
    if (b.size < 2 || b.size > kLargest || (t *= b.size) > kLargest)
      return fmt::format("blocks of {} on axis {}", b.size, b.axis);
  }
  const size_t axes = static_cast<size_t>(rank) + blocks.size();
  if (!padding.empty() && padding.size() != axes)
    return fmt::format("padding of {} of {} axes", padding.size(), axes);
  for (int64_t p : padding)
    if (p < 0 || p > kLargest) return fmt::format("padding of {}", p);
  return "";
}

Layout Layout::make(int rank, std::vector<int> order, std::vector<Block> blocks,
                    std::vector<int64_t> padding) {
  const std::string why = fault(rank, order, blocks, padding);
  GRADC_CHECK(why.empty(), "{}", why);
  Layout l;
  if (!std::is_sorted(order.begin(), order.end())) l.order_ = std::move(order);
  l.blocks_ = std::move(blocks);
  if (std::any_of(padding.begin(), padding.end(), [](int64_t p) { return p != 0; }))
    l.padding_ = std::move(padding);
  if (!l.is_plain()) l.rank_ = rank;
  return l;
}

Shape Layout::extents(const Shape& logical) const {
  if (is_plain()) return logical;
  const std::vector<int64_t> total = block_totals(logical.size(), blocks_);
  Shape out;
  for (size_t i = 0; i < logical.size(); ++i) {
    const size_t a = order_.empty() ? i : static_cast<size_t>(order_[i]);
    out.push_back(logical[a].ceil_div(total[a]));
  }
  for (const Block& b : blocks_) out.emplace_back(b.size);
  for (size_t i = 0; i < padding_.size(); ++i) out[i] += padding_[i];
  return out;
}

Index Layout::address(const Shape& logical, const std::vector<Index>& at) const {
  std::vector<Index> digits;  // by physical axis
  const Shape* extent = &logical;
  Shape own;
  if (!is_plain()) {
    own = extents(logical);
    extent = &own;
    std::vector<int64_t> below = block_totals(at.size(), blocks_);
    for (size_t i = 0; i < at.size(); ++i) {
      const size_t a = order_.empty() ? i : static_cast<size_t>(order_[i]);
      digits.push_back(at[a].floor_div(below[a]));
    }
    for (const Block& b : blocks_) {
      int64_t& rest = below[static_cast<size_t>(b.axis)];
      rest /= b.size;
      digits.push_back(at[static_cast<size_t>(b.axis)].floor_div(rest).mod(b.size));
    }
  }
  const std::vector<Index>& place = is_plain() ? at : digits;
  Index sum, stride(1);
  for (size_t i = place.size(); i-- > 0;) {
    sum += place[i] * stride;
    stride = stride * (*extent)[i];
  }
  return rejoin(std::move(sum));
}

Index Layout::within(const Shape& logical, const std::vector<Index>& at) const {
  if (blocks_.empty()) return address(logical, at);
  const Shape own = extents(logical);
  std::vector<bool> placed(at.size(), false);
  Index sum, stride(1);
  for (size_t i = own.size(); i-- > 0;) {
    const size_t axis = i >= at.size()   ? static_cast<size_t>(blocks_[i - at.size()].axis)
                        : order_.empty() ? i
                                         : static_cast<size_t>(order_[i]);
    if (!placed[axis]) sum += at[axis] * stride;
    placed[axis] = true;
    stride = stride * own[i];
  }
  return rejoin(std::move(sum));
}

int64_t Layout::block_of(int axis) const {
  for (size_t i = blocks_.size(); i-- > 0;)
    if (blocks_[i].axis == axis) return blocks_[i].size;
  return 0;
}

std::string Layout::str() const {
  std::string out;
  if (!order_.empty()) out += fmt::format(" order [{}]", fmt::join(order_, ","));
  if (!blocks_.empty()) {
    out += " blocks [";
    for (const Block& b : blocks_)
      out += fmt::format("{}{}:{}", out.back() == '[' ? "" : ",", b.axis, b.size);
    out += "]";
  }
  if (!padding_.empty()) out += fmt::format(" pad [{}]", fmt::join(padding_, ","));
  return out;
}

}  // namespace gradc
