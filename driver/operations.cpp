#include "driver/operations.h"

#include <algorithm>

#include "ir/graph/op_def.h"

namespace gradc {
namespace {

bool is_arithmetic(ScalarOp op) {
  switch (op) {
    case ScalarOp::Const:
    case ScalarOp::Axis:
    case ScalarOp::Read:
    case ScalarOp::Convert:
    case ScalarOp::Bitcast:
    case ScalarOp::Select:
    case ScalarOp::Not:
    case ScalarOp::And:
    case ScalarOp::Or:
    case ScalarOp::Eq:
    case ScalarOp::Ne:
    case ScalarOp::Lt:
    case ScalarOp::Le:
    case ScalarOp::Gt:
    case ScalarOp::Ge:
      return false;
    default:
      return true;
  }
}

double count_body(const kernel::Body& body, const std::map<std::string, int64_t>& dims) {
  double total = 0;
  for (const kernel::Stmt& s : body) {
    if (const auto* c = std::get_if<kernel::Compute>(&s))
      total += c->op == ScalarOp::Fma ? 2 : is_arithmetic(c->op);
    if (const auto* i = std::get_if<std::shared_ptr<const kernel::If>>(&s))
      total += count_body((*i)->body, dims);
    const auto* loop = std::get_if<std::shared_ptr<const kernel::For>>(&s);
    if (!loop) continue;
    // An extent that depends on a loop around it is taken at that loop's first iteration.
    const int64_t extent = (*loop)->extent.evaluate([](int) { return int64_t(0); },
                                                    [&](const std::string& name) { return dims.at(name); });
    total += static_cast<double>(extent) * count_body((*loop)->body, dims);
  }
  return total;
}

}  // namespace

double count_operations(const kernel::Kernel& naive, const std::map<std::string, int64_t>& dims) {
  return count_body(naive.body, dims);
}

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
    if (f[n].op->name == "scan") total += size(f[n].attrs.shape("length")[0]) * callee(n, "function");
    if (f[n].op->name == "cond") total += std::max(callee(n, "then"), callee(n, "otherwise"));
    if (f[n].op->name == "while") total += callee(n, "body") + callee(n, "condition");
    if (f[n].op->meaning == nullptr) continue;
    const Meaning m = graph::meaning_of(f, n);
    double elements = 1, each = m.combine == Combiner::None ? 0 : 1;
    for (const Dim& d : m.axes) elements *= size(d);
    for (const auto& node : m.body) each += node.op == ScalarOp::Fma ? 2 : is_arithmetic(node.op);
    total += elements * each;
  }
  return total;
}

}  // namespace gradc
