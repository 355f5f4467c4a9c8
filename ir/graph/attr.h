// Attributes of a node: a small sorted list of names and values, immutable and shared, with its hash.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "ir/dtype.h"
#include "ir/index.h"
#include "ir/type.h"

namespace gradc::graph {

// One value. A Shape also holds lists of integers; FunctionRef prints as @name.
struct FunctionRef {
  std::string name;
  bool operator==(const FunctionRef&) const = default;
};
using AttrValue = std::variant<bool, int64_t, double, std::string, DType, Shape, FunctionRef,
                               std::vector<double>, std::vector<FunctionRef>>;

class Attrs {
 public:
  Attrs() = default;
  Attrs(std::initializer_list<std::pair<std::string, AttrValue>> list);

  using List = std::vector<std::pair<std::string, AttrValue>>;
  bool empty() const { return !list_; }
  const List& list() const;
  const AttrValue* find(std::string_view name) const;
  bool has(std::string_view name) const { return find(name) != nullptr; }
  Attrs with(std::string name, AttrValue value) const;
  Attrs without(std::string_view name) const;

  // Typed access; a missing or mistyped attribute is an internal error unless a default is given.
  int64_t integer(std::string_view name) const;
  int64_t integer(std::string_view name, int64_t otherwise) const;
  double number(std::string_view name) const;
  double number(std::string_view name, double otherwise) const;
  bool flag(std::string_view name, bool otherwise = false) const;
  const std::string& text(std::string_view name) const;
  std::string text(std::string_view name, std::string_view otherwise) const;
  DType dtype(std::string_view name) const;
  const Shape& shape(std::string_view name) const;
  std::vector<int64_t> integers(std::string_view name) const;
  const std::string& function(std::string_view name) const;

  bool operator==(const Attrs& o) const;
  size_t hash() const { return list_ ? list_->hash : 0; }
  const void* identity() const { return list_.get(); }  // equal for copies of one list
  std::string str() const;                              // {dims=[1], shape=[B,128]}, or "" when empty

 private:
  struct Hashed {
    List list;  // not empty
    size_t hash = 0;
  };
  static Attrs make(List list);

  std::shared_ptr<const Hashed> list_;
};

Shape ints(const std::vector<int64_t>& values);

}  // namespace gradc::graph
