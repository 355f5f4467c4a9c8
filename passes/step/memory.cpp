// Plans memory at the planned maximum of the dimensions: io buffers side by side, scratch buffers and those
// of a thread by lifetime. Two scratch buffers share bytes only when a barrier separates the last use of one
// from the first of the other.
#include <algorithm>
#include <map>

#include "passes/step/best_fit.h"
#include "passes/step/step_passes.h"

namespace gradc::passes {
namespace {

using namespace step;

constexpr int64_t kAlign = 64;
constexpr size_t kMany = 1000;  // buffers from which on placing them one against all others takes too long
int64_t aligned(int64_t n) { return (n + kAlign - 1) / kAlign * kAlign; }

struct Life {
  int first = -1, last = -1;
  void touch(int from, int to) {
    first = first < 0 ? from : std::min(first, from);
    last = std::max(last, to);
  }
};

// Phases are counted by barriers; what a loop touches lives from its first phase to its last.
class Lives {
 public:
  explicit Lives(const Step& s) : lives(s.buffers.size()) { walk(s.body); }
  std::vector<Life> lives;

 private:
  void walk(const Body& body) {
    for (const Stmt& s : body) {
      if (auto* r = std::get_if<Run>(&s)) {
        for (int b : r->buffers) touch(b);
      } else if (std::holds_alternative<step::Barrier>(s)) {
        ++phase_;
      } else if (auto* f = std::get_if<std::shared_ptr<const For>>(&s)) {
        loop(**f);
      } else {
        const If& i = *std::get<std::shared_ptr<const If>>(s);
        touch(i.condition);
        branch(i);
      }
    }
  }
  // Only one side runs: barriers of the other separate nothing.
  void branch(const If& i) {
    const int from = phase_;
    walk(i.then_body);
    const int then = phase_;
    phase_ = from;
    walk(i.else_body);
    phase_ = std::max(phase_, then);
  }
  void touch(int b) {
    lives[b].touch(phase_, phase_);
    touched_.push_back(b);
  }
  void loop(const For& f) {
    const int from = phase_;
    const size_t mark = touched_.size();
    if (f.condition >= 0) touch(f.condition);
    walk(f.body);
    for (size_t i = mark; i < touched_.size(); ++i) lives[touched_[i]].touch(from, phase_);
  }

  int phase_ = 0;
  std::vector<int> touched_;
};

int64_t place_many(Step& s, const std::vector<int>& order, const std::vector<Life>& lives,
                   const std::map<std::string, int64_t>& dims) {
  std::vector<Span> spans;
  for (int b : order)
    spans.push_back(
        {aligned(std::max<int64_t>(1, bytes_of(s.buffers[b], dims))), lives[b].first, lives[b].last});
  std::vector<int64_t> offsets;
  const int64_t total = place_best_fit(spans, offsets);
  for (size_t i = 0; i < order.size(); ++i) s.buffers[order[i]].offset = offsets[i];
  return total;
}

// First fit, large buffers first; it packs better than best fit, in quadratic time.
int64_t place_scratch(Step& s, const std::map<std::string, int64_t>& dims, bool reuse) {
  const std::vector<Life> lives = Lives(s).lives;
  std::vector<int> order;
  for (size_t b = 0; b < s.buffers.size(); ++b)
    if (s.buffers[b].region == Region::Scratch) order.push_back(static_cast<int>(b));
  std::vector<int64_t> size(s.buffers.size());
  if (reuse && order.size() > kMany) return place_many(s, order, lives, dims);
  for (int b : order) size[b] = aligned(std::max<int64_t>(1, bytes_of(s.buffers[b], dims)));
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return size[a] > size[b]; });
  int64_t total = 0;
  std::vector<int> placed;
  for (int b : order) {
    std::vector<std::pair<int64_t, int64_t>> taken;
    for (int p : placed)
      if (!reuse || (lives[p].first <= lives[b].last && lives[b].first <= lives[p].last))
        taken.push_back({s.buffers[p].offset, s.buffers[p].offset + size[p]});
    std::sort(taken.begin(), taken.end());
    int64_t at = 0;
    for (const auto& [from, to] : taken) {
      if (at + size[b] <= from) break;
      at = std::max(at, to);
    }
    s.buffers[b].offset = at;
    total = std::max(total, at + size[b]);
    placed.push_back(b);
  }
  return total;
}

// Buffers of a thread live from the first run of a task that touches them to the last. What a loop within a
// task shares with its surroundings lives as long as the loop; what it alone touches, it writes anew each
// time.
void live_in_task(const Step& s, const Body& body, int& run, std::map<int, Life>& lives) {
  for (const Stmt& st : body) {
    if (auto* r = std::get_if<Run>(&st)) {
      for (int b : r->buffers)
        if (s.buffers[b].region == Region::Thread) lives[b].touch(run, run);
      ++run;
      continue;
    }
    const std::map<int, Life> before = lives;
    const int from = run;
    live_in_task(s, std::get<std::shared_ptr<const For>>(st)->body, run, lives);
    for (auto& [b, life] : lives)
      if (life.last >= from && before.count(b)) life.touch(from, run);
  }
}

// All loops of tasks use the same area.
int64_t place_thread_buffers(Step& s, const Body& body, const std::map<std::string, int64_t>& dims,
                             bool reuse) {
  int64_t most = 0;
  for (const Stmt& st : body) {
    if (auto* i = std::get_if<std::shared_ptr<const If>>(&st)) {
      most = std::max(most, place_thread_buffers(s, (*i)->then_body, dims, reuse));
      most = std::max(most, place_thread_buffers(s, (*i)->else_body, dims, reuse));
    }
    auto* f = std::get_if<std::shared_ptr<const For>>(&st);
    if (!f) continue;
    if (!(*f)->tasks) {
      most = std::max(most, place_thread_buffers(s, (*f)->body, dims, reuse));
      continue;
    }
    std::map<int, Life> lives;
    int run = 0;
    live_in_task(s, (*f)->body, run, lives);
    if (!reuse)
      for (auto& [b, life] : lives) life.touch(0, run);
    std::vector<Span> spans;
    for (const auto& [b, life] : lives)
      spans.push_back({aligned(std::max<int64_t>(1, bytes_of(s.buffers[b], dims))), life.first, life.last});
    std::vector<int64_t> offsets;
    most = std::max(most, place_best_fit(spans, offsets));
    size_t at = 0;
    for (const auto& [b, life] : lives) s.buffers[b].offset = offsets[at++];
  }
  return most;
}

}  // namespace

void plan_memory(Step& s, bool reuse) {
  std::map<std::string, int64_t> dims;
  for (const step::Dim& d : s.dims) dims[d.name] = d.max;
  int64_t io = 0;
  for (step::Buffer& b : s.buffers) {
    if (b.region != Region::Io) continue;
    b.offset = io;
    io += aligned(std::max<int64_t>(1, bytes_of(b, dims)));
  }
  s.io_bytes = io;
  s.scratch_bytes = place_scratch(s, dims, reuse);
  s.thread_bytes = place_thread_buffers(s, s.body, dims, reuse);
}

}  // namespace gradc::passes
