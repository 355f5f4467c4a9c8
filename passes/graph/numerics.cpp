// The numerics pass: writes into the text every rounding that is still open. It decides from bodies and
// constant extents only, never from the machine; docs/numerics.md has the rules and their error bounds.
#include <algorithm>

#include "ir/ops/einsum_spec.h"
#include "passes/graph/expand.h"

namespace gradc::passes {
namespace {

using namespace graph;

constexpr int64_t kLanesFrom = 32;           // shorter rows are cheaper as a chain
constexpr int64_t kChain = 256;              // elements of a long sum that one chain takes
constexpr int64_t kChunk = kChain * kLanes;  // the same for 64 lanes
// A contraction of fewer outputs is one or two register tiles, so one thread's work, and with one output a
// single chain that waits for every multiply-add.
constexpr int64_t kFewOutputs = 256;
// Terms of a part. Not a power of two: parts that are read side by side would share few sets of the cache.
constexpr int64_t kPart = 272;
// More terms are parted; fewer parts cost more than they give, lanes give something always.
constexpr int64_t kLongContraction = 8 * kPart, kLongDot = 4 * kChain;

// Along the operand's innermost axis, of constant extent: vector code then reads it contiguously.
bool wants_lanes(const Shape& x, const std::vector<int64_t>& axes) {
  return !axes.empty() && axes.back() + 1 == static_cast<int64_t>(x.size()) && x.back().is_constant() &&
         x.back().constant_part() >= kLanesFrom;
}

// What stands for a node of `f`; nothing where all its roundings are said.
class Decider {
 public:
  Decider(const Function& f, Builder& b, const std::vector<NodeId>& map) : f_(f), b_(b), map_(map) {}

  Results decide(NodeId i) {
    const Node& n = f_[i];
    if (const Loc* loc = f_.locs.find(i)) b_.set_location(*loc);
    if (!n.op->meaning || !is_float(n.type().dtype)) return std::nullopt;
    const NodeId made = n.op->scalar ? multiply_add(i) : reduction(i);
    if (made == kNone) return std::nullopt;
    if (const std::string* name = f_.names.find(i)) b_.name(made, *name);
    return std::vector<NodeId>{made};
  }

 private:
  bool is_product(NodeId n) const { return f_[n].op->scalar == ScalarOp::Mul; }

  // a*b + c and c + a*b as fma(a, b, c); c - a*b as fma(-a, b, c); a*b - c as fma(a, b, -c). Two products are
  // treated alike: neither is fused, so that x*x - y*y is 0 where x is y.
  NodeId multiply_add(NodeId i) {
    const Node& n = f_[i];
    const bool minus = n.op->scalar == ScalarOp::Sub;
    if (!f_.fuses() || (!minus && n.op->scalar != ScalarOp::Add)) return kNone;
    if (is_product(n.operands[0]) == is_product(n.operands[1])) return kNone;
    const int side = is_product(n.operands[1]) ? 1 : 0;
    const Node& product = f_[n.operands[side]];
    NodeId a = map_[product.operands[0]], c = map_[n.operands[1 - side]];
    if (minus && side == 1) a = b_.neg(a);
    if (minus && side == 0) c = b_.neg(c);
    return b_.make("fma", {a, map_[product.operands[1]], c});
  }

  NodeId reduction(NodeId i) {
    const Node& n = f_[i];
    const auto& takes = n.op->attributes;
    if (takes.empty()) return kNone;
    auto has = [&](std::string_view name) {
      return std::find(takes.begin(), takes.end(), name) != takes.end();
    };
    if (has("fma")) return contraction(n);
    if (!has("order")) return kNone;  // its row's order is the only one
    const Combiner c = meaning_of(f_, i).combine;
    if (c == Combiner::None || c == Combiner::ArgMax || c == Combiner::ArgMin) return kNone;
    const NodeId x = map_[n.operands[0]];
    const std::vector<int64_t> axes = n.attrs.integers("axes");
    return c == Combiner::Add ? sum(*n.op, x, axes) : in_rows(*n.op, x, axes);
  }

  // Along lanes where the innermost axis is long, else a chain.
  NodeId in_rows(const OpDef& op, NodeId x, const std::vector<int64_t>& axes) {
    const bool lanes = wants_lanes(b_.shape(x), axes);
    return b_.make(op, {x}, lanes ? with_order(axes, "lanes") : Attrs{{"axes", ints(axes)}});
  }
  static Attrs with_order(const std::vector<int64_t>& axes, const std::string& order) {
    return {{"axes", ints(axes)}, {"order", order}};
  }

  // A long sum is cut along its first axis into chunks of at most kChain elements a chain, whose sums are
  // joined pairwise. Where the other axes are too many for one chunk they are summed first.
  NodeId sum(const OpDef& op, NodeId x, const std::vector<int64_t>& axes) {
    if (axes.empty()) return in_rows(op, x, axes);
    const Shape shape = b_.shape(x);
    const bool lanes = wants_lanes(shape, axes);
    const int64_t most = lanes ? kChunk : kChain;
    Dim inner(1);
    for (size_t i = 1; i < axes.size(); ++i) inner = inner * shape[axes[i]];
    if (axes.size() > 1 && (!inner.is_constant() || inner.constant_part() > most))
      return sum(op, sum(op, x, {axes.begin() + 1, axes.end()}), {axes[0]});
    const int64_t rows = std::max<int64_t>(1, most / std::max<int64_t>(1, inner.constant_part()));
    const Dim& extent = shape[axes[0]];
    if (largest(extent) <= rows) return in_rows(op, x, axes);
    return b_.make(op, {chunk_sums(op, x, axes, extent, rows)}, with_order({axes[0]}, "pairwise"));
  }

  // Axis axes[0], which stands for chunks from here on, gets an axis of `rows` behind it that is summed away.
  NodeId chunk_sums(const OpDef& op, NodeId x, const std::vector<int64_t>& axes, const Dim& extent,
                    int64_t rows) {
    const size_t a = static_cast<size_t>(axes[0]);
    const Dim chunks = extent.ceil_div(rows), missing = chunks * rows - extent;
    if (!missing.is(0)) {
      const Shape none(b_.shape(x).size(), Dim(0));
      Shape high = none;
      high[a] = missing;
      x = b_.make("pad", {x}, {{"low", none}, {"high", high}, {"interior", none}, {"value", 0.0}});
    }
    Shape shape = b_.shape(x);
    shape[a] = chunks;
    shape.insert(shape.begin() + static_cast<long>(a) + 1, Dim(rows));
    std::vector<int64_t> inner = axes;
    for (int64_t& axis : inner) ++axis;
    return in_rows(op, b_.reshape(x, shape), inner);
  }

  // A chain, unless its outputs are few and its terms many.
  NodeId contraction(const Node& n) {
    const EinsumSpec s = parse_einsum(n.attrs.text("spec"));
    const NodeId x = map_[n.operands[0]], y = map_[n.operands[1]];
    if (!n.attrs.has("order") && !n.attrs.has("where") &&
        planned(f_, extents(s.out, s, x, y)) < kFewOutputs &&
        largest(extents(s.reduced(), s, x, y)) > (along_lanes(s) ? kLongDot : kLongContraction)) {
      const NodeId sum = parted(*n.op, s, x, y);
      return n.operands.size() == 3 ? b_.add(map_[n.operands[2]], sum) : sum;
    }
    return b_.make(*n.op, n.operands.through(map_), n.attrs.with("fma", f_.fuses()));
  }

  // As a long sum: cut along the first of the summed axes, the axes behind it summed first where they are too
  // many for one part; the parts are summed as any long sum. What is left behind the whole parts is a part
  // too, possibly of no terms: padding would ask at every term whether there is one.
  NodeId parted(const OpDef& op, const EinsumSpec& s, NodeId x, NodeId y) {
    const std::string reduced = s.reduced(), first = reduced.substr(0, 1);
    const int64_t most = lanes_fit(s, x) ? kChunk : along_lanes(s) ? kChain : kPart;
    const Dim inner = extents(reduced.substr(1), s, x, y), extent = extents(first, s, x, y);
    if (reduced.size() > 1 && (!inner.is_constant() || inner.constant_part() > most))
      return sum(graph::op("reduce_sum"), parted(op, {s.a, s.b, first + s.out}, x, y), {0});
    const Dim rows = std::max<int64_t>(1, most / std::max<int64_t>(1, inner.constant_part()));
    if (largest(extent) <= rows.constant_part()) return part(op, s, x, y);
    const Dim whole = extent.floor_div(rows), end = whole * rows;
    const char chunk = s.unused();
    EinsumSpec many = s;
    many.out = chunk + s.out;
    NodeId operands[] = {x, y}, rest[] = {x, y};
    for (int side = 0; side < 2; ++side) {
      std::string& labels = side ? many.b : many.a;
      const size_t at = labels.find(first);
      if (at == std::string::npos) continue;
      const Shape shape = b_.shape(operands[side]);
      rest[side] = between(operands[side], at, end, extent);
      Shape cut = shape;
      cut[at] = whole;
      cut.insert(cut.begin() + static_cast<long>(at) + 1, rows);
      operands[side] = b_.reshape(between(operands[side], at, 0, end), cut);
      labels.insert(at, 1, chunk);
    }
    NodeId parts = part(op, many, operands[0], operands[1]);
    if (!(end == extent)) {
      const NodeId last = part(op, s, rest[0], rest[1]);
      Shape one = b_.shape(last);
      one.insert(one.begin(), Dim(1));
      parts = b_.concat({parts, b_.reshape(last, one)}, 0);
    }
    return sum(graph::op("reduce_sum"), parts, {0});
  }

  NodeId part(const OpDef& op, const EinsumSpec& s, NodeId x, NodeId y) {
    Attrs attrs{{"spec", s.text()}, {"fma", f_.fuses()}};
    if (lanes_fit(s, x)) attrs = attrs.with("order", std::string("lanes"));
    return b_.make(op, {x, y}, attrs);
  }

  // The elements from `low` to `high` of an axis.
  NodeId between(NodeId x, size_t axis, const Dim& low, const Dim& high) {
    const Shape& shape = b_.shape(x);
    if (low.is(0) && high == shape[axis]) return x;
    Shape start(shape.size(), Dim(0)), limit = shape;
    start[axis] = low, limit[axis] = high;
    return b_.slice(x, start, limit);
  }

  // Where the last of the summed axes is innermost in both operands; it takes lanes if it is constant and
  // long.
  static bool along_lanes(const EinsumSpec& s) {
    const std::string reduced = s.reduced();
    return !reduced.empty() && s.a.ends_with(reduced.back()) && s.b.ends_with(reduced.back());
  }
  bool lanes_fit(const EinsumSpec& s, NodeId x) const {
    return along_lanes(s) && wants_lanes(b_.shape(x), {static_cast<int64_t>(s.a.size()) - 1});
  }

  Dim extents(const std::string& labels, const EinsumSpec& s, NodeId x, NodeId y) const {
    Dim n(1);
    for (char c : labels) {
      const bool left = has(s.a, c);
      n = n * b_.shape(left ? x : y)[(left ? s.a : s.b).find(c)];
    }
    return n;
  }

  // At the maximum of the dimensions; a sum that is short there is one chunk, whatever its length.
  int64_t largest(const Dim& d) const {
    bool known = true;
    const int64_t n = d.evaluate([](int) -> int64_t { return 0; },
                                 [&](const std::string& name) {
                                   auto it = f_.dims.find(name);
                                   const int64_t max = it == f_.dims.end() ? 0 : it->second.max;
                                   known &= max > 0;
                                   return max;
                                 });
    return known ? n : INT64_MAX;
  }

  const Function& f_;
  Builder& b_;
  const std::vector<NodeId>& map_;
};

Function decided(const Function& f, const Module& m) {
  Function out = rebuild(f, m, [&](Builder& b, NodeId i, const std::vector<NodeId>& made) {
    return Decider(f, b, made).decide(i);
  });
  out.notes["numerics"] = "done";
  return out;
}

}  // namespace

Module numerics(const Module& m) { return each_function(m, decided); }

}  // namespace gradc::passes
