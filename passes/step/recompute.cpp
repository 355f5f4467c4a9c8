// Large temporaries that are cheap to make are made again for readers far behind, instead of lying in memory
// from the forward pass to the backward pass: the scores of attention, of the length squared, from queries
// and keys. The same kernels give the same bits.
#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "passes/step/cut.h"
#include "passes/step/step_passes.h"

namespace gradc::passes {
namespace {

using namespace step;

constexpr size_t kFar = 24;  // runs from one use of a buffer to the next from which on it may be made again
constexpr double kCheap = 128;  // scalar operations for each byte: a contraction of up to some 100 terms
// Times smaller is what it is made from in the end, which is kept instead. Without this rule GPT 4x128 with
// 64 sequences of 64 tokens takes a tenth longer and little less memory.
constexpr int64_t kSmaller = 4;

struct Item {
  Run run;
  StepReport::KernelNote note;
};

class Recomputer {
 public:
  Recomputer(Step& s, const ScheduleOptions& o, StepReport* report) : s_(s), o_(o), report_(report) {
    for (const step::Dim& d : s.dims) o_.plan[d.name] = plan_[d.name] = d.plan;
  }

  void run() {
    each_run(s_.body, [&](const Run& r) {
      for (size_t i = 0; i < r.buffers.size(); ++i)
        ++uses_[r.buffers[i]], writers_[r.buffers[i]] += writes(r, i);
    });
    for (int b : s_.outputs) ++uses_[b];
    s_.body = body(s_.body);
    if (report_) report_->kernels = std::move(notes_);
  }

 private:
  bool writes(const Run& r, size_t i) const {
    return s_.kernels[r.kernel].buffers[i].space != kernel::Space::In;
  }
  static bool names(const Run& r, int b) {
    return std::find(r.buffers.begin(), r.buffers.end(), b) != r.buffers.end();
  }
  bool writes_to(const Run& r, int b) const {
    for (size_t i = 0; i < r.buffers.size(); ++i)
      if (r.buffers[i] == b && writes(r, i)) return true;
    return false;
  }
  int64_t bytes(int b) const { return bytes_of(s_.buffers[b], plan_); }
  bool is_large(int b) const {
    return s_.buffers[b].region == Region::Scratch && is_far(bytes(b), o_.machine);
  }

  Body body(const Body& b) {
    Body out;
    std::vector<Item> items;
    for (const Stmt& st : b) {
      if (auto* r = std::get_if<Run>(&st)) {
        items.push_back({*r, report_ ? report_->kernels[seen_++] : StepReport::KernelNote{}});
        continue;
      }
      straight(std::exchange(items, {}), out);
      out.push_back(map_bodies(st, [&](const Body& inner) { return body(inner); }));
    }
    straight(std::move(items), out);
    return out;
  }

  void straight(std::vector<Item> items, Body& out) {
    for (size_t w = items.size(); w-- > 0;)
      for (const int b : std::vector<int>(items[w].run.buffers))
        if (writes_to(items[w].run, b) && is_large(b)) make_again(items, w, b);
    for (Item& i : items) {
      out.push_back(std::move(i.run));
      notes_.push_back(std::move(i.note));
    }
  }

  // For the readers of `b` that are far behind its writer `w`, if that is cheap.
  void make_again(std::vector<Item>& items, size_t w, int b) {
    if (writers_[b] != 1) return;
    std::vector<size_t> touches;
    for (size_t i = w; i < items.size(); ++i)
      if (names(items[i].run, b)) touches.push_back(i);
    if (static_cast<int>(touches.size()) != uses_[b]) return;  // others elsewhere
    const auto gap = std::adjacent_find(touches.begin(), touches.end(),
                                        [](size_t now, size_t next) { return next - now > kFar; });
    if (gap == touches.end()) return;
    const std::vector<size_t> readers(gap + 1, touches.end());
    const size_t at = place_before(items, readers);
    std::set<size_t> again;
    if (!collect(items, w, at, again)) return;
    double work = 0;
    for (size_t i : again) work += planned_work(s_.kernels[items[i].run.kernel], o_);
    if (work > kCheap * static_cast<double>(bytes(b)) || !comes_of_less(items, w, b)) return;

    std::map<int, int> renamed;
    std::vector<Item> clones;
    for (size_t i : again) clones.push_back(clone(items[i], renamed));
    // All that they made serves all later readers.
    for (size_t i = at; i < items.size(); ++i) rename(items[i].run, renamed);
    items.insert(items.begin() + static_cast<long>(at), clones.begin(), clones.end());
  }

  // Before the readers and before what makes large operands of theirs, so that all of them can run in blocks.
  size_t place_before(const std::vector<Item>& items, const std::vector<size_t>& readers) const {
    const size_t first = readers.front(), limit = first - kFar;
    size_t at = first;
    for (size_t r : readers)
      for (int b : items[r].run.buffers)
        if (r < first + kFar && is_large(b))
          for (size_t i = limit + 1; i < at; ++i)
            if (writes_to(items[i].run, b)) at = i;
    return at;
  }

  // The runs that make what run `i` made once more, at `at`: itself and those whose large results are gone by
  // then. False where an operand has changed or cannot be made.
  bool collect(const std::vector<Item>& items, size_t i, size_t at, std::set<size_t>& again) const {
    if (!again.insert(i).second) return true;
    const Run& r = items[i].run;
    for (size_t p = 0; p < r.buffers.size(); ++p) {
      const int b = r.buffers[p];
      const kernel::Space space = s_.kernels[r.kernel].buffers[p].space;
      if (space == kernel::Space::InOut || s_.buffers[b].derived_from >= 0) return false;
      if (space == kernel::Space::Out) {
        if (s_.buffers[b].region != Region::Scratch || writers_.at(b) != 1) return false;
        continue;
      }
      for (size_t n = i + 1; n < at; ++n)
        if (writes_to(items[n].run, b)) return false;
      if (!is_large(b) || std::any_of(items.begin() + static_cast<long>(at), items.end(),
                                      [&](const Item& later) { return names(later.run, b); }))
        continue;
      size_t w = i;
      while (w > 0 && !writes_to(items[w - 1].run, b)) --w;
      if (w == 0 || writers_.at(b) != 1 || !collect(items, w - 1, at, again)) return false;
    }
    return true;
  }

  // Whether what run `w` reads is much smaller than `b`, taken back through what is no smaller: that is made
  // again too, or could be.
  bool comes_of_less(const std::vector<Item>& items, size_t w, int b) const {
    std::set<int> seen;
    std::vector<size_t> runs{w};
    int64_t left = bytes(b) / kSmaller;
    for (size_t n = 0; n < runs.size(); ++n)
      for (int read : items[runs[n]].run.buffers) {
        if (writes_to(items[runs[n]].run, read) || !seen.insert(read).second) continue;
        size_t i = bytes(read) < bytes(b) ? 0 : runs[n];
        while (i > 0 && !writes_to(items[i - 1].run, read)) --i;
        if (i == 0 && (left -= bytes(read)) < 0) return false;
        if (i > 0) runs.push_back(i - 1);
        if (runs.size() > kFar) return false;
      }
    return true;
  }

  Item clone(Item item, std::map<int, int>& renamed) {
    for (size_t p = 0; p < item.run.buffers.size(); ++p) {
      const int b = item.run.buffers[p];
      if (!writes(item.run, p)) continue;
      step::Buffer made = s_.buffers[b];
      made.name = unused(made.name + ".again");
      renamed[b] = static_cast<int>(s_.buffers.size());
      s_.buffers.push_back(std::move(made));
    }
    for (size_t p = 0; p < item.run.buffers.size(); ++p) {
      ++uses_[item.run.buffers[p]];
      if (writes(item.run, p)) writers_[renamed.at(item.run.buffers[p])] = 1;
    }
    rename(item.run, renamed);
    return item;
  }
  void rename(Run& r, const std::map<int, int>& renamed) {
    for (int& b : r.buffers)
      if (auto it = renamed.find(b); it != renamed.end()) --uses_[b], b = it->second, ++uses_[b];
  }
  std::string unused(const std::string& name) const {
    for (const step::Buffer& b : s_.buffers)
      if (b.name == name) return unused(name + "_");
    return name;
  }

  Step& s_;
  ScheduleOptions o_;
  StepReport* report_;
  std::map<std::string, int64_t> plan_;
  std::map<int, int> uses_, writers_;  // by buffer, in the whole step
  std::vector<StepReport::KernelNote> notes_;
  size_t seen_ = 0;
};

}  // namespace

void recompute(Step& s, const ScheduleOptions& o, StepReport* report) { Recomputer(s, o, report).run(); }

}  // namespace gradc::passes
