#include "passes/lower/lift_keys.h"

#include <map>

namespace gradc::passes {
namespace {

using namespace kernel;

class Lifter {
 public:
  explicit Lifter(Kernel& k) : k_(k) {}

  std::vector<Index> run() {
    walk(k_.body, [&](const Stmt& s) {
      const auto* c = std::get_if<Compute>(&s);
      if (!c) return;
      if (c->op == ScalarOp::Const) constants_.emplace(c->result, c->value.i);
      if (c->op != ScalarOp::RngBits) return;
      if (auto it = constants_.find(c->args[1]); it != constants_.end()) lift(*it);
    });
    if (!values_.empty()) k_.body = map_statements(k_.body, [&](const Stmt& s) { return lifted(s); });
    return std::move(values_);
  }

 private:
  void lift(const std::pair<const Value, int64_t>& constant) {
    if (!variables_.emplace(constant.first, k_.vars).second) return;
    k_.params.push_back(k_.vars++);
    values_.emplace_back(constant.second);
  }

  Stmt lifted(const Stmt& s) const {
    const auto* c = std::get_if<Compute>(&s);
    const auto it = c ? variables_.find(c->result) : variables_.end();
    if (it == variables_.end()) return s;
    return Compute{c->result, ScalarOp::Axis, c->dtype, {-1, -1, -1}, {}, Index::var(it->second)};
  }

  Kernel& k_;
  std::map<Value, int64_t> constants_;
  std::map<Value, int> variables_;
  std::vector<Index> values_;
};

}  // namespace

std::vector<Index> lift_keys(Kernel& k) { return Lifter(k).run(); }

}  // namespace gradc::passes
