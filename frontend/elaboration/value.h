// What an expression of the language stands for while a model is elaborated: numbers that are known now,
// tensors in the graph under construction, functions, layers and lists.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/syntax/ast.h"
#include "ir/graph/graph.h"

namespace gradc::frontend {

struct Choice;
struct Closure;
struct Instance;
struct FileScope;

// What a message says of a tensor: "input x, 3:5". Names outlive all values.
struct Origin {
  std::string_view kind, name;
  Loc loc;
};

struct Value {
  enum class Kind : uint8_t {
    None,
    Integer,   // `integer`: a number, or an expression of symbolic dimensions
    Real,      // `real`
    Bool,      // `truth`
    String,    // `text`
    Tensor,    // `node` of the function under construction
    Deferred,  // `node` of the function that runs once at the end of a split or pass
    Fn,
    Layer,     // a layer's definition, not applied to a configuration
    Instance,  // a layer with its configuration and parameters
    List,
    Error,  // reported already
  };
  Kind kind = Kind::None;
  Index integer;
  double real = 0;
  bool truth = false;
  bool scalar = false;  // Tensor: a run-time scalar, f64[] that is rounded once where it meets a tensor
  std::string text;
  graph::NodeId node = graph::kNone;
  std::shared_ptr<const Choice> choice;  // Tensor: one of two literals, that takes the type of what it meets
  std::shared_ptr<const Closure> fn;     // Fn, Layer
  std::shared_ptr<Instance> instance;
  std::vector<Value> items;
  int64_t size = 1;  // with those of its items
  Origin origin;
  Loc loc;  // where it was bound

  bool is(Kind k) const { return kind == k; }
  bool is_tensor() const { return kind == Kind::Tensor || kind == Kind::Deferred; }
  bool is_number() const { return kind == Kind::Integer || kind == Kind::Real; }
  // A number that is known now; an expression of dimensions is not.
  bool is_constant() const { return kind == Kind::Real || (kind == Kind::Integer && integer.is_constant()); }
  // No element type of its own.
  bool is_weak() const { return !is_tensor() || scalar || choice != nullptr; }
  static Value of(Index i) {
    Value v;
    v.kind = Kind::Integer;
    v.integer = std::move(i);
    return v;
  }
  static Value of(double r) {
    Value v;
    v.kind = Kind::Real;
    v.real = r;
    return v;
  }
  static Value of(bool t) {
    Value v;
    v.kind = Kind::Bool;
    v.truth = t;
    return v;
  }
  static Value of(std::string s) {
    Value v;
    v.kind = Kind::String;
    v.text = std::move(s);
    return v;
  }
  static Value list(std::vector<Value> items) {
    Value v;
    v.kind = Kind::List;
    v.items = std::move(items);
    return v;
  }
};

// a if condition else b over literals; arithmetic with another literal is done on both.
struct Choice {
  Value condition, a, b;
  int leaves = 2;
};

// Names and values of one body; a block's scope sees those around it.
struct Scope {
  Scope* outer = nullptr;
  const FileScope* file = nullptr;
  std::map<std::string, Value> names;

  Value* find(const std::string& name) {
    for (Scope* s = this; s != nullptr; s = s->outer)
      if (auto it = s->names.find(name); it != s->names.end()) return &it->second;
    return nullptr;
  }
};

// A function, written or built in, with the arguments that are bound already.
struct Closure {
  const Callable* definition = nullptr;  // null: built in, by `name`
  const FileScope* home = nullptr;
  std::string name;
  std::vector<Value> positional;
  std::map<std::string, Value> named;
};

// A layer with its configuration: owns the parameters below `path`.
struct Instance {
  const Callable* definition = nullptr;
  const FileScope* home = nullptr;
  std::string path;
  std::map<std::string, Value> config;
  std::map<std::string, Value> members;  // parameters and states, once applied
  std::map<std::string, int> children;   // how often an anonymous type occurred, for dense_2
  int calls = 0;
  std::vector<std::shared_ptr<Instance>>
      made;  // layers of its body in order: applied again, it meets the same ones
  size_t next_made = 0;
  int draws = 0;  // random sites of the call under way
  Loc loc;
  Instance* parent = nullptr;
};

}  // namespace gradc::frontend
