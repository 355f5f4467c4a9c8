// The graph IR: pure tensor functions in SSA form. Nodes are immutable and interned within their function; a
// pass maps a function to a new function. A node with several results is read through `get {index=i}`.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ir/graph/attr.h"
#include "ir/graph/operands.h"
#include "ir/type.h"
#include "support/source.h"

namespace gradc::graph {

struct OpDef;

// The types of a node's results. Immutable and shared: a copy of a node copies a pointer.
class Types {
 public:
  Types() = default;
  Types(std::vector<Type> list)  // NOLINT: a list of types is that
      : list_(std::make_shared<const std::vector<Type>>(std::move(list))) {}
  Types(std::initializer_list<Type> list) : Types(std::vector<Type>(list)) {}

  size_t size() const { return list_ ? list_->size() : 0; }
  bool empty() const { return size() == 0; }
  const Type& operator[](size_t i) const { return (*list_)[i]; }
  auto begin() const { return list().begin(); }
  auto end() const { return list().end(); }
  bool operator==(const Types& o) const { return list_ == o.list_ || list() == o.list(); }
  size_t hash() const;
  const void* identity() const { return list_.get(); }  // equal for copies of one list

 private:
  const std::vector<Type>& list() const {
    static const std::vector<Type> none;
    return list_ ? *list_ : none;
  }
  std::shared_ptr<const std::vector<Type>> list_;
};

struct Node {
  const OpDef* op = nullptr;
  Operands operands;
  Attrs attrs;
  Types types;  // one, except for control flow and value_and_grad

  const Type& type() const { return types[0]; }
};

// A symbolic dimension of a function: bound 0 means none known; `plan` is the value that cost decisions
// assume.
struct DimInfo {
  int64_t max = 0;
  int64_t plan = 0;
  bool operator==(const DimInfo&) const = default;
};

struct Result {
  NodeId node = kNone;
  NodeId into = kNone;  // the donated parameter whose storage takes this result
  std::string name;     // the name of an output, "" when it has none
};

// What is known of some nodes besides what they compute, by node.
template <class T>
class SideTable {
 public:
  // Null where nothing is known.
  const T* find(NodeId n) const { return n < list_.size() && list_[n] != T{} ? &list_[n] : nullptr; }
  const T& at(NodeId n) const { return list_.at(n); }
  void set(NodeId n, T value) {
    if (n >= list_.size()) list_.resize(n + 1);
    list_[n] = std::move(value);
  }

 private:
  std::vector<T> list_;
};

// The node list is in definition order; parameters are nodes with the op "parameter".
struct Function {
  std::string name;
  std::map<std::string, DimInfo> dims;
  std::vector<Node> nodes;
  std::vector<NodeId> params;
  std::vector<Result> results;
  std::map<std::string, std::string> notes;  // named settings that hold for the function, e.g. fma=off
  SideTable<std::string> names;              // user names without %
  SideTable<Loc> locs;                       // where a node comes from

  const Node& operator[](NodeId id) const { return nodes[id]; }
  const Type& type(NodeId id) const { return nodes[id].types[0]; }
  bool is_donated(NodeId param) const;
  bool fuses() const;  // multiply-adds have one rounding: unless it says fma=off
  std::vector<Type> param_types() const;
  std::vector<Type> result_types() const;
};

struct Module {
  std::map<std::string, Function> functions;

  const Function* find(std::string_view name) const;
  const Function& at(std::string_view name) const;
  // Functions marked private (a note) go where no other function names them any more.
  void drop_unnamed();
};

// How many functions, on the average, are worth a thread of a pass.
size_t functions_a_thread(const Module& m);

std::string print(const Function& f);
std::string print(const Module& m);
// Throws CompileError with the place in the text. Types may be omitted where they can be inferred.
Module parse(std::string_view text, uint32_t file = 0);

// Checks the invariants listed at the top of verify.cpp; throws InternalError with the node's text.
void verify(const Function& f, const Module& m);
void verify(const Module& m);

}  // namespace gradc::graph
