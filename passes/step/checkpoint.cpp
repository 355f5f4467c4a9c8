// Training in less memory: of the values that the backward pass reads, those where the forward pass is cut
// into segments are kept, the others are made again when the backward pass comes to their segment (Chen et
// al., Training deep nets with sublinear memory cost, 2016). Most runs of the forward pass come twice then;
// one whose result only the forward pass reads comes again for each result that is made of it.
#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <vector>

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
  // What the runs of a stretch do with a buffer.
  struct Touched {
    std::vector<size_t> by, writers;
    size_t last = 0;  // of them, and of the runs that are made again
  };
  // A temporary whose uses all lie in the stretch.
  struct Value {
    int buffer = 0;
    int64_t bytes = 0;
    size_t made = 0;
    size_t near = 0;  // the last use up to the turn
    size_t far = 0;   // the first one behind it, also of runs that are made again
    bool crosses = false;
  };

  void stretch(Items& items) {
    find_values(items);
    kept_ = checkpoints(items.size());
    std::map<size_t, std::vector<size_t>> again;
    // The last first: what it is made from is then read again, and made again in its turn.
    for (auto v = values_.rbegin(); v != values_.rend(); ++v) {
      if (!v->crosses || !is_gone(v->buffer)) continue;
      if (auto made = made_again_.find(v->made); made != made_again_.end() && made->second <= v->far)
        continue;
      std::set<size_t> runs;
      if (!collect(items, v->made, v->far, runs)) continue;
      for (size_t r : runs) note(items[r].run, r, v->far);
      std::vector<size_t>& here = again[v->far];
      here.insert(here.begin(), runs.begin(), runs.end());
    }
    again_.insert(items, again);
  }

  bool is_gone(int b) const { return forward_.count(b) > 0 && kept_.count(b) == 0; }

  // The runs that make what run `i` made once more, at `at`: itself, and those of its operands that are gone
  // by then. False where an operand has changed or cannot be made.
  bool collect(const Items& items, size_t i, size_t at, std::set<size_t>& runs) const {
    if (!runs.insert(i).second) return true;
    const step::Run& r = items[i].run;
    for (size_t p = 0; p < r.buffers.size(); ++p) {
      const int b = r.buffers[p];
      const kernel::Space space = again_.kernel_of(r).buffers[p].space;
      if (space == kernel::Space::InOut || again_.buffer(b).derived_from >= 0) return false;
      if (space == kernel::Space::Out) {
        if (!again_.is_scratch(b) || !again_.has_one_writer(b)) return false;
        continue;
      }
      const Touched& t = touched_.at(b);
      const auto changed = std::upper_bound(t.writers.begin(), t.writers.end(), i);
      if (changed != t.writers.end() && *changed < at) return false;
      if (!is_gone(b) || t.last >= at) continue;
      if (!again_.has_one_writer(b) || !collect(items, t.writers.front(), at, runs)) return false;
    }
    return true;
  }

  // Run `i` is made again at `at`.
  void note(const step::Run& r, size_t i, size_t at) {
    const auto made = made_again_.emplace(i, at).first;
    made->second = std::min(made->second, at);
    for (int b : r.buffers) {
      touched_.at(b).last = std::max(touched_.at(b).last, at);
      if (auto v = value_of_.find(b); v != value_of_.end())
        values_[v->second].far = std::min(values_[v->second].far, at);
    }
  }

  // The values in the order in which they are made. The turn from the forward to the backward pass is where
  // most bytes are alive.
  void find_values(const Items& items) {
    values_.clear(), forward_.clear(), touched_.clear(), value_of_.clear(), made_again_.clear();
    for (size_t i = 0; i < items.size(); ++i)
      for (int b : items[i].run.buffers) {
        Touched& t = touched_[b];
        if (t.by.empty() || t.last != i) t.by.push_back(i);
        if (again_.writes_to(items[i].run, b) && (t.writers.empty() || t.writers.back() != i))
          t.writers.push_back(i);
        t.last = i;
      }
    std::vector<int64_t> change(items.size() + 1, 0);
    for (size_t i = 0; i < items.size(); ++i)
      for (int b : items[i].run.buffers) {
        const Touched& t = touched_.at(b);
        if (!again_.is_scratch(b) || !again_.has_one_writer(b) || t.writers != std::vector{i}) continue;
        if (static_cast<int>(t.by.size()) != again_.uses(b) || t.by.size() < 2 || t.by.front() != i) continue;
        if (!value_of_.emplace(b, values_.size()).second) continue;
        values_.push_back({b, again_.bytes(b), i});
        change[i] += values_.back().bytes;
        change[t.last + 1] -= values_.back().bytes;
      }
    int64_t alive = 0, most = -1;
    for (size_t i = 0; i < items.size(); ++i)
      if ((alive += change[i]) > most) most = alive, turn_ = i;
    int64_t largest = 0;
    for (Value& v : values_) {
      const std::vector<size_t>& by = touched_.at(v.buffer).by;
      const auto behind = std::upper_bound(by.begin(), by.end(), turn_);
      v.crosses = v.made < turn_ && behind != by.end();
      v.near = behind == by.begin() ? v.made : *(behind - 1);
      v.far = behind == by.end() ? items.size() : *behind;
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
  std::map<int, Touched> touched_;  // by buffer
  std::vector<Value> values_;
  std::map<int, size_t> value_of_;       // by buffer: the place of its value
  std::set<int> forward_, kept_;         // large values of the forward pass; those that stay
  std::map<size_t, size_t> made_again_;  // by run: where, first
  size_t turn_ = 0;
};

}  // namespace

void checkpoint(step::Step& s, const ScheduleOptions& o, StepReport* report) {
  if (o.segments > 1) Checkpointer(s, o, report).run();
}

}  // namespace gradc::passes
