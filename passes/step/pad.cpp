// Rows of temporaries whose pitch is a multiple of 1 KB meet in few cache sets; 16 elements more keep them
// apart.
#include <utility>

#include "passes/step/step_passes.h"

namespace gradc::passes {
namespace {

using namespace step;

Layout padded(const Buffer& b) {
  if (b.region < Region::Scratch || b.shape.size() < 2 || !b.shape.back().is_constant()) return {};
  const int64_t row = b.shape.back().constant_part();
  if (row < 128 || row * size_of(b.dtype) % 1024 != 0) return {};
  std::vector<int64_t> padding(b.shape.size());
  padding.back() = 16;
  return Layout::padded(static_cast<int>(b.shape.size()), std::move(padding));
}

// Gives each run a kernel that knows the layouts of its buffers: a kernel that runs on buffers of several
// layouts becomes several.
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

void pad_rows(Step& s, const BufferLayouts& layouts, StepReport* report) {
  bool any = false;
  for (Buffer& b : s.buffers) {
    if (b.region == Region::State || !b.layout.is_plain()) continue;
    b.layout = layouts ? layouts({b.dtype, b.shape}, b.region) : padded(b);
    any |= !b.layout.is_plain();
  }
  if (any) KernelLayouts(s, report).run();
}

}  // namespace gradc::passes
