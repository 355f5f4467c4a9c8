// Random graphs: drawn op by op from a seed over values made so far, with fan-out, shared operands, chains of
// reshape, transpose and slice, any reduction axes, contractions, gathers, and donated state that is read and
// updated. Extents are those where tiles and vectors do not divide; some are the symbolic batch.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "ir/graph/builder.h"

namespace gradc::test {

class RandomGraph {
 public:
  explicit RandomGraph(uint64_t seed) : random_(seed), b_("f") { b_.dim("B", {9, 8}); }

  graph::Function make() {
    for (int i = 0; i < 3; ++i) param(fmt::format("x{}", i), random_shape());
    const graph::NodeId state = param("state", random_shape());
    param("symbolic", {Index::dim("B"), extent()});
    const int ops = 4 + pick(14);
    for (int i = 0; i < ops; ++i) step();
    if (pick(2)) update(state);
    const int results = 1 + pick(3);
    for (int i = 0; i < results; ++i)
      b_.result(values_[values_.size() - 1 -
                        static_cast<size_t>(pick(std::min<int>(4, static_cast<int>(values_.size()))))]);
    return b_.finish();
  }

  // A scalar loss over four parameters and the function that gives it with its gradients.
  graph::Module make_gradient() {
    for (int i = 0; i < 3; ++i) param(fmt::format("x{}", i), random_shape());
    param("symbolic", {Index::dim("B"), extent()});
    const int ops = 3 + pick(8);
    for (int i = 0; i < ops; ++i) step();
    NodeId loss = b_.unary("tanh", values_.back());
    std::vector<int64_t> axes;
    for (int a = 0; a < static_cast<int>(b_.shape(loss).size()); ++a) axes.push_back(a);
    b_.result(b_.sum(loss, axes));
    graph::Function f = b_.finish();
    f.name = "loss";
    graph::Module m;
    m.functions.emplace("loss", f);
    graph::Builder g("f", &m);
    g.dim("B", {9, 8});
    std::vector<NodeId> args;
    for (NodeId p : f.params) args.push_back(g.param(f.names.at(p), f.type(p)));
    const NodeId all = g.make("value_and_grad", args,
                              {{"function", graph::FunctionRef{"loss"}}, {"wrt", graph::ints({0, 1, 2, 3})}});
    for (int r = 0; r < 5; ++r) g.result(g.get(all, r));
    graph::Function outer = g.finish();
    m.functions.emplace("f", std::move(outer));
    return m;
  }

 private:
  using NodeId = graph::NodeId;
  int pick(int n) { return static_cast<int>(random_() % static_cast<uint64_t>(n)); }
  Dim extent() {
    static constexpr int64_t extents[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 65};
    if (pick(6) == 0) return Index::dim("B");
    if (pick(40) == 0) return 0;
    return extents[pick(12)];
  }
  Shape random_shape() {
    Shape s;
    const int rank = pick(4);
    for (int i = 0; i < rank; ++i) s.push_back(extent());
    return small(s) ? s : Shape{extent()};
  }
  static bool small(const Shape& s) {
    return element_count(s).evaluate([](int) -> int64_t { return 0; },
                                     [](const std::string&) -> int64_t { return 9; }) <= 6000;
  }
  NodeId param(const std::string& name, const Shape& s) { return keep(b_.param(name, {DType::F32, s})); }
  NodeId keep(NodeId n) {
    values_.push_back(n);
    return n;
  }
  NodeId value() { return values_[static_cast<size_t>(pick(static_cast<int>(values_.size())))]; }
  // A value of this shape: an old one, or one made to fit.
  NodeId of_shape(const Shape& s) {
    for (int tries = 0; tries < 6; ++tries)
      if (const NodeId v = value(); b_.shape(v) == s) return v;
    return b_.constant(0.25 * (pick(9) - 4), DType::F32, s);
  }

  void step() {
    const NodeId x = value();
    const Shape s = b_.shape(x);
    const int rank = static_cast<int>(s.size());
    switch (pick(13)) {
      case 0:
      case 1:
        unary(x);
        break;
      case 2:
      case 3:
        binary(x, s);
        break;
      case 4:
        keep(b_.select(b_.compare(pick(2) ? "gt" : "le", x, of_shape(s)), of_shape(s), x));
        break;
      case 5:
        transpose(x, rank);
        break;
      case 6:
        flatten(x, s);
        break;
      case 7:
        slice(x, s);
        break;
      case 8:
        pad(x, rank);
        break;
      case 9:
        if (rank) reduce(x, rank);
        break;
      case 10:
        broadcast(x, s);
        break;
      case 11:
        contract(x, s);
        break;
      default:
        gather(x, s);
    }
  }
  void unary(NodeId x) {
    static constexpr const char* ops[] = {"neg", "abs", "exp",   "tanh", "sigmoid", "sin",
                                          "cos", "erf", "floor", "sign", "sqrt",    "log1p"};
    keep(b_.unary(ops[pick(12)], x));
  }
  void binary(NodeId x, const Shape& s) {
    static constexpr const char* ops[] = {"add", "sub", "mul", "div", "max", "min"};
    const NodeId y = of_shape(s);
    const NodeId r = b_.make(ops[pick(6)], pick(2) ? std::vector<NodeId>{x, y} : std::vector<NodeId>{y, x});
    keep(pick(3) ? r : b_.add(r, b_.mul(x, of_shape(s))));
  }
  void transpose(NodeId x, int rank) {
    std::vector<int64_t> perm(static_cast<size_t>(rank));
    for (int i = 0; i < rank; ++i) perm[i] = i;
    std::shuffle(perm.begin(), perm.end(), random_);
    keep(b_.transpose(x, perm));
  }
  // Joins two neighbouring axes, or splits one that has a factor.
  void flatten(NodeId x, Shape s) {
    if (s.size() >= 2 && pick(2)) {
      const int a = pick(static_cast<int>(s.size()) - 1);
      s[a] = s[a] * s[a + 1];
      s.erase(s.begin() + a + 1);
    } else {
      for (size_t a = 0; a < s.size(); ++a)
        for (int64_t f : {2, 3, 5})
          if (s[a].is_constant() && s[a].constant_part() > f && s[a].constant_part() % f == 0) {
            s[a] = s[a].constant_part() / f;
            s.insert(s.begin() + static_cast<long>(a), f);
            keep(b_.reshape(x, s));
            return;
          }
    }
    keep(b_.reshape(x, s));
  }
  void slice(NodeId x, const Shape& s) {
    Shape start, limit;
    std::vector<int64_t> stride;
    for (const Dim& d : s) {
      const bool cut = d.is_constant() && d.constant_part() > 2 && pick(2);
      start.push_back(cut ? pick(2) : 0);
      limit.push_back(cut ? d - pick(2) : d);
      stride.push_back(cut ? 1 + pick(2) : 1);
    }
    keep(b_.slice(x, start, limit, stride));
  }
  void pad(NodeId x, int rank) {
    Shape low, high, interior;
    for (int i = 0; i < rank; ++i)
      low.push_back(pick(3)), high.push_back(pick(3)),
          interior.push_back(pick(4) == 0 && b_.shape(x)[i].is_constant() ? 1 : 0);
    const NodeId p =
        b_.make("pad", {x}, {{"low", low}, {"high", high}, {"interior", interior}, {"value", 0.5}});
    if (small(b_.shape(p))) keep(p);
  }
  void reduce(NodeId x, int rank) {
    static constexpr const char* ops[] = {"reduce_sum", "reduce_sum", "reduce_max", "reduce_min",
                                          "reduce_prod"};
    std::vector<int64_t> axes;
    for (int a = 0; a < rank; ++a)
      if (pick(2)) axes.push_back(a);
    if (axes.empty()) axes.push_back(pick(rank));
    const NodeId r = b_.reduce(ops[pick(5)], x, axes);
    keep(r);
    if (pick(2)) {  // back over the rows, as in a softmax
      std::vector<int64_t> kept;
      for (int a = 0; a < rank; ++a)
        if (std::find(axes.begin(), axes.end(), a) == axes.end()) kept.push_back(a);
      keep(b_.sub(x, b_.broadcast(r, b_.shape(x), kept)));
    }
  }
  void broadcast(NodeId x, Shape s) {
    const int at = pick(static_cast<int>(s.size()) + 1);
    std::vector<int64_t> dims;
    for (int i = 0; i < static_cast<int>(s.size()); ++i) dims.push_back(i < at ? i : i + 1);
    s.insert(s.begin() + at, extent());
    if (small(s)) keep(b_.broadcast(x, s, dims));
  }
  // x[.., k] with y[k, n] or y[n, k].
  void contract(NodeId x, const Shape& s) {
    if (s.empty()) return;
    std::string a;
    for (size_t i = 0; i < s.size(); ++i) a += static_cast<char>('a' + i);
    const int k = pick(static_cast<int>(s.size()));
    const Dim n = extent();
    const bool back = pick(2);
    const Shape want = back ? Shape{n, s[k]} : Shape{s[k], n};
    std::string out = a;
    out.erase(static_cast<size_t>(k), 1);
    const std::string spec =
        a + "," + (back ? std::string("z") + a[k] : std::string(1, a[k]) + "z") + "->" + out + "z";
    const NodeId r = b_.einsum(x, of_shape(want), spec);
    if (small(b_.shape(r))) keep(b_.unary("tanh", r));
  }
  void gather(NodeId x, const Shape& s) {
    if (s.empty() || s[0].is(0) || !s[0].is_constant()) return;
    const NodeId scaled = b_.mul(b_.iota({extent()}, 0, DType::F32), 1.7);
    const NodeId r = b_.make("gather", {x, b_.convert(scaled, DType::I32)});
    if (small(b_.shape(r))) keep(r);
  }
  void update(NodeId state) {
    const Shape s = b_.shape(state);
    const NodeId next = b_.add(b_.mul(state, 0.5), of_shape(s));
    if (next != state) b_.result(next, "", state);
  }

  std::mt19937_64 random_;
  graph::Builder b_;
  std::vector<NodeId> values_;
};

}  // namespace gradc::test
