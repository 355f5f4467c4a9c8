// All op rows, from the families, found by name.
#include <unordered_map>

#include "ir/ops/rows.h"
#include "support/check.h"

namespace gradc::graph {
namespace {

struct Table {
  std::vector<OpDef> rows;
  std::unordered_map<std::string_view, const OpDef*> by_name;

  Table() {
    for (auto family : {leaf_ops(), elementwise_ops(), structure_ops(), indexing_ops(), reduction_ops(),
                        running_ops(), order_ops(), einsum_ops(), window_ops(), control_ops()})
      rows.insert(rows.end(), family.begin(), family.end());
    for (const OpDef& d : rows) {
      GRADC_CHECK(by_name.emplace(d.name, &d).second, "op {} has two rows", d.name);
      GRADC_CHECK((d.gradient != nullptr) == (d.differentiable == Differentiable::Rule),
                  "op {}: rule and kind disagree", d.name);
    }
  }
};

const Table& table() {
  static const Table t;
  return t;
}

}  // namespace

std::span<const OpDef> all_ops() { return table().rows; }

const OpDef* find_op(std::string_view name) {
  auto it = table().by_name.find(name);
  return it == table().by_name.end() ? nullptr : it->second;
}

bool can_be_negative(const Index& e) {
  for (int64_t size = 1; size <= 3; ++size)
    if (e.evaluate([](int) -> int64_t { return 0; }, [&](const std::string&) { return size; }) < 0)
      return true;
  return false;
}

OpDef one_operand(std::string_view name, std::string_view doc, std::vector<std::string_view> attributes) {
  OpDef r;
  r.name = name;
  r.doc = doc;
  r.attributes = std::move(attributes);
  r.min_operands = r.max_operands = 1;
  r.differentiable = Differentiable::Rule;
  return r;
}

Meaning moves(const Type& result, DType operand, std::vector<Index> at, std::vector<Index> guards,
              double fill) {
  Meaning m;
  m.axes = result.shape;
  m.outputs = result.rank();
  m.reads = {{0, std::move(at), std::move(guards), fill}};
  m.body = {read_node(0, operand)};
  return m;
}

}  // namespace gradc::graph
