#include "frontend/elaboration/index_check.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

namespace gradc::frontend {
namespace {

using graph::Builder;
using graph::kNone;
using graph::NodeId;

constexpr double kNowhere = 0x1p62;  // a position behind all others
constexpr int kDepth = 32;           // chains of operations that are looked through

struct Range {
  Index low, high;
};

std::optional<Range> range_of_node(const Builder& b, NodeId n, int depth);

// Whether a >= b for all sizes; dimensions are 0 or more.
bool at_least(const Index& a, const Index& b) {
  if (a.is_constant() && b.is_constant()) return a.constant_part() >= b.constant_part();
  const Index d = a - b;
  return d.is_polynomial() && d.constant_part() >= 0 &&
         std::all_of(d.terms().begin(), d.terms().end(),
                     [](const Index::Term& t) { return t.coefficient > 0; });
}

// The smaller or larger of two bounds, where it can be told.
std::optional<Index> extreme(const std::optional<Index>& a, const std::optional<Index>& b, bool larger) {
  if (!a || !b) return std::nullopt;
  if (at_least(*a, *b)) return larger ? a : b;
  if (at_least(*b, *a)) return larger ? b : a;
  return std::nullopt;
}

std::optional<Range> join(const std::optional<Range>& a, const std::optional<Range>& b) {
  if (!a || !b) return std::nullopt;
  const auto low = extreme(a->low, b->low, false), high = extreme(a->high, b->high, true);
  return low && high ? std::optional(Range{*low, *high}) : std::nullopt;
}

std::optional<Range> range_of_type(DType t) {
  switch (t) {
    case DType::Bool:
      return Range{0, 1};
    case DType::U8:
      return Range{0, 255};
    case DType::I32:
      return Range{std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max()};
    default:
      return std::nullopt;
  }
}

// min and max cut a range, also one that is not known on the other side.
std::optional<Range> cut(const Builder& b, const graph::Node& node, int depth) {
  const auto x = range_of_node(b, node.operands[0], depth), y = range_of_node(b, node.operands[1], depth);
  const bool larger = node.op->name == "max";
  if (x && y) {
    const auto low = extreme(x->low, y->low, larger), high = extreme(x->high, y->high, larger);
    if (low && high) return Range{*low, *high};
  }
  return std::nullopt;
}

bool moves_only(std::string_view op) {
  return op == "reshape" || op == "broadcast" || op == "transpose" || op == "slice" || op == "reverse" ||
         op == "stop_gradient" || op == "gather";
}

std::optional<Range> computed_range(const Builder& b, NodeId n, int depth) {
  const graph::Node& node = b[n];
  const std::string_view op = node.op->name;
  if (op == "constant" && node.attrs.has("value") && is_integer(b.dtype(n))) {
    const graph::AttrValue* v = node.attrs.find("value");
    const auto* whole = std::get_if<int64_t>(v);
    const auto* real = std::get_if<double>(v);
    const double value = whole != nullptr ? static_cast<double>(*whole) : real != nullptr ? *real : kNowhere;
    if (!(std::abs(value) < 0x1p53)) return std::nullopt;
    return Range{static_cast<int64_t>(value), static_cast<int64_t>(value)};
  }
  if (op == "iota") return Range{0, b.shape(n)[static_cast<size_t>(node.attrs.integer("axis"))] - 1};
  if (op == "argsort") return Range{0, b.shape(n)[static_cast<size_t>(node.attrs.integer("axis"))] - 1};
  if (op == "argmax" || op == "argmin")
    return Range{0, b.shape(node.operands[0])[static_cast<size_t>(node.attrs.integers("axes")[0])] - 1};
  if (op == "min" || op == "max") return cut(b, node, depth);
  if (op == "select")
    return join(range_of_node(b, node.operands[1], depth), range_of_node(b, node.operands[2], depth));
  if (op == "concat") {
    auto all = range_of_node(b, node.operands[0], depth);
    for (size_t i = 1; i < node.operands.size(); ++i)
      all = join(all, range_of_node(b, node.operands[i], depth));
    return all;
  }
  if (moves_only(op)) return range_of_node(b, node.operands[0], depth);
  if (op == "convert" && !is_float(b.dtype(node.operands[0]))) {
    const auto from = range_of_node(b, node.operands[0], depth), to = range_of_type(b.dtype(n));
    if (from && (!to || (at_least(from->low, to->low) && at_least(to->high, from->high)))) return from;
  }
  return std::nullopt;
}

std::optional<Range> range_of_node(const Builder& b, NodeId n, int depth) {
  if (depth > 0)
    if (const auto r = computed_range(b, n, depth - 1)) return r;
  return range_of_type(b.dtype(n));
}

// Position and value of the first number outside, each a scalar.
std::pair<NodeId, NodeId> first_outside(Builder& b, const IndexSite& s) {
  const Shape flat{element_count(b.shape(s.index))};
  const NodeId numbers = b.reshape(b.convert(s.index, DType::I64), flat);
  const NodeId limit = b.splat(b.dim_value(s.limit), flat);
  const NodeId outside =
      b.make("or", {b.compare("lt", numbers, b.zeros_like(numbers)), b.compare("ge", numbers, limit)});
  const NodeId at = b.iota(flat, 0), nowhere = b.full_like(at, kNowhere);
  const NodeId first = b.reduce("reduce_min", b.select(outside, at, nowhere), {0});
  const NodeId value =
      b.sum(b.select(b.compare("eq", at, b.splat(first, flat)), numbers, b.zeros_like(numbers)), {0});
  const NodeId none = b.compare("ge", first, b.constant(kNowhere, DType::I64));
  return {b.select(none, b.constant(-1, DType::I64), first), value};
}

}  // namespace

NodeId source_of(const Builder& b, NodeId index) {
  while (true) {
    const graph::Node& n = b[index];
    const std::string_view op = n.op->name;
    const bool moved = op == "reshape" || op == "transpose" || op == "broadcast";
    const bool widened = op == "convert" && is_integer(b.dtype(n.operands[0])) &&
                         size_of(b.dtype(n.operands[0])) <= size_of(b.dtype(index));
    if (!moved && !widened) return index;
    index = n.operands[0];
  }
}

bool always_in_range(const Builder& b, NodeId index, const Dim& limit) {
  if (element_count(b.shape(index)).is(0)) return true;
  const auto r = range_of_node(b, index, kDepth);
  return r && at_least(r->low, 0) && at_least(limit - 1, r->high);
}

std::vector<char> needed_nodes(const graph::Function& f) {
  std::vector<char> needed(f.nodes.size(), 0);
  std::vector<NodeId> work;
  for (const graph::Result& r : f.results) work.push_back(r.node);
  while (!work.empty()) {
    const NodeId n = work.back();
    work.pop_back();
    if (std::exchange(needed[n], 1) != 0) continue;
    for (NodeId o : f[n].operands) work.push_back(o);
  }
  return needed;
}

IndexChecks check_indices(Builder& b, const std::vector<IndexSite>& sites) {
  IndexChecks c;
  std::vector<NodeId> parts;
  for (const IndexSite& s : sites) {
    const auto [at, value] = first_outside(b, s);
    const NodeId bad = b.compare("ge", at, b.constant(0, DType::I64));
    c.any = c.any == kNone ? bad : b.make("or", {c.any, bad});
    parts.push_back(b.reshape(at, {1}));
    parts.push_back(b.reshape(value, {1}));
    c.sites.push_back({s.what, b.shape(s.index), s.limit, s.loc});
  }
  if (!parts.empty()) c.found = b.concat(parts, 0);
  return c;
}

}  // namespace gradc::frontend
