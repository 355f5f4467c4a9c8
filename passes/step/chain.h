// Kernels that follow one another over the same indices. A chain knows, for each index that all of its
// kernels run over, the loop of each and where it stands in the buffers that they hand on: what one kernel
// computes for a value of the index is all that the others read for it, so that they can run value by value.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "ir/step/step.h"
#include "passes/kernel/schedule.h"

namespace gradc::passes {

// What a naive kernel does with its parameters, by axis loop.
struct KernelAccess {
  struct Use {
    bool read = false, written = false;
    // By loop: the positions, as bits, where every access has this loop's variable and nothing else; and
    // whether the place of every access moves with it.
    std::vector<uint64_t> positions;
    std::vector<bool> moves;
    double bytes = 0;  // that all accesses reach, at planned dimensions
  };
  std::vector<Dim> extents;  // of the axis loops, outermost first
  std::vector<Use> uses;     // by parameter
  double work = 0;           // scalar operations at planned dimensions
  // The loop of a sum that goes on where it stopped: one serial loop from zero, whose sum is stored as it is
  // in a parameter. As a loop it stands behind the axis loops.
  std::optional<size_t> sum;  // the parameter
  bool is_sum(size_t loop) const { return sum && loop + 1 == extents.size(); }
};

KernelAccess access_of(const kernel::Kernel& k, const ScheduleOptions& o);

// One serial loop that adds to a tile from zero, and the tile stored as it is: what `sum` stands for.
struct Sum {
  const kernel::Store* first;  // of zero
  const kernel::For* loop;
  const kernel::Store* store;
};
std::optional<Sum> sum_of(const Nest& nest);

// An index that all kernels of a chain run over.
struct SharedIndex {
  Dim extent;
  std::vector<size_t> loops;          // by member of the chain
  std::map<int, uint64_t> positions;  // by buffer, where it stands in every access; all bits are set at first
  bool summed = false;                // a member sums over it, so that its values come one after another
};

class Chain {
 public:
  Chain(const step::Run& first, const KernelAccess& access);
  // The chain with one more kernel, which reads or overwrites what the chain wrote. False, and the chain as
  // it was, where it does not or where no index is left that all share.
  bool join(const step::Run& next, const KernelAccess& access);

  // Puts an index behind all others.
  void move_last(size_t index) {
    std::rotate(shared_.begin() + static_cast<long>(index), shared_.begin() + static_cast<long>(index) + 1,
                shared_.end());
  }

  const std::vector<const step::Run*>& runs() const { return runs_; }
  const std::vector<const KernelAccess*>& accesses() const { return accesses_; }
  const std::vector<SharedIndex>& shared() const { return shared_; }
  const std::set<int>& written() const { return written_; }

 private:
  void note(const step::Run& r, const KernelAccess& a);

  std::vector<const step::Run*> runs_;
  std::vector<const KernelAccess*> accesses_;
  std::vector<SharedIndex> shared_;
  std::set<int> touched_, written_;
};

// Whether two runs must stay in their order.
bool conflict(const step::Step& s, const step::Run& a, const step::Run& b);

}  // namespace gradc::passes
