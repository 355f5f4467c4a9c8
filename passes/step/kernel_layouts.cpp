#include "passes/step/kernel_layouts.h"

#include <map>
#include <utility>
#include <vector>

namespace gradc::passes {
namespace {

using namespace step;

class KernelLayouts {
 public:
  KernelLayouts(Step& s, StepReport* report) : s_(s), report_(report) {}

  void run() {
    s_.body = step::map_runs(s_.body, [&](const Run& r) { return run_of(r); });
    s_.kernels = std::move(kernels_);
  }

 private:
  Run run_of(Run r) {
    r.kernel = kernel_for(r);
    if (report_) report_->kernels[runs_].kernel = r.kernel;
    ++runs_;
    return r;
  }

  int kernel_for(const Run& r) {
    std::vector<Layout> layouts;
    for (int b : r.buffers) layouts.push_back(s_.buffers[b].layout);
    auto [it, fresh] = number_.emplace(std::pair(r.kernel, layouts), static_cast<int>(kernels_.size()));
    if (fresh) {
      kernels_.push_back(s_.kernels[r.kernel]);
      for (size_t i = 0; i < layouts.size(); ++i) kernels_.back().buffers[i].layout = layouts[i];
    }
    return it->second;
  }

  Step& s_;
  StepReport* report_;
  size_t runs_ = 0;
  std::vector<kernel::Kernel> kernels_;
  std::map<std::pair<int, std::vector<Layout>>, int> number_;
};

}  // namespace

void adopt_layouts(Step& s, StepReport* report) { KernelLayouts(s, report).run(); }

}  // namespace gradc::passes
