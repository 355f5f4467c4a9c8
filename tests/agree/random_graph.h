// Random graphs: every row of the op table is drawn by its sample rule (op_samples.h) over values made so
// far, in all element types, with fan-out, shared operands, deep chains, functions as bodies of control flow,
// and donated state that is exchanged, read late, updated and returned. Extents are those around lane widths.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <random>

#include "ir/graph/builder.h"
#include "support/diagnostic.h"

namespace gradc::test {

class RandomGraph {
 public:
  using NodeId = graph::NodeId;

  explicit RandomGraph(uint64_t seed) : random_(seed), b_("f", &m_) {
    static constexpr int64_t largest[] = {9, 9, 17, 33};
    most_ = largest[seed / 4 % 4];
    b_.dim("B", {most_, most_ - 1});
  }
  RandomGraph(const RandomGraph&) = delete;

  // The largest batch, and the smallest, which slices of the batch need.
  int64_t largest_batch() const { return most_; }
  int64_t smallest_batch() const { return least_; }

  graph::Module make() {
    for (int i = 0; i < 3; ++i) new_param({dtype(), random_shape()});
    const Type state{pick(4) ? DType::F32 : number(), random_shape()};
    std::vector<NodeId> states;
    for (int i = 0; i < 3; ++i) states.push_back(keep(b_.param(fmt::format("state{}", i), state)));
    keep(b_.param("symbolic", {DType::F32, {Index::dim("B"), extent()}}));
    const int ops = 4 + pick(14);
    for (int i = 0; i < ops; ++i) step();
    update(states);
    results(1 + pick(3));
    m_.functions.insert_or_assign("f", b_.finish());
    return std::move(m_);
  }

  // @f: a function with its gradients.
  graph::Module make_gradient() {
    for (int i = 0; i < 3; ++i) new_param({pick(5) ? DType::F32 : DType::F64, random_shape()});
    keep(b_.param("symbolic", {DType::F32, {Index::dim("B"), extent()}}));
    keep_all(gradients());
    results(1 + pick(3));
    m_.functions.insert_or_assign("f", b_.finish());
    return std::move(m_);
  }

  // --- what sample rules use -----------------------------------------------------------------------------
  graph::Builder& builder() { return b_; }
  const Shape& shape(NodeId n) const { return b_.shape(n); }
  int depth() const { return depth_; }
  int pick(int n) { return static_cast<int>(random_() % static_cast<uint64_t>(n)); }
  template <class T, size_t N>
  T one_of(const T (&list)[N]) {
    return list[pick(static_cast<int>(N))];
  }

  Dim extent() {
    static constexpr int64_t extents[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65};
    if (pick(6) == 0) return Index::dim("B");
    if (pick(40) == 0) return pick(2) ? 0 : 300;
    return one_of(extents);
  }
  Shape random_shape() {
    Shape s;
    const int rank = pick(4);
    for (int i = 0; i < rank; ++i) s.push_back(extent());
    return small(s) ? s : Shape{extent()};
  }
  int64_t elements(const Shape& s) const {
    return element_count(s).evaluate([](int) -> int64_t { return 0; },
                                     [&](const std::string&) { return most_; });
  }
  bool small(const Shape& s) const { return elements(s) <= 3000; }
  DType number() {
    static constexpr DType types[] = {DType::F64, DType::I32, DType::I64, DType::U8};
    return pick(3) ? DType::F32 : one_of(types);
  }
  DType dtype() { return pick(8) ? number() : DType::Bool; }
  DType integer() {
    static constexpr DType types[] = {DType::I32, DType::I64, DType::U8};
    return one_of(types);
  }

  // Late values more often: chains, and few that nothing reads.
  NodeId value() {
    const int n = static_cast<int>(values_.size());
    return values_[static_cast<size_t>(pick(3) ? pick(n) : n - 1 - pick(std::min(n, 4)))];
  }
  template <class F>
  NodeId value_where(F&& suits) {  // kNone where few do
    for (int tries = 0; tries < 12; ++tries)
      if (const NodeId v = value(); suits(v)) return v;
    return graph::kNone;
  }
  NodeId float_value() {
    const NodeId v = value_where([&](NodeId n) { return is_float(b_.dtype(n)); });
    return v == graph::kNone ? of_type({DType::F32, random_shape()}) : v;
  }
  NodeId value_of_rank(int least) {
    return value_where([&](NodeId n) { return static_cast<int>(shape(n).size()) >= least; });
  }
  // A value of this type: one that is there, a parameter, or one made to fit.
  NodeId of_type(const Type& t) {
    if (const NodeId v = value_where([&](NodeId n) { return b_.type(n) == t; }); v != graph::kNone) return v;
    if (b_.function().params.size() < 10 && depth_ == 0 && pick(3)) return new_param(t);
    const NodeId like = value_where([&](NodeId n) { return shape(n) == t.shape; });
    if (like != graph::kNone && pick(3)) return b_.convert(like, t.dtype);
    if (t.rank() > 0 && pick(2)) return b_.iota(t.shape, pick(t.rank()), t.dtype);
    return constant(t);
  }
  NodeId constant(const Type& t) {
    if (is_float(t.dtype)) return b_.constant(pick(6) ? 0.25 * (pick(9) - 4) : special(), t.dtype, t.shape);
    const int64_t most = t.dtype == DType::I64   ? std::numeric_limits<int64_t>::max()
                         : t.dtype == DType::I32 ? std::numeric_limits<int32_t>::max()
                         : t.dtype == DType::U8  ? 255
                                                 : 1;
    const bool is_signed = t.dtype == DType::I32 || t.dtype == DType::I64;
    const int64_t v = pick(5)                ? pick(t.dtype == DType::Bool ? 2 : 9)
                      : pick(2) && is_signed ? -most - 1
                                             : most;
    return b_.make("constant", {}, {{"value", v}, {"dtype", t.dtype}, {"shape", t.shape}});
  }
  double special() {
    static constexpr double inf = std::numeric_limits<double>::infinity();
    static constexpr double list[] = {-0.0, inf, -inf, std::numeric_limits<double>::quiet_NaN(), 1e-40, 3e38};
    return one_of(list);
  }

  // kNone where the op does not take these operands.
  NodeId try_make(std::string_view op, std::vector<NodeId> operands, graph::Attrs attrs = {}) {
    try {
      const NodeId n = b_.make(op, std::move(operands), std::move(attrs));
      for (const Type& t : b_[n].types)
        if (!small(t.shape)) return graph::kNone;
      return n;
    } catch (const CompileError&) {
      return graph::kNone;
    }
  }

  // A function of the module with these parameters. `finish` draws its results through the same object.
  template <class F>
  std::string body(const std::vector<Type>& params, F&& finish) {
    const std::string name = fmt::format("g{}", names_++);
    graph::Builder outer = std::exchange(b_, graph::Builder(name, &m_));
    std::vector<NodeId> values = std::exchange(values_, {});
    b_.dim("B", {most_, most_ - 1});
    ++depth_;
    for (const Type& t : params) keep(b_.param(fmt::format("p{}", values_.size()), t));
    if (values_.empty()) keep(constant({DType::F32, {}}));
    const int ops = 1 + pick(5);
    for (int i = 0; i < ops; ++i) step();
    finish();
    --depth_;
    m_.functions.insert_or_assign(name, b_.finish());
    b_ = std::move(outer);
    values_ = std::move(values);
    return name;
  }
  void results(int n) {
    for (int i = 0; i < n; ++i) b_.result(value());
  }
  std::vector<Type> types_of(const std::vector<NodeId>& nodes) const {
    std::vector<Type> t;
    for (NodeId n : nodes) t.push_back(b_.type(n));
    return t;
  }
  // All results of a node with several, or of one with one.
  std::vector<NodeId> all_of(NodeId n) {
    if (n == graph::kNone) return {};
    std::vector<NodeId> r;
    for (size_t i = 0; i < b_[n].types.size(); ++i) r.push_back(b_.get(n, static_cast<int>(i)));
    return r;
  }
  NodeId keep(NodeId n) {
    values_.push_back(n);
    return n;
  }
  void keep_all(const std::vector<NodeId>& nodes) {
    values_.insert(values_.end(), nodes.begin(), nodes.end());
  }

  // Gradients of a drawn loss for some values.
  std::vector<NodeId> gradients();

 private:
  NodeId new_param(const Type& t) {
    return keep(b_.param(fmt::format("x{}", b_.function().params.size()), t));
  }
  void step();  // in op_samples.h
  void chain();

  // What becomes of donated state.
  void update(const std::vector<NodeId>& s) {
    auto next = [&](NodeId x) {
      const Type t = b_.type(x);
      return t.dtype == DType::Bool ? b_.make("xor", {x, of_type(t)})
                                    : b_.add(b_.mul(x, constant(t)), of_type(t));
    };
    const NodeId a = next(s[0]), c = next(s[1]);
    auto put = [&](NodeId what, size_t where) { b_.result(what, "", s[where]); };
    switch (pick(8)) {
      case 0:
        break;
      case 1:  // exchanged
        put(s[1], 0), put(s[0], 1);
        break;
      case 2:  // round a circle
        put(s[1], 0), put(s[2], 1), put(s[0], 2);
        break;
      case 3:  // the old value read late
        put(a, 0), keep(b_.make(b_.dtype(a) == DType::Bool ? "xor" : "sub", {s[0], a}));
        break;
      case 4:  // updated and returned, as is the old value
        put(a, 0), b_.result(a), b_.result(s[0]);
        break;
      case 5:  // other elements read
        if (!shape(a).empty()) put(b_.make("reverse", {a}, {{"axes", graph::ints({0})}}), 0), put(c, 1);
        break;
      case 6:  // each from the other
        put(a, 1), put(c, 0), keep(of_type(b_.type(a)));
        break;
      default:  // one value in two places, one that stays
        put(a, 0), put(a, 1), put(s[2], 2);
    }
  }

  std::mt19937_64 random_;
  graph::Module m_;
  graph::Builder b_;
  std::vector<NodeId> values_;
  int64_t most_ = 9, least_ = 0;
  int depth_ = 0, names_ = 0;
  friend struct Samples;
};

}  // namespace gradc::test

#include "agree/op_samples.h"
