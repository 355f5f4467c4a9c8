#include "passes/step/cut.h"

namespace gradc::passes {
namespace {

using namespace step;

constexpr int64_t kFewest = 16;  // tasks, which threads share evenly enough
// Times the bytes that stay near a core. What is smaller comes back from a cache that all cores share about
// as fast as small kernels lose: measured, GPT 4x128 at 64 tokens is 4 % slower in tasks, at 256 and more
// faster.
constexpr int64_t kFar = 8;
// Bytes that lie side by side and come together: tasks that share them fetch them several times over, and
// leave lanes empty.
constexpr int64_t kLine = 64;
// What a task holds may be so many times what stays near: more rows in a task read its other operands less
// often.
constexpr double kHeld = 4;

bool names(const Run& r, int b) {
  return std::find(r.buffers.begin(), r.buffers.end(), b) != r.buffers.end();
}

}  // namespace

int64_t largest_temporary(const Step& s) {
  std::map<std::string, int64_t> plan;
  for (const step::Dim& d : s.dims) plan[d.name] = d.plan;
  int64_t most = 0;
  for (const Buffer& b : s.buffers)
    if (b.region == Region::Scratch) most = std::max(most, bytes_of(b, plan));
  return most;
}

bool is_far(int64_t bytes, const Machine& m) { return bytes >= kFar * m.near_bytes; }

Cutter::Cutter(const Step& s, const ScheduleOptions& o, const std::vector<int>& uses)
    : s_(s), o_(o), uses_(uses), near_(static_cast<double>(o.machine.near_bytes)) {
  for (const step::Dim& d : s.dims) plan_[d.name] = d.plan;
}

bool Cutter::is_large(int b, const KernelAccess::Use& use) const {
  return s_.buffers[b].region == Region::Scratch && is_far(static_cast<int64_t>(use.bytes), o_.machine);
}

std::optional<Cut> Cutter::cut(Chain& c) const {
  std::optional<Cut> best = cut_in_order(c);
  const auto longest = std::max_element(
      c.shared().begin(), c.shared().end(),
      [&](const SharedIndex& a, const SharedIndex& b) { return planned(a.extent) < planned(b.extent); });
  Chain other = c;
  other.move_last(static_cast<size_t>(longest - c.shared().begin()));
  if (std::optional<Cut> cut = cut_in_order(other); cut && (!best || cut->saved > best->saved))
    c = std::move(other), best = cut;
  return best;
}

std::optional<Cut> Cutter::cut_in_order(const Chain& c) const {
  for (size_t n = 1; n <= c.shared().size(); ++n)
    if (std::optional<Cut> found = cut(c, n)) {
      found->saved = saved(c, *found);
      return found->saved > 0 ? found : std::nullopt;
    }
  return std::nullopt;
}

bool Cutter::is_inner(const Chain& c, int b) const {
  const step::Buffer& buffer = s_.buffers[b];
  if (buffer.region != Region::Scratch || !buffer.layout.is_plain()) return false;
  int here = 0, writers = 0;
  bool made = true;  // whole, by one kernel
  for (size_t m = 0; m < c.runs().size(); ++m)
    for (size_t i = 0; i < c.runs()[m]->buffers.size(); ++i) {
      if (c.runs()[m]->buffers[i] != b) continue;
      const KernelAccess::Use& use = c.accesses()[m]->uses[i];
      ++here, writers += use.written;
      made &= !use.written || !use.read;
    }
  return made && writers == 1 && here == uses_[b];
}

int64_t Cutter::planned(const Index& e) const {
  return std::max<int64_t>(
      1, e.evaluate([](int) -> int64_t { return 0; }, [&](const std::string& d) { return plan_.at(d); }));
}
std::optional<Cut> Cutter::cut(const Chain& c, size_t n) const {
  const SharedIndex& last = c.shared()[n - 1];
  for (size_t i = 0; i + 1 < n; ++i)
    if (c.shared()[i].summed) return std::nullopt;
  int64_t others = 1;
  for (size_t i = 0; i + 1 < n; ++i) others *= planned(c.shared()[i].extent);
  const int64_t extent = planned(last.extent);
  const auto [fixed, each] = held(c, n);
  double work = 0;
  for (const KernelAccess* a : c.accesses()) work += a->work;
  work /= static_cast<double>(others * extent);
  int64_t block = extent;
  if (!last.summed) block = std::max<int64_t>(1, std::min(extent, others * extent / kFewest));
  if (each > 0) block = std::min(block, static_cast<int64_t>(std::max(0.0, kHeld * near_ - fixed) / each));
  if (last.summed && block == extent) return std::nullopt;  // fewer indices do as well
  if (block < 1 || work * static_cast<double>(block) < static_cast<double>(o_.machine.parallel_threshold))
    return std::nullopt;
  if (last.extent.is_constant())  // whole blocks alone, where that costs no more than half of one
    for (int64_t b = block; 2 * b >= block; --b)
      if (extent % b == 0) return Cut{n, b};
  return Cut{n, block};
}

// The most bytes that are held at a time in a task with one value of the last index, as far as they do not
// and do move with it. What others read too is held while it is written; sums over blocks come and go.
std::pair<double, double> Cutter::held(const Chain& c, size_t indices) const {
  const SharedIndex& last = c.shared()[indices - 1];
  const size_t members = c.runs().size();
  std::vector<double> fixed(members), each(members);
  for (size_t m = 0; m < members; ++m)
    for (size_t i = 0; i < c.accesses()[m]->uses.size(); ++i) {
      const KernelAccess::Use& use = c.accesses()[m]->uses[i];
      const bool divided = use.moves[last.loops[m]];
      if (!use.written || (!divided && last.summed)) continue;
      size_t end = m;
      for (size_t r = m + 1; r < members && is_inner(c, c.runs()[m]->buffers[i]); ++r)
        if (names(*c.runs()[r], c.runs()[m]->buffers[i])) end = r;
      for (size_t r = m; r <= end; ++r) (divided ? each : fixed)[r] += slice_of(c, Cut{indices, 1}, m, i);
    }
  return {*std::max_element(fixed.begin(), fixed.end()), *std::max_element(each.begin(), each.end())};
}

// Bytes that no longer come from afar, less those that tasks read again. What is not large comes from near
// enough anyway, and what stays near from task to task counts for a quarter.
double Cutter::saved(const Chain& c, const Cut& cut) const {
  const double tasks = static_cast<double>(tasks_of(c, cut));
  const SharedIndex& last = c.shared()[cut.indices - 1];
  double sum = 0;
  for (size_t m = 0; m < c.runs().size(); ++m)
    for (size_t i = 0; i < c.accesses()[m]->uses.size(); ++i) {
      const KernelAccess::Use& use = c.accesses()[m]->uses[i];
      const int b = c.runs()[m]->buffers[i];
      const double slice = slice_of(c, cut, m, i);
      if (is_large(b, use) && c.written().count(b) && (use.read || is_inner(c, b))) sum += use.bytes;
      const double cost = slice <= near_ ? 0.25 : slice <= kFar * near_ ? 0.33 : 1;
      const double moved = tasks * slice * lines_of(c, cut, m, i);
      if (use.read) sum -= std::max(0.0, moved - use.bytes) * cost;
      if (use.written && !is_inner(c, b)) sum -= (moved - tasks * slice) * cost;
      if (c.accesses()[m]->is_sum(last.loops[m]) && i == *c.accesses()[m]->sum)  // added to by every block
        sum -= 2 * tasks * slice * cost;
    }
  return sum;
}
// How much more than its slice of a parameter a task moves: whole lines.
double Cutter::lines_of(const Chain& c, const Cut& cut, size_t member, size_t parameter) const {
  const step::Buffer& b = s_.buffers[c.runs()[member]->buffers[parameter]];
  double times = 1;
  for (size_t k = 0; k < cut.indices; ++k) {
    const SharedIndex& index = c.shared()[k];
    const uint64_t positions = c.accesses()[member]->uses[parameter].positions[index.loops[member]];
    const int64_t values = k + 1 == cut.indices ? cut.block : 1;
    int64_t bytes = values * size_of(b.dtype);  // side by side
    for (size_t d = b.shape.size(); d-- > 0 && bytes < kLine; bytes *= planned(b.shape[d]))
      if (positions >> d & 1) {
        if (planned(b.shape[d]) > values) times *= static_cast<double>(kLine) / static_cast<double>(bytes);
        break;
      }
  }
  return times;
}
int64_t Cutter::tasks_of(const Chain& c, const Cut& cut) const {
  int64_t tasks = 1;
  for (size_t i = 0; i < cut.indices; ++i) tasks *= count(c, cut, i);
  return tasks;
}
int64_t Cutter::count(const Chain& c, const Cut& cut, size_t index) const {
  const int64_t extent = planned(c.shared()[index].extent), size = index + 1 == cut.indices ? cut.block : 1;
  return (extent + size - 1) / size;
}
// The bytes that a member's accesses to a parameter reach in one task.
double Cutter::slice_of(const Chain& c, const Cut& cut, size_t member, size_t parameter) const {
  const KernelAccess::Use& use = c.accesses()[member]->uses[parameter];
  double slice = use.bytes;
  for (size_t i = 0; i < cut.indices; ++i)
    if (use.moves[c.shared()[i].loops[member]]) slice /= static_cast<double>(count(c, cut, i));
  return slice;
}

}  // namespace gradc::passes
