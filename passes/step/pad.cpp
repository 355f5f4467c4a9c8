// Rows of temporaries whose pitch is a multiple of 1 KB meet in few cache sets; 16 elements more keep them
// apart.
#include <utility>

#include "passes/step/kernel_layouts.h"
#include "passes/step/panels.h"
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

}  // namespace

void pad_rows(Step& s, const BufferLayouts& layouts, const Machine& m, StepReport* report) {
  const std::set<int> in_panels = layouts ? std::set<int>{} : panels_of_loops(s, m);
  bool any = false;
  for (int i = 0; i < static_cast<int>(s.buffers.size()); ++i) {
    Buffer& b = s.buffers[static_cast<size_t>(i)];
    if (b.region == Region::State || !b.layout.is_plain()) continue;
    b.layout = layouts ? layouts({b.dtype, b.shape}, b.region) : in_panels.count(i) ? panels(m) : padded(b);
    any |= !b.layout.is_plain();
  }
  if (any) adopt_layouts(s, report);
}

}  // namespace gradc::passes
