#include "passes/extend/narrow.h"

#include <algorithm>

#include "ir/graph/op_def.h"
#include "passes/extend/places.h"
#include "support/diagnostic.h"

namespace gradc::passes {
namespace {

using namespace graph;

constexpr int kAll = -1, kOtherwise = -2, kUnread = -3;

bool uses(const std::vector<Index>& list, int axis) {
  return std::any_of(list.begin(), list.end(), [&](const Index& e) { return e.uses_var(axis); });
}

// The operand's axis that a read takes at the index of `axis`; kAll where it does not depend on that.
int row_axis(const Read& r, int axis) {
  if (uses(r.guards, axis)) return kOtherwise;
  int found = kAll;
  for (size_t a = 0; a < r.at.size(); ++a) {
    if (!r.at[a].uses_var(axis)) continue;
    if (found != kAll || r.at[a].as_var() != axis) return kOtherwise;
    found = static_cast<int>(a);
  }
  return found;
}

// By operand; nothing where the node needs more of one than a row or all of it, or its own position.
std::optional<std::vector<int>> rows_of(const Meaning& m, size_t operands, int axis) {
  std::vector<int> rows(operands, kUnread);
  for (const Read& r : m.reads) {
    int& row = rows[static_cast<size_t>(r.operand)];
    const int found = row_axis(r, axis);
    if (found == kOtherwise || (row != kUnread && row != found)) return std::nullopt;
    row = found;
  }
  for (const ScalarNode& n : m.body)
    if (n.op == ScalarOp::Axis && n.index == axis) return std::nullopt;
  if (uses(m.values, axis)) return std::nullopt;
  std::replace(rows.begin(), rows.end(), kUnread, kAll);
  return rows;
}

// Shapes of results, and ends of slices, of one row. What does not fit is found when meanings are compared.
Attrs of_one_row(const Node& n, int axis) {
  Attrs out = n.attrs;
  const auto a = static_cast<size_t>(axis);
  for (const char* name : {"shape", "limit"})
    if (const AttrValue* v = n.attrs.find(name))
      if (const Shape* s = std::get_if<Shape>(v); s && s->size() == n.type().shape.size()) {
        Shape one = *s;
        one[a] = 1;
        out = out.with(name, one);
      }
  return out;
}

bool same(const ScalarNode& a, const ScalarNode& b) {
  return a.op == b.op && a.dtype == b.dtype && a.args == b.args && a.index == b.index && a.value == b.value;
}

bool same_at_first(const std::vector<Index>& a, const std::vector<Index>& b, int axis) {
  auto at_first = [&](int v) { return v == axis ? Index(0) : Index::var(v); };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](const Index& x, const Index& y) {
    return x.substitute(at_first) == y.substitute(at_first);
  });
}

// The whole's meaning at one index of the axis, where rows are read at their only one.
bool same_row(const Meaning& whole, const Meaning& row, int axis) {
  std::vector<Dim> axes = whole.axes;
  axes[static_cast<size_t>(axis)] = 1;
  const bool frame = row.axes == axes && row.outputs == whole.outputs && row.combine == whole.combine &&
                     row.order == whole.order && row.accumulator == whole.accumulator &&
                     row.initial == whole.initial && row.fma == whole.fma;
  return frame && same_at_first(whole.values, row.values, axis) &&
         same_at_first(whole.where, row.where, axis) &&
         std::equal(whole.body.begin(), whole.body.end(), row.body.begin(), row.body.end(), same) &&
         std::equal(whole.reads.begin(), whole.reads.end(), row.reads.begin(), row.reads.end(),
                    [&](const Read& a, const Read& b) {
                      return a.operand == b.operand && a.fill == b.fill && same_at_first(a.at, b.at, axis) &&
                             same_at_first(a.guards, b.guards, axis);
                    });
}

}  // namespace

std::optional<Narrowed> narrowed(const Function& f, const Module& m, NodeId n, int axis) {
  const Node& node = f[n];
  if (!has_meaning(node)) return std::nullopt;
  Meaning whole = without_unit_axes(meaning_of(f, n), axis);
  // Terms that a mask makes zero are left out of whole tensors (pass skip). For one row they are added: zeros.
  const bool leaves_out = uses(whole.where, axis);
  if (leaves_out) whole.where.clear();
  const auto rows = rows_of(whole, node.operands.size(), axis);
  if (!rows) return std::nullopt;
  std::vector<Type> types;
  for (size_t i = 0; i < node.operands.size(); ++i) {
    types.push_back(f.type(node.operands[i]));
    if ((*rows)[i] >= 0) types.back().shape[static_cast<size_t>((*rows)[i])] = 1;
  }
  Narrowed out{of_one_row(node, axis), *rows};
  if (leaves_out) out.attrs = out.attrs.without("where");
  try {
    const NodeView view{types, out.attrs, &m};
    const std::vector<Type> results = node.op->infer(view);
    const Meaning row = without_unit_axes(node.op->meaning(view, results[0]), axis);
    if (!same_row(whole, row, axis)) return std::nullopt;
  } catch (const CompileError&) {  // the op's rule refuses it
    return std::nullopt;
  }
  return out;
}

}  // namespace gradc::passes
