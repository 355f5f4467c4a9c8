// An op is a row: name, documentation, attributes, type rule, meaning, gradient. The rows stand in
// ir/ops/<family>.cpp; everything that must know an op asks its row.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/graph/graph.h"
#include "ir/meaning.h"

namespace gradc::graph {

class Builder;

// What a type rule and a meaning see of a node.
struct NodeView {
  std::span<const Type> operands;
  const Attrs& attrs;
  const Module* module = nullptr;  // for ops that name functions
};

// What a gradient rule sees: the forward node already copied into the function under construction. It
// returns, per operand, its cotangent or kNone. `cotangents` has one entry per result, kNone for a structural
// zero.
struct GradientView {
  NodeId node;
  std::span<const NodeId> operands;
  std::span<const NodeId> cotangents;
  NodeId g() const { return cotangents[0]; }
};
using GradientRule = std::vector<NodeId> (*)(Builder& b, const GradientView& v);

enum class Differentiable : uint8_t {
  Rule,     // has a gradient rule
  Zero,     // derivative is zero or the result is no float: cotangents stop here
  Control,  // expanded by the differentiation pass itself
  Missing,  // an error on a path that needs it
};

struct OpDef {
  std::string_view name;
  std::string_view doc;
  int min_operands = 0;
  int max_operands = 0;                                   // -1: any number
  std::vector<std::string_view> attributes;               // allowed names; "name!" is required
  std::vector<Type> (*infer)(const NodeView&) = nullptr;  // throws CompileError without place on bad operands
  Meaning (*meaning)(const NodeView&, const Type& result) = nullptr;  // null: own kernel or control flow
  Differentiable differentiable = Differentiable::Missing;
  GradientRule gradient = nullptr;
  bool elementwise = false;  // element i of the result depends on element i of each operand alone
  bool moves_masks = false;  // the rule only moves or sums the cotangent: given a bool mask it moves the mask
  std::optional<ScalarOp> scalar;  // elementwise ops: the scalar operation of the same name
};

// All rows, by name. `find_op` gives null for an unknown name.
std::span<const OpDef> all_ops();
const OpDef* find_op(std::string_view name);
const OpDef& op(std::string_view name);
// Throws CompileError without place where attributes are missing, unknown, of another kind, or name a
// dimension that is not in `dims`.
void check_attributes(const OpDef& def, const Attrs& attrs, const std::set<std::string>& dims);

// The meaning of a node; GRADC_CHECKs that its op has one. `fma` and `initial` follow the node's attributes.
Meaning meaning_of(const Function& f, NodeId id);
bool has_meaning(const Node& n);
Order order_of(const Node& n);

}  // namespace gradc::graph
