// Large results that are read only after much else (what the forward pass keeps for the backward pass) are
// stored past the caches: a store that misses them fetches the line first, and multiply-adds wait behind it.
#include <algorithm>
#include <map>
#include <vector>

#include "passes/step/cut.h"
#include "passes/step/step_passes.h"

namespace gradc::passes {
namespace {

using namespace step;

class Streamer {
 public:
  Streamer(Step& s, const Machine& m) : s_(s), m_(m) {
    for (const step::Dim& d : s.dims) plan_[d.name] = d.plan;
  }

  void run() {
    for (const Stmt& st : s_.body) note(st);
    for (size_t at = 0; at < s_.body.size(); ++at)
      each_run({s_.body[at]}, [&](const Run& r) { judge(r, at); });
    for (const auto& [place, v] : votes_)
      if (v.allowed && 4 * v.far >= 3 * v.all) s_.kernels[place.first].buffers[place.second].far = true;
  }

 private:
  // Runs of a kernel that give the result at one position, and those whose result is far from its readers.
  // In loops, and in a thread's own region, what is read next is near, and only scratch is known to lie on
  // lines.
  struct Votes {
    int all = 0, far = 0;
    bool allowed = true;
  };

  // The bytes that statements before each one touch, and where each buffer is named.
  void note(const Stmt& st) {
    const size_t at = before_.size();
    int64_t bytes = 0;
    const auto touch = [&](const Run& r) {
      for (int b : r.buffers) {
        bytes += bytes_of(s_.buffers[b], plan_);
        if (std::vector<size_t>& uses = uses_[b]; uses.empty() || uses.back() != at) uses.push_back(at);
      }
    };
    each_run({st}, touch);
    before_.push_back(touched_);
    touched_ += bytes;
  }

  void judge(const Run& r, size_t at) {
    constexpr int64_t kMuch = 16;  // times what stays near a core
    for (size_t i = 0; i < r.buffers.size(); ++i) {
      const Buffer& b = s_.buffers[r.buffers[i]];
      if (s_.kernels[r.kernel].buffers[i].space != kernel::Space::Out) continue;
      Votes& v = votes_[{r.kernel, i}];
      ++v.all;
      v.allowed = v.allowed && b.region == Region::Scratch && std::holds_alternative<Run>(s_.body[at]);
      if (bytes_of(b, plan_) < m_.near_bytes) continue;
      const std::vector<size_t>& uses = uses_[r.buffers[i]];
      const auto next = std::upper_bound(uses.begin(), uses.end(), at);
      v.far += next != uses.end() && before_[*next] - before_[at + 1] >= kMuch * m_.near_bytes;
    }
  }

  Step& s_;
  const Machine& m_;
  std::map<std::string, int64_t> plan_;
  std::vector<int64_t> before_;
  int64_t touched_ = 0;
  std::map<int, std::vector<size_t>> uses_;
  std::map<std::pair<int, size_t>, Votes> votes_;
};

}  // namespace

void stream_results(Step& s, const Machine& m) {
  if (largest_temporary(s) >= m.near_bytes) Streamer(s, m).run();
}

}  // namespace gradc::passes
