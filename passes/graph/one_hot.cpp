// Contractions with rows of zeros and a one: `one_hot(y, V) @ w` is the rows of w by number, and its gradient
// adds rows up by number. The terms that a zero makes are not there: 0 times infinity is no NaN.
#include <algorithm>

#include "ir/ops/einsum_spec.h"
#include "passes/graph/algebra.h"

namespace gradc::passes {
namespace {

using namespace graph;

// An operand that is 1 where the label `row` is what `numbers` say at the labels `places`, else 0.
struct OneHot {
  NodeId numbers = kNone;
  std::string places;
  char row = 0;
  Dim rows;
};

class Rewriter {
 public:
  explicit Rewriter(Builder& b) : b_(b) {}

  NodeId rewrite(NodeId n) {
    if (!is_plain_contraction(b_[n])) return kNone;
    const EinsumSpec s = parse_einsum(b_[n].attrs.text("spec"));
    for (int side = 0; side < 2; ++side) {
      const auto hot = one_hot(b_[n].operands[static_cast<size_t>(side)], side ? s.b : s.a);
      if (!hot) continue;
      const NodeId other = b_[n].operands[static_cast<size_t>(1 - side)];
      const std::string& labels = side ? s.a : s.b;
      const NodeId rows = forward(*hot, other, labels, s.out);
      const NodeId better = rows != kNone ? rows : backward(*hot, other, labels, s.out);
      if (better != kNone) return better;
    }
    return kNone;
  }

 private:
  // Types that hold the number of any row.
  static bool counts(DType t) { return t == DType::I32 || t == DType::I64; }

  // convert(eq(iota, broadcast(numbers))), along any axis, either way round.
  std::optional<OneHot> one_hot(NodeId x, const std::string& labels) const {
    if (b_[x].op->name != "convert" || b_[b_[x].operands[0]].op->name != "eq") return {};
    const Node& eq = b_[b_[x].operands[0]];
    for (size_t side = 0; side < 2; ++side) {
      const Node &iota = b_[eq.operands[side]], &spread = b_[eq.operands[1 - side]];
      if (iota.op->name != "iota" || spread.op->name != "broadcast") continue;
      const auto axis = static_cast<size_t>(iota.attrs.integer("axis"));
      std::vector<int64_t> others;
      for (size_t a = 0; a < labels.size(); ++a)
        if (a != axis) others.push_back(static_cast<int64_t>(a));
      OneHot hot{spread.operands[0], labels, labels[axis], b_.shape(x)[axis]};
      hot.places.erase(axis, 1);
      // So few rows are multiplied as fast as they are found.
      constexpr int64_t kFewest = 8;
      if (spread.attrs.integers("dims") == others && !others.empty() && counts(b_.dtype(hot.numbers)) &&
          hot.rows.is_constant() && hot.rows.constant_part() >= kFewest)
        return hot;
    }
    return {};
  }

  // The row is summed over: rows of the other operand by number.
  NodeId forward(const OneHot& hot, NodeId other, const std::string& labels, const std::string& out) {
    const std::string kept = without(labels, {hot.row});
    if (!has(labels, hot.row) || !same(out, hot.places + kept)) return kNone;
    const NodeId rows = b_.make("gather", {ordered(b_, other, labels, hot.row + kept), hot.numbers});
    return ordered(b_, where_there(hot, rows), hot.places + kept, out);
  }

  // The numbers are summed over: rows of the other operand added up by number.
  NodeId backward(const OneHot& hot, NodeId other, const std::string& labels, const std::string& out) {
    const std::string kept = without(labels, hot.places);
    if (kept.size() + hot.places.size() != labels.size() || !same(out, hot.row + kept)) return kNone;
    const NodeId u = where_there(hot, ordered(b_, other, labels, hot.places + kept));
    Shape shape{hot.rows};
    const auto places = static_cast<long>(hot.places.size());
    shape.insert(shape.end(), b_.shape(u).begin() + places, b_.shape(u).end());
    const NodeId sums = b_.make("scatter_add", {b_.constant(0, b_.dtype(u), shape), hot.numbers, u});
    return ordered(b_, sums, hot.row + kept, out);
  }

  // 0 for numbers that name no row.
  NodeId where_there(const OneHot& hot, NodeId rows) {
    const DType t = b_.dtype(hot.numbers);
    const Shape& at = b_.shape(hot.numbers);
    const NodeId from = b_.compare("ge", hot.numbers, b_.constant(0, t, at));
    const NodeId to =
        b_.compare("lt", hot.numbers, b_.constant(static_cast<double>(hot.rows.constant_part()), t, at));
    std::vector<int64_t> axes;
    for (size_t i = 0; i < at.size(); ++i) axes.push_back(static_cast<int64_t>(i));
    const NodeId there = b_.broadcast(b_.make("and", {from, to}), b_.shape(rows), axes);
    return b_.select(there, rows, b_.constant(0, b_.dtype(rows), b_.shape(rows)));
  }

  static std::string without(std::string labels, const std::string& these) {
    std::erase_if(labels, [&](char c) { return has(these, c); });
    return labels;
  }
  static bool same(std::string a, std::string b) {
    std::sort(a.begin(), a.end()), std::sort(b.begin(), b.end());
    return a == b;
  }

  Builder& b_;
};

}  // namespace

NodeId rows_instead_of_one_hot(Builder& b, NodeId n) { return Rewriter(b).rewrite(n); }

}  // namespace gradc::passes
