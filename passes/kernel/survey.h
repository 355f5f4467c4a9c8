// What the policy of schedules asks about a naive kernel: its accesses, what lanes and rows along an axis
// meet, its extents at planned dimensions.
#pragma once

#include <set>
#include <vector>

#include "passes/kernel/schedule.h"

namespace gradc::passes {

class Survey {
 public:
  Survey(const kernel::Kernel& k, const ScheduleOptions& o);
  // Scalar operations.
  double total_work() const;

 protected:
  static constexpr int64_t kPage = 4096;
  static constexpr int64_t kFewSets = 1024;  // bytes; what lies a multiple of it apart meets in few sets
  struct Access {
    int buffer;
    const std::vector<Index>* at;
    int loops;      // around it
    int64_t pitch;  // bytes from one step of the innermost loop that moves it to the next; 0 if unknown
    double times;   // that these make it for one element
    bool unstaged;  // no panel can stand for it
    bool guarded;
  };
  // What lanes along an axis meet: accesses that are neither uniform nor contiguous along it.
  struct Strided {
    int inner = 0;  // in the innermost loops
    int outer = 0;
    int fixed = 0;  // inner ones that no panel can be staged for
  };
  int64_t planned(const Index& e) const;
  Strided strided_accesses(size_t axis) const;
  // Of a sum with lanes along an axis, in multiply-adds of vectors: those, and moving what lies apart.
  double cost_of_lanes(size_t axis) const;
  // Whether many iterations of some axis read the same.
  bool shared_widely(const Index& place) const;
  // Whether some load in the innermost loops serves all rows of a tile along an axis.
  bool shares_loads(size_t axis) const;
  // How many of the innermost loads differ from row to row along an axis and from lane to lane.
  int loads_of_rows_and_lanes(size_t rows, size_t lanes) const;
  // Whether a tile has rows enough along an axis, and what they read in the innermost loops does not meet in
  // few sets of a cache.
  bool suits_rows(size_t axis) const;
  // Whether rows along an axis read pages of their own.
  bool pages_apart(size_t axis) const;
  // Whether the place moves with an inner loop, or with something that is bound inside.
  bool uses_other_than_axes(const Index& place) const;
  bool transposes(size_t lanes, size_t rows) const;
  // Whether what rows along an axis read at one step of the sum lies side by side, the next a page farther,
  // and all of it beyond the near cache; the pitch a multiple of so many bytes.
  bool far_rows_are_pages(size_t axis, int64_t multiple = 1) const;
  // Whether so many vectors along an axis, from a multiple of them on, cross no block of a layout.
  bool lie_together(size_t axis, int64_t vectors) const;
  // Bytes that the sums read side by side along an axis.
  double bytes_side_by_side(size_t axis) const;
  // The outermost loop of the sum, if its end is not constant.
  const kernel::For* open_sum() const;
  // Of the part of a buffer that an access reaches in one call.
  double bytes_of(const Access& a) const;
  // Of what the kernel reads and writes, each part once.
  double bytes_of_all_accesses() const;

  int64_t extent(size_t axis) const { return planned(nest_.loops[axis]->extent); }
  bool constant(size_t axis) const { return nest_.loops[axis]->extent.is_constant(); }

  const kernel::Kernel& k_;
  const ScheduleOptions& o_;
  Nest nest_;
  std::vector<Access> accesses_;
  std::set<size_t> ragged_;  // axes that the ends of inner loops depend on
  int deepest_ = 0;
  double terms_ = 1;  // of the longest sum, or runs of the innermost statement for one element
  bool has_vector_ = false, has_serial_ = false, has_branch_ = false, rows_ = false, wide_ = false;
  int accumulators_ = 0;

 private:
  std::vector<int> around_;  // variables of the loops inside the axes, around what is looked at
  // Of an axis that the ends of inner loops depend on; else they do not depend on the variable.
  int64_t middle(int var) const;
  void survey(const kernel::Body& body, int loops, double times);
  void note(int buffer, const std::vector<Index>& at, int loops, double times, bool stored, bool guarded);
  double work_of(const kernel::Body& body) const;
};

}  // namespace gradc::passes
