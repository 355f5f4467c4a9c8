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

// The types of a node's operands, as a list or where they stand in a function. It owns nothing.
class OperandTypes {
 public:
  OperandTypes(std::span<const Type> list) : list_(list.data()), size_(list.size()) {}  // NOLINT: the same
  OperandTypes(const std::vector<Type>& list) : OperandTypes(std::span(list)) {}        // NOLINT: the same
  OperandTypes(const Function& f, std::span<const NodeId> nodes)
      : f_(&f), nodes_(nodes.data()), size_(nodes.size()) {}

  const Type& operator[](size_t i) const { return f_ ? f_->type(nodes_[i]) : list_[i]; }
  size_t size() const { return size_; }
  OperandTypes from(size_t first) const {  // without the first ones
    OperandTypes rest = *this;
    (f_ ? void(rest.nodes_ += first) : void(rest.list_ += first));
    rest.size_ -= first;
    return rest;
  }
  std::vector<Type> copy() const {
    std::vector<Type> out;
    for (const Type& t : *this) out.push_back(t);
    return out;
  }

  struct Iterator {
    const OperandTypes* of;
    size_t at;
    const Type& operator*() const { return (*of)[at]; }
    Iterator& operator++() { return ++at, *this; }
    bool operator!=(const Iterator& o) const { return at != o.at; }
  };
  Iterator begin() const { return {this, 0}; }
  Iterator end() const { return {this, size_}; }

 private:
  const Function* f_ = nullptr;
  const NodeId* nodes_ = nullptr;
  const Type* list_ = nullptr;
  size_t size_ = 0;
};

// What a type rule and a meaning see of a node.
struct NodeView {
  OperandTypes operands;
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

// How an op is computed: by its meaning, or as each engine does what has none.
enum class Form : uint8_t {
  Meaning,
  Parameter,
  Get,
  Call,
  ValueAndGrad,
  Scan,
  Cond,
  While,
  AddRows,  // rows added to those that numbers name
  Running,  // ir/ops/running_spec.h
  Order,    // ir/ops/order_spec.h
};

struct OpDef {
  std::string_view name;
  std::string_view doc;
  int min_operands = 0;
  int max_operands = 0;                                   // -1: any number
  std::vector<std::string_view> attributes;               // allowed names; "name!" is required
  std::vector<Type> (*infer)(const NodeView&) = nullptr;  // throws CompileError without place on bad operands
  Meaning (*meaning)(const NodeView&, const Type& result) = nullptr;  // null: `form` says what it is
  Form form = Form::Meaning;
  Differentiable differentiable = Differentiable::Missing;
  GradientRule gradient = nullptr;
  bool elementwise = false;  // element i of the result depends on element i of each operand alone
  bool moves_masks = false;  // the rule only moves or sums the cotangent: given a bool mask it moves the mask
  bool updates = false;  // own kernel: the first operand with some elements changed, in its place if nothing
                         // needs the old ones
  std::optional<ScalarOp> scalar;  // elementwise ops: the scalar operation of the same name
};

// All rows, by name. `find_op` gives null for an unknown name.
std::span<const OpDef> all_ops();
const OpDef* find_op(std::string_view name);
const OpDef& op(std::string_view name);
// Throws CompileError without place where attributes are missing, unknown, of another kind, or name a
// dimension that is not in `dims`.
void check_attributes(const OpDef& def, const Attrs& attrs, const std::set<std::string>& dims);

// The meaning of a node; GRADC_CHECKs that its op has one.
Meaning meaning_of(const Function& f, NodeId id);
bool has_meaning(const Node& n);
// Whether a size or position is negative where every dimension is 1, 2 or 3: a counterexample, so that what
// is refused is wrong for some batch.
bool can_be_negative(const Index& e);

// What the attribute `order` says; rows carry it into the meaning.
Order order_of(const Attrs& a);
inline Order order_of(const Node& n) { return order_of(n.attrs); }

}  // namespace gradc::graph
