#include "passes/step/best_fit.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <queue>
#include <set>

namespace gradc::passes {
namespace {

class FreeBlocks {
 public:
  int64_t take(int64_t size) {
    auto it = by_size_.lower_bound({size, 0});
    if (it == by_size_.end()) {
      // A block at the end grows, so that it leaves no hole below.
      int64_t at = end_;
      if (auto last = by_offset_.empty() ? by_offset_.end() : std::prev(by_offset_.end());
          last != by_offset_.end() && last->first + last->second == end_) {
        at = last->first;
        erase(last);
      }
      end_ = at + size;
      return at;
    }
    const auto [free, at] = *it;
    erase(by_offset_.find(at));
    if (free > size) insert(at + size, free - size);
    return at;
  }

  void give(int64_t at, int64_t size) {
    auto next = by_offset_.lower_bound(at);
    if (next != by_offset_.end() && at + size == next->first) {
      size += next->second;
      next = erase(next);
    }
    if (next != by_offset_.begin())
      if (auto before = std::prev(next); before->first + before->second == at) {
        at = before->first;
        size += before->second;
        erase(before);
      }
    insert(at, size);
  }
  int64_t end() const { return end_; }

 private:
  using Iterator = std::map<int64_t, int64_t>::iterator;
  void insert(int64_t at, int64_t size) {
    by_offset_[at] = size;
    by_size_.insert({size, at});
  }
  Iterator erase(Iterator it) {
    by_size_.erase({it->second, it->first});
    return by_offset_.erase(it);
  }

  std::map<int64_t, int64_t> by_offset_;           // sizes
  std::set<std::pair<int64_t, int64_t>> by_size_;  // size, offset
  int64_t end_ = 0;
};

}  // namespace

int64_t place_best_fit(const std::vector<Span>& spans, std::vector<int64_t>& offsets) {
  std::vector<size_t> order(spans.size());
  std::iota(order.begin(), order.end(), size_t{0});
  // Among those that begin together, large ones first.
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return spans[a].first != spans[b].first ? spans[a].first < spans[b].first : spans[a].size > spans[b].size;
  });
  using Ends = std::pair<int, size_t>;
  std::priority_queue<Ends, std::vector<Ends>, std::greater<>> live;
  FreeBlocks free;
  offsets.assign(spans.size(), 0);
  for (size_t i : order) {
    while (!live.empty() && live.top().first < spans[i].first) {
      const size_t done = live.top().second;
      live.pop();
      free.give(offsets[done], spans[done].size);
    }
    offsets[i] = free.take(spans[i].size);
    live.push({spans[i].last, i});
  }
  return free.end();
}

}  // namespace gradc::passes
