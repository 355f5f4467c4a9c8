// Large temporaries that are cheap to make are made again for readers far behind, instead of lying in memory
// from the forward pass to the backward pass: the scores of attention, of the length squared, from queries
// and keys.
#include <algorithm>
#include <set>
#include <utility>

#include "passes/step/again.h"
#include "passes/step/cut.h"

namespace gradc::passes {
namespace {

constexpr size_t kFar = 24;  // runs from one use of a buffer to the next from which on it may be made again
constexpr double kCheap = 128;  // scalar operations for each byte: a contraction of up to some 100 terms
// Times smaller is what it is made from in the end, which is kept instead. Without this rule GPT 4x128 with
// 64 sequences of 64 tokens takes a tenth longer and little less memory.
constexpr int64_t kSmaller = 4;

class Recomputer {
 public:
  using Items = Again::Items;

  Recomputer(step::Step& s, const ScheduleOptions& o, StepReport* report)
      : machine_(o.machine), again_(s, o, report) {}

  void run() {
    again_.each_stretch([&](Items& items) {
      for (size_t w = items.size(); w-- > 0;)
        for (const int b : std::vector<int>(items[w].run.buffers))
          if (again_.writes_to(items[w].run, b) && is_large(b)) make_again(items, w, b);
    });
  }

 private:
  bool is_large(int b) const { return again_.is_scratch(b) && is_far(again_.bytes(b), machine_); }

  // For the readers of `b` that are far behind its writer `w`, if that is cheap.
  void make_again(Items& items, size_t w, int b) {
    if (!again_.has_one_writer(b)) return;
    const std::vector<size_t> touches = again_.touches(items, b, w);
    const auto gap = std::adjacent_find(touches.begin(), touches.end(),
                                        [](size_t now, size_t next) { return next - now > kFar; });
    if (gap == touches.end()) return;
    const std::vector<size_t> readers(gap + 1, touches.end());
    const size_t at = place_before(items, readers);
    std::set<size_t> runs;
    if (!again_.collect(
            items, w, at, [&](int read) { return is_large(read); }, runs))
      return;
    double work = 0;
    for (size_t i : runs) work += again_.work(items[i].run);
    if (work > kCheap * static_cast<double>(again_.bytes(b)) || !comes_of_less(items, w, b)) return;
    again_.insert(items, runs, at);
  }

  // Before the readers and before what makes large operands of theirs, so that all of them can run in blocks.
  size_t place_before(const Items& items, const std::vector<size_t>& readers) const {
    const size_t first = readers.front(), limit = first - kFar;
    size_t at = first;
    for (size_t r : readers)
      for (int b : items[r].run.buffers)
        if (r < first + kFar && is_large(b))
          for (size_t i = limit + 1; i < at; ++i)
            if (again_.writes_to(items[i].run, b)) at = i;
    return at;
  }

  // Whether what run `w` reads is much smaller than `b`, taken back through what is no smaller: that is made
  // again too, or could be. Of a tensor that it reads a part of, that part.
  bool comes_of_less(const Items& items, size_t w, int b) const {
    std::set<int> seen;
    std::vector<size_t> runs{w};
    double left = static_cast<double>(again_.bytes(b)) / kSmaller;
    for (size_t n = 0; n < runs.size(); ++n) {
      const step::Run& run = items[runs[n]].run;
      const KernelAccess access = again_.access(run);
      for (size_t r = 0; r < run.buffers.size(); ++r) {
        const int read = run.buffers[r];
        if (again_.writes_to(run, read) || !seen.insert(read).second) continue;
        size_t i = again_.bytes(read) < again_.bytes(b) ? 0 : runs[n];
        while (i > 0 && !again_.writes_to(items[i - 1].run, read)) --i;
        if (i == 0 && (left -= access.uses[r].bytes) < 0) return false;
        if (i > 0) runs.push_back(i - 1);
        if (runs.size() > kFar) return false;
      }
    }
    return true;
  }

  Machine machine_;
  Again again_;
};

}  // namespace

void recompute(step::Step& s, const ScheduleOptions& o, StepReport* report) {
  if (is_far(largest_temporary(s), o.machine)) Recomputer(s, o, report).run();
}

}  // namespace gradc::passes
