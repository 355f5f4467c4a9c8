// What the op families share: the tables' declarations and small helpers for rules and meanings.
#pragma once

#include <string>
#include <vector>

#include "ir/graph/builder.h"
#include "ir/graph/op_def.h"
#include "support/diagnostic.h"

namespace gradc::graph {

std::vector<OpDef> leaf_ops();
std::vector<OpDef> elementwise_ops();
std::vector<OpDef> structure_ops();
std::vector<OpDef> indexing_ops();
std::vector<OpDef> reduction_ops();
std::vector<OpDef> running_ops();
std::vector<OpDef> order_ops();
std::vector<OpDef> einsum_ops();
std::vector<OpDef> window_ops();
std::vector<OpDef> control_ops();

template <class... A>
[[noreturn]] void refuse(fmt::format_string<A...> text, A&&... args) {
  throw CompileError({}, fmt::format(text, std::forward<A>(args)...));
}
inline void require(bool ok, const std::string& text) {
  if (!ok) throw CompileError({}, text);
}

// Axis variables 0 .. n-1, the identity index map.
inline std::vector<Index> identity(size_t n) {
  std::vector<Index> at;
  for (size_t i = 0; i < n; ++i) at.push_back(Index::var(static_cast<int>(i)));
  return at;
}

// A row of one operand with a gradient rule, which its family completes.
OpDef one_operand(std::string_view name, std::string_view doc, std::vector<std::string_view> attributes);

// A meaning that moves elements: result axes, one read of operand 0 at `at`.
Meaning moves(const Type& result, DType operand, std::vector<Index> at, std::vector<Index> guards = {},
              double fill = 0);

// A read in another type, as nodes at the end of a body.
void push_read(ScalarBody& body, int read, DType own, DType wanted);

// The type of a reduction's partial results: what the attribute `accumulator` says, else the operand's own.
DType accumulator_of(const NodeView& v);
// Refuses an accumulator that is no float or holds less than the operand's type does.
void check_accumulator(const NodeView& v);

inline ScalarNode read_node(int read, DType t) {
  ScalarNode s;
  s.op = ScalarOp::Read;
  s.index = read;
  s.dtype = t;
  return s;
}
inline ScalarNode axis_node(int axis, DType t = DType::I64) {
  ScalarNode s;
  s.op = ScalarOp::Axis;
  s.index = axis;
  s.dtype = t;
  return s;
}
inline ScalarNode const_node(DType t, double v) {
  ScalarNode s;
  s.dtype = t;
  s.value = literal(t, v);
  return s;
}
inline ScalarNode op_node(ScalarOp op, DType t, std::array<int, 3> args) {
  ScalarNode s;
  s.op = op;
  s.dtype = t;
  s.args = args;
  return s;
}

using Cotangents = std::vector<NodeId>;

}  // namespace gradc::graph
