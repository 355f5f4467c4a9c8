// Training in less memory: of the values that the backward pass reads, those where the forward pass is cut
// into segments are kept, the others are made again when the backward pass comes to their segment (Chen et
// al., Training deep nets with sublinear memory cost, 2016). It costs at most the forward pass once more.
#include <algorithm>
#include <set>
#include <utility>

#include "passes/step/again.h"

namespace gradc::passes {
namespace {

constexpr int64_t kFew = 64;  // times less than the largest value is not worth a run: it stays

class Checkpointer {
 public:
  using Items = Again::Items;

  Checkpointer(step::Step& s, const ScheduleOptions& o, StepReport* report)
      : segments_(o.segments), again_(s, o, report) {}

  void run() {
    again_.each_stretch([&](Items& items) { stretch(items); });
  }

 private:
  // A temporary whose uses all lie in the stretch.
  struct Value {
    int buffer = 0;
    int64_t bytes = 0;
    size_t made = 0;
    size_t near = 0;       // the last use up to the turn
    bool crosses = false;  // it is used behind the turn, too
  };

  void stretch(Items& items) {
    find_values(items);
    const std::set<int> kept = checkpoints(items.size());
    const auto gone = [&](int b) { return forward_.count(b) > 0 && kept.count(b) == 0; };
    // The last first: what it is made from is then read again, and made again in its turn.
    for (auto v = values_.rbegin(); v != values_.rend(); ++v) {
      if (!v->crosses || !gone(v->buffer)) continue;
      const std::vector<size_t> touches = again_.touches(items, v->buffer, v->made);
      const auto reader = std::upper_bound(touches.begin(), touches.end(), turn_);
      std::set<size_t> runs;
      if (reader != touches.end() && again_.collect(items, v->made, *reader, gone, runs))
        again_.insert(items, runs, *reader);
    }
  }

  // The values in the order in which they are made. The turn from the forward to the backward pass is where
  // most bytes are alive.
  void find_values(const Items& items) {
    values_.clear(), forward_.clear();
    std::vector<int64_t> change(items.size() + 1, 0);
    std::vector<std::vector<size_t>> all;
    for (size_t i = 0; i < items.size(); ++i)
      for (int b : items[i].run.buffers) {
        if (!again_.is_scratch(b) || !again_.has_one_writer(b) || !again_.writes_to(items[i].run, b))
          continue;
        std::vector<size_t> touches = again_.touches(items, b, i);
        if (touches.size() < 2) continue;
        values_.push_back({b, again_.bytes(b), i});
        change[i] += values_.back().bytes;
        change[touches.back() + 1] -= values_.back().bytes;
        all.push_back(std::move(touches));
      }
    int64_t alive = 0, most = -1;
    for (size_t i = 0; i < items.size(); ++i)
      if ((alive += change[i]) > most) most = alive, turn_ = i;
    int64_t largest = 0;
    for (size_t n = 0; n < values_.size(); ++n) {
      Value& v = values_[n];
      const auto behind = std::upper_bound(all[n].begin(), all[n].end(), turn_);
      v.crosses = v.made < turn_ && behind != all[n].end() && behind != all[n].begin();
      v.near = behind == all[n].begin() ? v.made : *(behind - 1);
      if (v.crosses) largest = std::max(largest, v.bytes);
    }
    for (const Value& v : values_)
      if (v.made <= turn_ && v.bytes > largest / kFew) forward_.insert(v.buffer);
  }

  // What is kept: what the forward pass carries over each cut, and all of the last segment, whose backward
  // pass follows at once. The cuts part the bytes that cross the turn evenly, each as far as it may move
  // where fewest are carried.
  std::set<int> checkpoints(size_t runs) const {
    std::vector<int64_t> made(runs + 1, 0), carried(runs + 1, 0);
    for (const Value& v : values_) {
      if (v.crosses) made[v.made] += v.bytes;
      if (v.made > turn_ || v.near <= v.made) continue;
      carried[v.made] += v.bytes;  // over the cut behind run `made`, up to that before `near`
      carried[v.near] -= v.bytes;
    }
    for (size_t i = 1; i <= runs; ++i) made[i] += made[i - 1], carried[i] += carried[i - 1];
    std::set<int> kept;
    const int64_t total = made[runs], parts = segments_;
    size_t last = 0;
    for (int64_t c = 1; c < parts; ++c) {
      const auto place = [&](int64_t halves) {  // of a segment
        const auto at = std::lower_bound(made.begin(), made.begin() + static_cast<long>(turn_),
                                         total / (2 * parts) * halves);
        return static_cast<size_t>(at - made.begin());
      };
      const size_t from = std::max(last, place(2 * c - 1)), to = std::max(from, place(2 * c + 1));
      const auto cost = [&](size_t cut) {  // of equal cuts the one in the middle
        return std::pair(carried[cut], std::abs(made[cut] - total / parts * c));
      };
      last = from;
      for (size_t cut = from; cut <= to; ++cut)
        if (cost(cut) < cost(last)) last = cut;
      for (const Value& v : values_)
        if (v.made <= last && v.near > last && v.made < turn_) kept.insert(v.buffer);
    }
    for (const Value& v : values_)
      if (v.made > last) kept.insert(v.buffer);
    return kept;
  }

  int64_t segments_;
  Again again_;
  std::vector<Value> values_;
  std::set<int> forward_;  // large values of the forward pass
  size_t turn_ = 0;
};

}  // namespace

void checkpoint(step::Step& s, const ScheduleOptions& o, StepReport* report) {
  if (o.segments > 1) Checkpointer(s, o, report).run();
}

}  // namespace gradc::passes
