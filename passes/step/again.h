// Results that are made again for later readers, by the runs that made them first: the same kernels give the
// same bits. What is worth that is for the passes to say.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "passes/step/chain.h"
#include "passes/step/step_passes.h"

namespace gradc::passes {

class Again {
 public:
  struct Item {
    step::Run run;
    StepReport::KernelNote note;
  };
  using Items = std::vector<Item>;

  Again(step::Step& s, const ScheduleOptions& o, StepReport* report);

  // Calls `work` on the runs of each straight stretch of the step, which take their place.
  void each_stretch(const std::function<void(Items&)>& work);

  const kernel::Kernel& kernel_of(const step::Run& r) const { return s_.kernels[r.kernel]; }
  const step::Buffer& buffer(int b) const { return s_.buffers[b]; }
  int uses(int b) const { return uses_.at(b); }
  int64_t bytes(int b) const { return step::bytes_of(s_.buffers[b], plan_); }
  bool is_scratch(int b) const { return s_.buffers[b].region == step::Region::Scratch; }
  bool has_one_writer(int b) const { return writers_.at(b) == 1; }
  KernelAccess access(const step::Run& r) const { return access_of(s_.kernels[r.kernel], o_); }
  double work(const step::Run& r) const { return planned_work(s_.kernels[r.kernel], o_); }
  static bool names(const step::Run& r, int b);
  bool writes_to(const step::Run& r, int b) const;
  // The runs from `first` on that name `b`; nothing where runs elsewhere do, too.
  std::vector<size_t> touches(const Items& items, int b, size_t first) const;

  // The runs that make what run `i` made once more, at `at`: itself and those of its operands that are `gone`
  // by then and that no later run names. False where an operand has changed or cannot be made.
  bool collect(const Items& items, size_t i, size_t at, const std::function<bool(int)>& gone,
               std::set<size_t>& again) const;
  // Those runs once more, before `at`: what they make serves all later readers.
  void insert(Items& items, const std::set<size_t>& again, size_t at);
  // The same for many places at once: before each the runs that are made again there, in order.
  void insert(Items& items, const std::map<size_t, std::vector<size_t>>& again);

 private:
  step::Body body(const step::Body& b, const std::function<void(Items&)>& work);
  void flush(Items items, step::Body& out, const std::function<void(Items&)>& work);
  bool writes(const step::Run& r, size_t i) const;
  Item clone(Item item, std::map<int, int>& renamed);
  void rename(step::Run& r, const std::map<int, int>& renamed);
  std::string unused(const std::string& name) const;

  step::Step& s_;
  ScheduleOptions o_;
  StepReport* report_;
  std::map<std::string, int64_t> plan_;
  std::map<int, int> uses_, writers_;  // by buffer, in the whole step
  std::set<std::string> taken_;        // names of buffers
  std::vector<StepReport::KernelNote> notes_;
  size_t seen_ = 0;
};

}  // namespace gradc::passes
