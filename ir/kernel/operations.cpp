#include "ir/kernel/operations.h"

namespace gradc::kernel {
namespace {

double count_body(const Body& body, const std::map<std::string, int64_t>& dims) {
  double total = 0;
  for (const Stmt& s : body) {
    if (const auto* c = std::get_if<Compute>(&s)) total += c->op == ScalarOp::Fma ? 2 : is_arithmetic(c->op);
    if (const auto* i = std::get_if<std::shared_ptr<const If>>(&s)) total += count_body((*i)->body, dims);
    const auto* loop = std::get_if<std::shared_ptr<const For>>(&s);
    if (!loop) continue;
    // An extent that depends on a loop around it is taken at that loop's first iteration.
    const int64_t extent = (*loop)->extent.evaluate([](int) { return int64_t(0); },
                                                    [&](const std::string& name) { return dims.at(name); });
    total += static_cast<double>(extent) * count_body((*loop)->body, dims);
  }
  return total;
}

}  // namespace

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

double count_operations(const Kernel& naive, const std::map<std::string, int64_t>& dims) {
  return count_body(naive.body, dims);
}

}  // namespace gradc::kernel
