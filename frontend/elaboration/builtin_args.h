// What the primitives of the language see of a call, and those that have a file of their own.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "frontend/elaboration/elaborator.h"

namespace gradc::frontend {

// The arguments of one call, by the names in the row.
struct Args {
  Elaborator& e;
  std::string function;
  std::map<std::string, Value> by_name;
  std::vector<Value> rest;  // of a function with any number of arguments
  Loc loc;

  bool has(const std::string& n) const { return by_name.count(n) != 0; }
  const Value& operator[](const std::string& n) const {
    auto it = by_name.find(n);
    if (it == by_name.end()) e.fail(loc, fmt::format("{} needs its argument '{}'", function, n));
    return it->second;
  }
  Value tensor(const std::string& n) const { return e.tensor((*this)[n], e.float_type(), loc); }
  bool flag(const std::string& n) const {
    if (!has(n)) return false;
    if (!(*this)[n].is(Value::Kind::Bool))
      e.fail(loc, fmt::format("{}= of {} is true or false", n, function));
    return (*this)[n].truth;
  }
  int64_t axis(const Value& v, int64_t rank) const {
    int64_t a = e.constant_int(v, "an axis", loc);
    if (a < -rank || a >= rank)
      e.fail(loc, fmt::format("{}: axis {} of a tensor with {} axes", function, a, rank));
    return a < 0 ? a + rank : a;
  }
  int64_t axis(int64_t rank, int64_t otherwise = -1) const {
    if (rank == 0) e.fail(loc, fmt::format("{} of a scalar has no axis", function));
    return has("over") ? axis((*this)["over"], rank) : otherwise < 0 ? otherwise + rank : otherwise;
  }
  Shape shape(const Value& v, bool may_infer = false) const {
    if (v.is(Value::Kind::Integer)) return shape(Value::list({v}), may_infer);
    if (!v.is(Value::Kind::List)) e.fail(loc, fmt::format("{} takes a shape such as [B, 10]", function));
    Shape s;
    for (const Value& d : v.items) {
      if (!d.is(Value::Kind::Integer))
        e.fail(loc, fmt::format("a dimension is an integer, not {}", e.describe(d)));
      if (d.integer.is_constant() && d.integer.constant_part() < (may_infer ? -1 : 0))
        e.fail(loc, fmt::format("{} with a dimension of {}", function, d.integer.str()));
      s.push_back(d.integer);
    }
    return s;
  }
  Value wrap(graph::NodeId n, const Value& like) const { return e.wrap(n, like.is(Value::Kind::Deferred)); }
};

// builtin_order.cpp
Value running(Args& a, const char* op);
Value argsort(Args& a);
Value sort(Args& a);
Value top_k(Args& a);
// builtin_windows.cpp
Value pad(Args& a);
Value windows(Args& a);
Value overlap_add(Args& a);

}  // namespace gradc::frontend
