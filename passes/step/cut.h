// How a chain of kernels is cut into tasks, by the bytes that this saves.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "passes/step/chain.h"

namespace gradc::passes {

// Every value of the first shared indices, and blocks of the last one.
struct Cut {
  size_t indices = 0;
  int64_t block = 1;
  double saved = 0;  // bytes
};

// Whether so many bytes are too many for the caches of all cores.
bool is_far(int64_t bytes, const Machine& m);
// Of the step's scratch buffers, at planned dimensions: where it is small there is nothing to gain from
// memory.
int64_t largest_temporary(const step::Step& s);

class Cutter {
 public:
  // `uses`: by buffer, how often runs, conditions and outputs name it.
  Cutter(const step::Step& s, const ScheduleOptions& o, const std::vector<int>& uses);

  // Nothing where the chain is better left alone. The longest index comes last where that saves more.
  std::optional<Cut> cut(Chain& c) const;
  // Whether a buffer is the chain's alone.
  bool is_inner(const Chain& c, int b) const;
  bool is_large(int b, const KernelAccess::Use& use) const;

 private:
  int64_t planned(const Index& e) const;
  std::optional<Cut> cut_in_order(const Chain& c) const;
  std::optional<Cut> cut(const Chain& c, size_t indices) const;
  std::pair<double, double> held(const Chain& c, size_t indices) const;
  double saved(const Chain& c, const Cut& cut) const;
  double lines_of(const Chain& c, const Cut& cut, size_t member, size_t parameter) const;
  int64_t tasks_of(const Chain& c, const Cut& cut) const;
  int64_t count(const Chain& c, const Cut& cut, size_t index) const;
  double slice_of(const Chain& c, const Cut& cut, size_t member, size_t parameter) const;

  const step::Step& s_;
  const ScheduleOptions& o_;
  const std::vector<int>& uses_;
  std::map<std::string, int64_t> plan_;
  double near_;
};

}  // namespace gradc::passes
