#include "driver/operations.h"

#include <algorithm>

#include "ir/graph/op_def.h"
#include "ir/kernel/operations.h"

namespace gradc {

double count_operations(const graph::Module& module, const graph::Function& f) {
  double total = 0;
  auto size = [&](const Dim& d) {
    return static_cast<double>(d.evaluate({}, [&](const std::string& name) {
      const graph::DimInfo& info = f.dims.at(name);
      return info.plan > 0 ? info.plan : std::max<int64_t>(1, info.max);
    }));
  };
  auto callee = [&](graph::NodeId n, std::string_view attribute) {
    return count_operations(module, module.at(f[n].attrs.function(attribute)));
  };
  for (graph::NodeId n = 0; n < f.nodes.size(); ++n) {
    if (f[n].op->form == graph::Form::Scan)
      total += size(f[n].attrs.shape("length")[0]) * callee(n, "function");
    if (f[n].op->form == graph::Form::Cond) total += std::max(callee(n, "then"), callee(n, "otherwise"));
    if (f[n].op->form == graph::Form::While) total += callee(n, "body") + callee(n, "condition");
    if (f[n].op->meaning == nullptr) continue;
    const Meaning m = graph::meaning_of(f, n);
    double elements = 1, each = m.combine == Combiner::None ? 0 : 1;
    std::vector<int64_t> extents;
    for (const Dim& d : m.axes) {
      elements *= size(d);
      extents.push_back(static_cast<int64_t>(size(d)));
    }
    if (!m.where.empty()) elements *= share_within(m.where, extents);
    for (const auto& node : m.body) each += node.op == ScalarOp::Fma ? 2 : kernel::is_arithmetic(node.op);
    total += elements * each;
  }
  return total;
}

}  // namespace gradc
