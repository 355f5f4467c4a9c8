#include "ir/kernel/operations.h"

#include <algorithm>

namespace gradc::kernel {
namespace {

class Counter {
 public:
  explicit Counter(const std::map<std::string, int64_t>& dims) : dims_(dims) {}

  double count(const Body& body) {
    double total = 0;
    for (const Stmt& s : body) {
      if (const auto* c = std::get_if<Compute>(&s))
        total += c->op == ScalarOp::Fma ? 2 : is_arithmetic(c->op);
      if (const auto* i = std::get_if<std::shared_ptr<const If>>(&s)) total += count((*i)->body);
      if (const auto* f = std::get_if<std::shared_ptr<const For>>(&s)) total += count(**f);
    }
    return total;
  }

 private:
  // Where the ends of loops inside depend on this one, iterations evenly spread stand for all.
  double count(const For& f) {
    constexpr int64_t kSamples = 32;
    const int64_t n = f.extent.evaluate([&](int v) { return at_[v]; },
                                        [&](const std::string& name) { return dims_.at(name); });
    if (n <= 0) return 0;
    bool ragged = false;
    walk(f.body, [&](const Stmt& s) {
      const auto* inner = std::get_if<std::shared_ptr<const For>>(&s);
      ragged |= inner && (*inner)->extent.uses_var(f.var);
    });
    const int64_t samples = ragged ? std::min(n, kSamples) : 1;
    double sum = 0;
    for (int64_t i = 0; i < samples; ++i) {
      at_[f.var] = samples > 1 ? i * n / samples : 0;
      sum += count(f.body);
    }
    return static_cast<double>(n) * sum / static_cast<double>(samples);
  }

  const std::map<std::string, int64_t>& dims_;
  std::map<int, int64_t> at_;
};

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
  return Counter(dims).count(naive.body);
}

}  // namespace gradc::kernel
