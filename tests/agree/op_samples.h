// How each row of the op table is drawn. Elementwise rows are drawn by the signatures that they accept; every
// other row has its rule here, and `sample_rule` gives null for a row that has none.
#pragma once

#include "agree/random_graph.h"
#include "ir/ops/window_spec.h"

namespace gradc::test {

using graph::kNone;
using graph::NodeId;
using graph::OpDef;
using SampleRule = std::vector<NodeId> (*)(RandomGraph& g, const OpDef& op);  // what was made, if anything

struct Samples {
  using Made = std::vector<NodeId>;
  using G = RandomGraph&;
  using D = const OpDef&;

  static Made some(NodeId n) { return n == kNone ? Made{} : Made{n}; }

  // --- elementwise ---------------------------------------------------------------------------------------
  static std::vector<std::vector<DType>> signatures(ScalarOp op, int arity) {
    std::vector<std::vector<DType>> all;
    for (int code = 0; code < 6 * 6 * 6; ++code) {
      std::vector<DType> t;
      for (int i = 0, c = code; i < arity; ++i, c /= 6) t.push_back(static_cast<DType>(c % 6));
      if (code < std::pow(6, arity) && infer_scalar(op, t)) all.push_back(t);
    }
    return all;
  }
  static Made elementwise(G g, D op) {
    const auto all = signatures(*op.scalar, op.min_operands);
    auto types = all[g.pick(static_cast<int>(all.size()))];
    for (int tries = 0; tries < 3 && types.back() != DType::F32; ++tries)  // f32 more often
      types = all[g.pick(static_cast<int>(all.size()))];
    const NodeId like = g.value_where([&](NodeId n) { return g.b_.dtype(n) == types.back(); });
    const Shape shape = like == kNone ? g.shape(g.value()) : g.shape(like);
    Made operands;
    for (DType t : types) operands.push_back(g.of_type({t, shape}));
    if (like != kNone && g.pick(2)) operands.back() = like;
    NodeId n = g.try_make(op.name, operands);
    if (n != kNone && is_float(g.b_.dtype(n)) && g.pick(8) == 0) n = g.b_.unary("tanh", n);
    return some(n);
  }
  static Made cast(G g, D op) {
    NodeId x = g.value();
    const DType t = g.dtype();
    if (op.name == "uniform") x = g.of_type({DType::I64, g.shape(x)});
    return some(g.try_make(op.name, {x}, {{"dtype", t}}));
  }

  // --- leaves --------------------------------------------------------------------------------------------
  static Made parameter(G g, D) {
    return some(g.depth_ == 0 ? g.new_param({g.dtype(), g.random_shape()}) : kNone);
  }
  static Made constant(G g, D) { return some(g.constant({g.dtype(), g.random_shape()})); }
  static Made iota(G g, D) {
    const Shape s = g.random_shape();
    return s.empty() ? Made{} : some(g.b_.iota(s, g.pick(static_cast<int>(s.size())), g.dtype()));
  }
  static Made dim(G g, D) {
    const Dim d = Index::dim("B") * (1 + g.pick(3)) + g.pick(3);
    return some(g.try_make("dim", {}, {{"value", Shape{d}}, {"dtype", g.number()}}));
  }
  static Made rng_bits(G g, D) {
    return some(g.try_make("rng_bits", {g.of_type({DType::I64, {}})}, {{"shape", g.random_shape()}}));
  }
  static Made plain(G g, D op) { return some(g.try_make(op.name, {g.value()})); }

  // --- structure -----------------------------------------------------------------------------------------
  static Made broadcast(G g, D) {
    const NodeId x = g.value();
    Shape s = g.shape(x);
    std::vector<int64_t> dims;
    const int at = g.pick(static_cast<int>(s.size()) + 1), add = g.pick(4) != 0;
    for (int i = 0; i < static_cast<int>(s.size()); ++i) {
      dims.push_back(i < at ? i : i + add);
      if (s[i].is(1) && g.pick(2)) s[i] = g.extent();
    }
    if (add) s.insert(s.begin() + at, g.extent());
    return some(g.try_make("broadcast", {x}, {{"dims", graph::ints(dims)}, {"shape", s}}));
  }
  // Joins two neighbouring axes, or splits one that has a factor.
  static Made reshape(G g, D) {
    const NodeId x = g.value();
    Shape s = g.shape(x);
    const int rank = static_cast<int>(s.size());
    if (rank >= 2 && g.pick(2)) {
      const int a = g.pick(rank - 1);
      s[a] = s[a] * s[a + 1];
      s.erase(s.begin() + a + 1);
    } else if (rank > 0 && g.pick(4)) {
      const int a = g.pick(rank);
      for (int64_t f : {2, 3, 5})
        if (s[a].is_constant() && s[a].constant_part() > f && s[a].constant_part() % f == 0) {
          s[a] = s[a].constant_part() / f;
          s.insert(s.begin() + a + g.pick(2), f);
          break;
        }
    } else {
      s.insert(s.begin() + g.pick(rank + 1), 1);
    }
    return some(g.try_make("reshape", {x}, {{"shape", s}}));
  }
  static Made transpose(G g, D) {
    const NodeId x = g.value();
    std::vector<int64_t> perm(g.shape(x).size());
    for (size_t i = 0; i < perm.size(); ++i) perm[i] = static_cast<int64_t>(i);
    std::shuffle(perm.begin(), perm.end(), g.random_);
    return some(g.try_make("transpose", {x}, {{"perm", graph::ints(perm)}}));
  }
  static std::vector<int64_t> some_axes(G g, const Shape& s) {
    std::vector<int64_t> axes;
    for (int a = 0; a < static_cast<int>(s.size()); ++a)
      if (g.pick(2)) axes.push_back(a);
    if (axes.empty() && !s.empty() && g.pick(8)) axes.push_back(g.pick(static_cast<int>(s.size())));
    return axes;
  }
  static Made reverse(G g, D) {
    const NodeId x = g.value();
    return some(g.try_make("reverse", {x}, {{"axes", graph::ints(some_axes(g, g.shape(x)))}}));
  }
  static Made slice(G g, D) {
    const NodeId x = g.value();
    Shape start, limit;
    std::vector<int64_t> stride;
    bool batch = false;
    for (const Dim& d : g.shape(x)) {
      const bool cut = g.pick(2) && (d.is_constant() ? d.constant_part() > 2 : g.pick(3) == 0);
      batch |= cut && !d.is_constant();
      start.push_back(cut ? g.pick(2) : 0);
      limit.push_back(cut && d.is_constant() ? d - g.pick(2) : d);
      stride.push_back(cut ? 1 + g.pick(3) : 1);
    }
    const NodeId n =
        g.try_make("slice", {x}, {{"start", start}, {"limit", limit}, {"stride", graph::ints(stride)}});
    if (n != kNone && batch) g.least_ = 1;
    return some(n);
  }
  static Made pad(G g, D) {
    const NodeId x = g.value();
    Shape low, high, interior;
    for (const Dim& d : g.shape(x)) {
      const int least = d.is_constant() && d.constant_part() > 4 ? -2 : 0;
      low.push_back(least + g.pick(3 - least)), high.push_back(least + g.pick(3 - least));
      interior.push_back(g.pick(4) == 0 && d.is_constant() ? 1 + g.pick(2) : 0);
    }
    const double v = is_float(g.b_.dtype(x)) ? (g.pick(4) ? 0.5 : g.special()) : g.pick(2);
    return some(g.try_make("pad", {x}, {{"low", low}, {"high", high}, {"interior", interior}, {"value", v}}));
  }
  static Made concat(G g, D) {
    const NodeId x = g.value_of_rank(1);
    if (x == kNone) return {};
    const int axis = g.pick(static_cast<int>(g.shape(x).size()));
    Made all{x};
    for (int n = g.pick(3); n >= 0; --n) {
      Type t = g.b_.type(x);
      if (g.pick(2)) t.shape[axis] = g.extent();
      all.insert(all.begin() + g.pick(2), g.small(t.shape) ? g.of_type(t) : x);
    }
    return some(g.try_make("concat", all, {{"axis", int64_t{axis}}}));
  }

  // --- windows -------------------------------------------------------------------------------------------
  // Windows along some axes of this shape; of one element along a symbolic one, which may have no more.
  static graph::WindowSpec window_spec(G g, const Shape& s) {
    graph::WindowSpec w;
    for (size_t a = 0; a < s.size(); ++a) {
      if (g.pick(2) || s[a].is(0)) continue;
      const int most = s[a].is_constant() ? static_cast<int>(std::min<int64_t>(4, s[a].constant_part())) : 1;
      w.axes.push_back(static_cast<int64_t>(a));
      w.sizes.push_back(1 + g.pick(most));
      w.strides.push_back(1 + g.pick(3));
      const bool fits = s[a].is_constant() && (w.sizes.back() - 1) * 2 < s[a].constant_part();
      w.dilations.push_back(fits ? 1 + g.pick(2) : 1);
    }
    return w;
  }
  // Labels of a view by windows, of its weights, and of what the windows slide over.
  struct WindowLabels {
    std::string view, weights, places;
  };
  static WindowLabels labels(const graph::WindowSpec& w, size_t rank) {
    WindowLabels l;
    for (size_t a = 0; a < rank; ++a) {
      l.places += static_cast<char>('a' + a);
      l.view += l.places.back();
      const auto it = std::find(w.axes.begin(), w.axes.end(), static_cast<int64_t>(a));
      if (it == w.axes.end()) continue;
      l.weights += static_cast<char>('p' + (it - w.axes.begin()));
      l.view += l.weights.back();
    }
    return l;
  }
  static Made windows(G g, D) {
    const NodeId x = g.pick(3) ? g.value_of_rank(1) : g.value_of_rank(2);
    if (x == kNone) return {};
    const graph::WindowSpec w = window_spec(g, g.shape(x));
    const NodeId v = w.axes.empty() ? kNone : g.try_make("windows", {x}, attributes(w));
    if (v == kNone || !is_float(g.b_.dtype(x)) || g.pick(2)) return some(v);
    const WindowLabels l = labels(w, g.shape(x).size());
    const NodeId weights = g.of_type({g.b_.dtype(x), Shape(w.sizes.begin(), w.sizes.end())});
    return {v, g.b_.einsum(v, weights, l.view + "," + l.weights + "->" + l.places)};
  }
  // Of a contraction, as the gradient of a convolution has it, or of any value.
  static Made overlap_add(G g, D) {
    const NodeId x = g.value_of_rank(1);
    if (x == kNone) return {};
    Shape to = g.shape(x);
    const graph::WindowSpec w = window_spec(g, to);
    if (w.axes.empty()) return {};
    Shape places = to, extents, view;
    for (size_t i = 0; i < w.axes.size(); ++i) {
      Dim& extent = places[static_cast<size_t>(w.axes[i])];
      extents.push_back(extent);
      extent = w.count(i, extent);
    }
    if (!g.small(to)) return {};
    const WindowLabels l = labels(w, to.size());
    for (size_t a = 0, i = 0; a < places.size(); ++a) {
      view.push_back(places[a]);
      if (i < w.axes.size() && w.axes[i] == static_cast<int64_t>(a)) view.push_back(w.sizes[i++]);
    }
    const DType t = g.b_.dtype(x);
    const bool contracted = is_float(t) && g.pick(3) != 0;
    const NodeId c = contracted ? g.b_.einsum(g.of_type({t, places}),
                                              g.of_type({t, Shape(w.sizes.begin(), w.sizes.end())}),
                                              l.places + "," + l.weights + "->" + l.view)
                                : g.of_type({t, view});
    return some(g.try_make("overlap_add", {c}, attributes(w).with("extents", extents)));
  }

  // --- by data -------------------------------------------------------------------------------------------
  static Shape part_of(G g, const Shape& s) {
    Shape sizes;
    for (const Dim& d : s)
      sizes.push_back(d.is_constant() && g.pick(3) ? Dim(g.pick(static_cast<int>(d.constant_part()) + 1))
                                                   : d);
    return sizes;
  }
  static Made dynamic_slice(G g, D) {
    Made operands{g.value()};
    const Shape s = g.shape(operands[0]);
    for (size_t i = 0; i < s.size(); ++i) operands.push_back(g.of_type({g.integer(), {}}));
    return some(g.try_make("dynamic_slice", operands, {{"sizes", part_of(g, s)}}));
  }
  static Made dynamic_update_slice(G g, D) {
    const NodeId x = g.value();
    const Shape s = g.shape(x);
    Made operands{x, g.of_type({g.b_.dtype(x), part_of(g, s)})};
    for (size_t i = 0; i < s.size(); ++i) operands.push_back(g.of_type({g.integer(), {}}));
    return some(g.try_make("dynamic_update_slice", operands));
  }
  static NodeId numbers(G g) {
    const NodeId n = g.of_type({g.integer(), g.pick(4) ? Shape{g.extent()} : g.random_shape()});
    const DType t = g.b_.dtype(n);
    return g.pick(2)
               ? n
               : g.b_.make("mul",
                           {n, g.b_.make("constant", {},
                                         {{"value", int64_t{5}}, {"dtype", t}, {"shape", g.shape(n)}})});
  }
  static Made gather(G g, D) {
    const NodeId x = g.value_of_rank(1);
    if (x == kNone || !g.shape(x)[0].is_constant()) return {};
    return some(g.try_make("gather", {x, numbers(g)}));
  }
  static Made scatter_add(G g, D) {
    const NodeId x = g.value_of_rank(1);
    if (x == kNone || !g.shape(x)[0].is_constant() || g.shape(x)[0].is(0)) return {};
    const NodeId n = numbers(g);
    Shape s = g.shape(n);
    s.insert(s.end(), g.shape(x).begin() + 1, g.shape(x).end());
    if (!g.small(s)) return {};
    return some(g.try_make("scatter_add", {x, n, g.of_type({g.b_.dtype(x), s})}));
  }

  // --- reductions ----------------------------------------------------------------------------------------
  static Made reduction(G g, D op) {
    const bool logical = op.name == "reduce_and" || op.name == "reduce_or";
    const NodeId x =
        g.value_where([&](NodeId n) { return !g.shape(n).empty() && is_float(g.b_.dtype(n)) != logical; });
    if (x == kNone) return {};
    const Shape s = g.shape(x);
    const std::vector<int64_t> axes = some_axes(g, s);
    const NodeId r = g.try_make(op.name, {x}, {{"axes", graph::ints(axes)}});
    if (r == kNone || !is_float(g.b_.dtype(r)) || g.pick(2)) return some(r);
    std::vector<int64_t> kept;  // back over the rows, as in a softmax
    for (int a = 0; a < static_cast<int>(s.size()); ++a)
      if (std::find(axes.begin(), axes.end(), a) == axes.end()) kept.push_back(a);
    const NodeId back = g.b_.sub(x, g.b_.broadcast(r, s, kept));
    return {r, g.pick(2) ? g.b_.unary("exp", back) : back};
  }
  static Made arg_reduction(G g, D op) {
    const NodeId x = g.value_of_rank(1);
    if (x == kNone) return {};
    const int64_t a = g.pick(static_cast<int>(g.shape(x).size()));
    return some(g.try_make(op.name, {x}, {{"axes", graph::ints({a})}, {"dtype", g.integer()}}));
  }

  // Also of what a contraction gives, and back over the rows.
  static Made running(G g, D op) {
    const NodeId x = g.value_of_rank(1);
    if (x == kNone) return {};
    const DType t = g.b_.dtype(x);
    graph::Attrs attrs{{"axis", int64_t{g.pick(static_cast<int>(g.shape(x).size()))}}};
    if (g.pick(3) == 0) attrs = attrs.with("reverse", true);
    if (g.pick(3) == 0) attrs = attrs.with("exclusive", true);
    if (t == DType::F32 && g.pick(4) == 0) attrs = attrs.with("accumulator", DType::F64);
    const NodeId r = g.try_make(op.name, {x}, attrs);
    return r != kNone && is_float(t) && g.pick(2) ? Made{r, g.b_.mul(x, r)} : some(r);
  }

  static Made argsort(G g, D) {
    const NodeId x =
        g.value_where([&](NodeId n) { return !g.shape(n).empty() && g.b_.dtype(n) != DType::Bool; });
    if (x == kNone) return {};
    graph::Attrs attrs{{"axis", int64_t{g.pick(static_cast<int>(g.shape(x).size()))}}};
    if (g.pick(2)) attrs = attrs.with("descending", true);
    return some(g.try_make("argsort", {x}, attrs));
  }

  // Each axis of x is summed, kept, or also an axis of y; y has axes of its own; the order is any.
  static Made einsum(G g, D) {
    const NodeId x = g.value_where([&](NodeId n) { return g.b_.dtype(n) != DType::Bool; });
    if (x == kNone) return {};
    if (g.pick(12) == 0) return long_contraction(g);
    if (g.pick(12) == 0) return strided_panel(g);
    if (g.pick(2)) return product(g, g.pick(3) && is_float(g.b_.dtype(x)) ? x : matrix(g));
    std::map<char, Dim> extents;
    std::string a, b, out;
    for (const Dim& d : g.shape(x)) {
      a += static_cast<char>('a' + a.size());
      extents[a.back()] = d;
      if (g.pick(2)) b += a.back();
    }
    for (int own = g.pick(3) ? 1 : g.pick(3); own > 0; --own)
      b += static_cast<char>('x' + own - 1), extents[b.back()] = g.extent();
    std::shuffle(b.begin(), b.end(), g.random_);
    Dim work = 1;
    for (const auto& [c, d] : extents) {
      const bool both = a.find(c) != a.npos && b.find(c) != b.npos;
      if (both ? g.pick(4) == 0 : g.pick(6) != 0) out += c;
      work = work * d;
    }
    if (g.pick(2)) std::shuffle(out.begin(), out.end(), g.random_);
    return contract(g, x, a, b, out, extents, g.elements({work}) <= 60000);
  }
  static NodeId matrix(G g) {
    const Shape s{g.extent(), g.extent()};
    const Type t{DType::F32, g.small(s) ? s : Shape{33, 17}};
    return g.depth_ == 0 && g.pick(3) ? g.new_param(t) : g.of_type(t);
  }
  // x[.., k] with y[k, n] or y[n, k].
  static Made product(G g, NodeId x) {
    std::map<char, Dim> extents{{'z', g.extent()}};
    std::string a;
    for (const Dim& d : g.shape(x)) a += static_cast<char>('a' + a.size()), extents[a.back()] = d;
    if (a.empty()) return {};
    const char k = a[static_cast<size_t>(g.pick(static_cast<int>(a.size())))];
    std::string b{'z', k}, out = a;
    if (g.pick(2)) std::swap(b[0], b[1]);
    out[out.find(k)] = 'z';
    return contract(g, x, a, b, out, extents, true);
  }
  static Made contract(G g, NodeId x, const std::string& a, const std::string& b, const std::string& out,
                       std::map<char, Dim>& extents, bool cheap) {
    const DType t = g.b_.dtype(x);
    Shape other, result;
    for (char c : b) other.push_back(extents[c]);
    for (char c : out) result.push_back(extents[c]);
    if (!cheap || !g.small(other) || !g.small(result)) return {};
    Made operands{x, g.depth_ == 0 && g.pick(2) ? g.new_param({t, other}) : g.of_type({t, other})};
    if (g.pick(4) == 0) operands.push_back(g.of_type({t, result}));
    graph::Attrs attrs{{"spec", a + "," + b + "->" + out}};
    if (t == DType::F32 && g.pick(8) == 0) attrs = attrs.with("accumulator", DType::F64);
    const NodeId r = g.try_make("einsum", operands, attrs);
    return r != kNone && is_float(t) && g.pick(3) ? Made{g.b_.unary("tanh", r)} : some(r);
  }

  // Few outputs over many terms: a chain that numerics parts.
  static Made long_contraction(G g) {
    struct Row {
      const char *a, *b, *out;
    };
    static constexpr Row rows[] = {{"kx", "ky", "xy"}, {"k", "k", ""},   {"xk", "yk", "xy"},
                                   {"kx", "k", "x"},   {"bk", "bk", ""}, {"bkx", "bk", "x"},
                                   {"bk", "k", ""}};
    const Row row = g.one_of(rows);
    const bool batch = row.a[0] == 'b';
    std::map<char, Dim> extents{{'b', g.pick(2) ? Index::dim("B") : Dim(33)},
                                {'k', batch ? 70 : (row.out[0] ? 2177 : 1025) + g.pick(400)},
                                {'x', 2},
                                {'y', 1}};
    Shape s;
    for (char c : std::string(row.a)) s.push_back(extents[c]);
    const NodeId x = g.of_type({g.pick(3) ? DType::F32 : DType::F64, s});
    return contract(g, x, row.a, row.b, row.out, extents, true);
  }
  // Columns that lie apart and are read by several tiles of rows: a panel that is copied once.
  static Made strided_panel(G g) {
    std::map<char, Dim> extents{{'r', 40 + g.pick(20)}, {'k', 17}, {'c', 24 + g.pick(16)}};
    return contract(g, g.of_type({DType::F32, {extents['r'], extents['k']}}), "rk", "ck", "rc", extents,
                    true);
  }

  // --- control -------------------------------------------------------------------------------------------
  static Made some_values(G g, int n) {
    Made v;
    for (int i = 0; i < n; ++i) v.push_back(g.value());
    return v;
  }
  static std::string any_body(G g, const std::vector<Type>& params) {
    return g.body(params, [&] { g.results(1 + g.pick(3)); });
  }
  static std::string body_to(G g, const std::vector<Type>& params, const std::vector<Type>& to) {
    return g.body(params, [&] {
      for (const Type& t : to) g.b_.result(g.of_type(t));
    });
  }
  static Made call(G g, D) {
    const Made args = some_values(g, g.pick(4));
    const std::string f = any_body(g, g.types_of(args));
    return g.all_of(g.try_make("call", args, {{"function", graph::FunctionRef{f}}}));
  }
  static Made value_and_grad(G g, D) { return g.gradients(); }

  static Made scan(G g, D) {
    const NodeId x = g.value_of_rank(1);
    const int consts = g.pick(3), carries = g.pick(3);
    if (x == kNone || (g.shape(x)[0].is_constant() && g.shape(x)[0].constant_part() > 33)) return {};
    Made operands = some_values(g, consts + carries);
    const Dim length = g.shape(x)[0];
    for (int n = g.pick(3); n >= 0; --n) {
      const NodeId y =
          g.value_where([&](NodeId v) { return !g.shape(v).empty() && g.shape(v)[0] == length; });
      operands.push_back(y == kNone ? x : y);
    }
    std::vector<Type> params = g.types_of(operands);
    for (size_t i = static_cast<size_t>(consts + carries); i < params.size(); ++i)
      params[i].shape.erase(params[i].shape.begin());
    const std::vector<Type> to(params.begin() + consts, params.begin() + consts + carries);
    const std::string f = g.body(params, [&] {
      for (const Type& t : to) g.b_.result(g.of_type(t));
      g.results(g.pick(3) + (carries == 0));
    });
    return g.all_of(g.try_make("scan", operands,
                               {{"function", graph::FunctionRef{f}},
                                {"consts", int64_t{consts}},
                                {"carries", int64_t{carries}},
                                {"length", Shape{length}}}));
  }
  static Made cond(G g, D) {
    Made operands = some_values(g, 1 + g.pick(3));
    const std::vector<Type> params = g.types_of(operands);
    const std::string a = any_body(g, params);
    const std::string b = body_to(g, params, g.m_.at(a).result_types());
    operands.insert(operands.begin(), g.of_type({DType::Bool, {}}));
    return g.all_of(g.try_make("cond", operands,
                               {{"then", graph::FunctionRef{a}}, {"otherwise", graph::FunctionRef{b}}}));
  }
  // A counter and other state; the condition asks the counter, and sometimes more.
  static Made while_loop(G g, D) {
    Made operands = some_values(g, 1 + g.pick(2));
    const NodeId zero =
        g.b_.make("constant", {}, {{"value", int64_t{0}}, {"dtype", DType::I32}, {"shape", Shape{}}});
    operands.insert(operands.begin(), zero);
    const std::vector<Type> params = g.types_of(operands);
    const std::string condition = g.body(params, [&] {
      const NodeId counter = g.b_.function().params[0];
      const NodeId more = g.b_.compare("lt", counter, g.constant({DType::I32, {}}));
      g.b_.result(g.pick(3) ? more : g.b_.make("or", {more, g.of_type({DType::Bool, {}})}));
    });
    const std::string body = g.body(params, [&] {
      const NodeId one =
          g.b_.make("constant", {}, {{"value", int64_t{1}}, {"dtype", DType::I32}, {"shape", Shape{}}});
      g.b_.result(g.b_.add(g.b_.function().params[0], one));
      for (size_t i = 1; i < params.size(); ++i) g.b_.result(g.of_type(params[i]));
    });
    return g.all_of(g.try_make("while", operands,
                               {{"condition", graph::FunctionRef{condition}},
                                {"body", graph::FunctionRef{body}},
                                {"bound", int64_t{g.pick(6)}}}));
  }
};

inline SampleRule sample_rule(const OpDef& op) {
  static const std::map<std::string_view, SampleRule> rules = {
      {"parameter", Samples::parameter},
      {"constant", Samples::constant},
      {"iota", Samples::iota},
      {"dim", Samples::dim},
      {"rng_bits", Samples::rng_bits},
      {"stop_gradient", Samples::plain},
      {"softplus", Samples::plain},
      {"convert", Samples::cast},
      {"bitcast", Samples::cast},
      {"uniform", Samples::cast},
      {"broadcast", Samples::broadcast},
      {"reshape", Samples::reshape},
      {"transpose", Samples::transpose},
      {"reverse", Samples::reverse},
      {"slice", Samples::slice},
      {"pad", Samples::pad},
      {"concat", Samples::concat},
      {"windows", Samples::windows},
      {"overlap_add", Samples::overlap_add},
      {"dynamic_slice", Samples::dynamic_slice},
      {"dynamic_update_slice", Samples::dynamic_update_slice},
      {"gather", Samples::gather},
      {"scatter_add", Samples::scatter_add},
      {"reduce_sum", Samples::reduction},
      {"reduce_prod", Samples::reduction},
      {"reduce_max", Samples::reduction},
      {"reduce_min", Samples::reduction},
      {"reduce_and", Samples::reduction},
      {"reduce_or", Samples::reduction},
      {"argmax", Samples::arg_reduction},
      {"argmin", Samples::arg_reduction},
      {"cumsum", Samples::running},
      {"cumprod", Samples::running},
      {"argsort", Samples::argsort},
      {"einsum", Samples::einsum},
      {"call", Samples::call},
      {"value_and_grad", Samples::value_and_grad},
      {"scan", Samples::scan},
      {"cond", Samples::cond},
      {"while", Samples::while_loop},
      {"get", Samples::call},  // made with every node that has several results
  };
  if (auto it = rules.find(op.name); it != rules.end()) return it->second;
  const bool by_signature = op.scalar && !Samples::signatures(*op.scalar, op.min_operands).empty();
  return by_signature ? Samples::elementwise : nullptr;
}

// Elementwise rows 8 in 20, contractions and reductions 3 in 20 besides their turn, control flow 1 in 20 and
// not deep, others the rest.
inline void RandomGraph::step() {
  if (pick(30) == 0) return chain();
  static constexpr const char* heavy[] = {"einsum", "einsum", "reduce_sum", "reduce_max"};
  const int kind = pick(20);
  if (kind > 15 && kind < 19) {
    const OpDef& op = graph::op(one_of(heavy));
    return keep_all(sample_rule(op)(*this, op));
  }
  const bool control = kind == 19 && depth_ < 2, scalar = kind < 8;
  for (int tries = 0; tries < 40; ++tries) {
    const OpDef& op = graph::all_ops()[static_cast<size_t>(pick(static_cast<int>(graph::all_ops().size())))];
    const SampleRule rule = sample_rule(op);
    const bool is_control = op.differentiable == graph::Differentiable::Control;
    if (!rule || is_control != control || (!control && op.scalar.has_value() != scalar)) continue;
    const std::vector<NodeId> made = rule(*this, op);
    keep_all(made);
    if (!made.empty()) return;
  }
}

inline void RandomGraph::chain() {
  NodeId x = float_value();
  const Type t = b_.type(x);
  static constexpr const char* unary[] = {"tanh", "sin", "neg", "sigmoid", "abs", "cos"};
  static constexpr const char* binary[] = {"add", "mul", "sub", "max", "min"};
  const NodeId y = of_type(t);
  for (int n = 8 + pick(33); n > 0; --n) {
    const NodeId with = pick(3) ? y : of_type(t);
    x = pick(2) ? b_.unary(one_of(unary), x) : b_.make(one_of(binary), {x, pick(4) ? with : x});
    if (pick(12) == 0) keep(x);
  }
  keep(x);
}

inline std::vector<NodeId> RandomGraph::gradients() {
  std::vector<NodeId> args;
  std::vector<int64_t> wrt;
  for (int i = 1 + pick(4); i > 0; --i) args.push_back(pick(6) ? float_value() : value());
  for (size_t i = 0; i < args.size(); ++i)
    if (is_float(b_.dtype(args[i])) && (wrt.empty() || pick(4))) wrt.push_back(static_cast<int64_t>(i));
  if (wrt.empty()) return {};
  const std::string f = body(types_of(args), [&] {
    for (int i = pick(5); i > 0; --i) step();
    NodeId loss = float_value();
    if (pick(4)) loss = b_.unary("tanh", loss);
    std::vector<int64_t> axes;
    for (int a = 0; a < static_cast<int>(shape(loss).size()); ++a) axes.push_back(a);
    b_.result(b_.sum(loss, axes));
    results(pick(2));
  });
  return all_of(
      try_make("value_and_grad", args, {{"function", graph::FunctionRef{f}}, {"wrt", graph::ints(wrt)}}));
}

}  // namespace gradc::test
