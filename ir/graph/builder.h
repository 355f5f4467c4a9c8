// Builds a function: interns nodes, infers types, remembers names and places. The short methods are the
// vocabulary in which gradients, passes and the frontend write graphs.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "ir/graph/graph.h"
#include "ir/graph/op_def.h"

namespace gradc::graph {

class Builder {
 public:
  // `module` is needed by ops that name functions.
  explicit Builder(std::string name, const Module* module = nullptr);
  // Continues a copy of a function.
  explicit Builder(Function f, const Module* module = nullptr);

  void reserve(size_t nodes);  // how many are expected
  void dim(const std::string& name, DimInfo info) { function_.dims[name] = info; }
  NodeId param(std::string_view name, Type type);
  // The general form: interned, typed by the op's rule. Throws CompileError at location() on bad operands.
  NodeId make(std::string_view op, Operands operands, Attrs attrs = {});
  NodeId make(const OpDef& op, Operands operands, Attrs attrs = {});
  // A node of `from` with other operands; its types are inferred anew only where theirs differ.
  NodeId copy(const Function& from, NodeId id, Operands operands);
  NodeId get(NodeId tuple, int index);
  void result(NodeId node, std::string name = "", NodeId into = kNone);
  Function finish();
  // The nodes from `first` on, with their names and places by number above it; the builder forgets them.
  Function take_back(NodeId first);

  const Function& function() const { return function_; }
  const Module* module() const { return module_; }
  const Node& operator[](NodeId id) const { return function_.nodes[id]; }
  const Type& type(NodeId id) const { return function_.nodes[id].types[0]; }
  const Shape& shape(NodeId id) const { return type(id).shape; }
  DType dtype(NodeId id) const { return type(id).dtype; }
  void name(NodeId id, std::string_view name);  // keeps the first name a node gets
  void set_location(Loc loc) { loc_ = loc; }
  Loc location() const { return loc_; }

  // Leaves. A constant is a splat of `shape`.
  NodeId constant(double value, DType t, const Shape& shape = {});
  NodeId zeros_like(NodeId x) { return constant(0, dtype(x), shape(x)); }
  NodeId full_like(NodeId x, double value) { return constant(value, dtype(x), shape(x)); }
  NodeId iota(const Shape& shape, int axis, DType t = DType::I64);
  NodeId dim_value(const Dim& d, DType t = DType::I64);  // the run-time value of a dimension, rank 0

  // Elementwise; operands of one shape.
  NodeId unary(std::string_view op, NodeId x) { return make(op, {x}); }
  NodeId neg(NodeId x) { return make("neg", {x}); }
  NodeId add(NodeId a, NodeId b) { return make("add", {a, b}); }
  NodeId sub(NodeId a, NodeId b) { return make("sub", {a, b}); }
  NodeId mul(NodeId a, NodeId b) { return make("mul", {a, b}); }
  NodeId div(NodeId a, NodeId b) { return make("div", {a, b}); }
  NodeId mul(NodeId a, double c) { return mul(a, full_like(a, c)); }
  NodeId add(NodeId a, double c) { return add(a, full_like(a, c)); }
  NodeId compare(std::string_view op, NodeId a, NodeId b) { return make(op, {a, b}); }  // eq ne lt le gt ge
  NodeId select(NodeId p, NodeId a, NodeId b) { return make("select", {p, a, b}); }
  NodeId convert(NodeId x, DType t);

  // Structure.
  NodeId broadcast(NodeId x, const Shape& shape,
                   const std::vector<int64_t>& dims);  // x axis n -> result axis dims[n]
  NodeId splat(NodeId scalar, const Shape& shape) { return broadcast(scalar, shape, {}); }
  NodeId reshape(NodeId x, const Shape& shape);
  NodeId transpose(NodeId x, const std::vector<int64_t>& perm);  // result axis n is x axis perm[n]
  NodeId slice(NodeId x, const Shape& start, const Shape& limit, const std::vector<int64_t>& stride = {});
  NodeId concat(const std::vector<NodeId>& xs, int axis);
  NodeId reduce(std::string_view op, NodeId x,
                const std::vector<int64_t>& axes);  // reduce_sum, reduce_max, ...
  NodeId sum(NodeId x, const std::vector<int64_t>& axes) { return reduce("reduce_sum", x, axes); }
  NodeId einsum(NodeId a, NodeId b, const std::string& spec);

 private:
  size_t key_hash(const Node& n) const;
  NodeId find(const Node& n, size_t hash) const;
  NodeId append(Node n, size_t hash);
  void intern(NodeId id, size_t hash);
  void make_places(size_t n);

  Function function_;
  const Module* module_;
  Loc loc_;
  // Nodes by hash, in a table with open addressing: a power of two of places, at most half of them taken.
  struct Place {
    size_t hash = 0;
    NodeId node = kNone;
  };
  std::vector<Place> interned_;
  size_t taken_ = 0;
  // Equal types and attributes are one list, which nodes and their copies share.
  struct Hash {
    size_t operator()(const auto& list) const { return list.hash(); }
  };
  std::unordered_set<Types, Hash> types_;
  std::unordered_set<Attrs, Hash> attrs_;
};

// Copies a node of `from` into `b` with operands mapped through `map`, keeping name and place.
NodeId copy_node(Builder& b, const Function& from, NodeId id, std::span<const NodeId> map);
// Copies all of `callee` into `b` with its parameters bound to `arguments`; returns its results.
std::vector<NodeId> inline_call(Builder& b, const Function& callee, std::span<const NodeId> arguments);

}  // namespace gradc::graph
