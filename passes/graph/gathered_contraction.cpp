// Embeddings meet weights: with a table of V rows and N numbers, V < N, `table[i] @ w` is `(table @ w)[i]`,
// and its gradients sum the cotangent by row first. In a character model that is most of the arithmetic of
// its first layer.
#include <fmt/format.h>

#include <algorithm>

#include "ir/ops/einsum_spec.h"
#include "passes/graph/algebra.h"
#include "passes/graph/expand.h"

namespace gradc::passes {
namespace {

using namespace graph;

// An operand that is, up to the order of its axes, the rows of a matrix by number. `labels` are those of the
// gather: of the numbers, then the column's.
struct Gathered {
  NodeId table = kNone, numbers = kNone;
  std::string labels;

  std::string places() const { return labels.substr(0, labels.size() - 1); }
  char column() const { return labels.back(); }
};

class Rewriter {
 public:
  Rewriter(Builder& b, const Function& f) : b_(b), f_(f) {}

  NodeId rewrite(NodeId n) {
    if (b_[n].op->name == "scatter_add") return scattered(n);
    if (!is_plain_contraction(b_[n])) return kNone;
    const EinsumSpec s = parse_einsum(b_[n].attrs.text("spec"));
    for (int side = 0; side < 2; ++side) {
      const auto g = gathered(b_[n].operands[side], side ? s.b : s.a);
      if (!g) continue;
      const NodeId other = b_[n].operands[1 - side];
      const NodeId better = forward(*g, other, side ? s.a : s.b, s.out);
      return better != kNone ? better : backward(*g, other, side ? s.a : s.b, s.out);
    }
    return kNone;
  }

 private:
  // Only where it is less work, by the planned values of the dimensions.
  bool fewer_rows(NodeId table, NodeId numbers) const {
    return planned(f_, b_.shape(table)[0]) <= planned(f_, element_count(b_.shape(numbers))) / 2;
  }

  // Looks through what only orders axes or elements. `labels` are those of the axes of x, on return of what
  // is below; `reversed` those of axes that run the other way there.
  NodeId below(NodeId x, std::string& labels, std::string& reversed) const {
    for (;; x = b_[x].operands[0]) {
      if (b_[x].op->name == "transpose") {
        const std::string above = labels;
        const std::vector<int64_t> perm = b_[x].attrs.integers("perm");
        for (size_t i = 0; i < perm.size(); ++i) labels[static_cast<size_t>(perm[i])] = above[i];
      } else if (b_[x].op->name == "reverse") {
        for (int64_t a : b_[x].attrs.integers("axes")) {
          const char c = labels[static_cast<size_t>(a)];
          has(reversed, c) ? void(reversed.erase(reversed.find(c), 1)) : void(reversed += c);
        }
      } else {
        return x;
      }
    }
  }
  // Numbers whose axes are called `labels`, with some of them reversed.
  NodeId reverse(NodeId numbers, const std::string& labels, const std::string& reversed) {
    std::vector<int64_t> axes;
    for (size_t i = 0; i < labels.size(); ++i)
      if (has(reversed, labels[i])) axes.push_back(static_cast<int64_t>(i));
    return axes.empty() ? numbers : b_.make("reverse", {numbers}, {{"axes", ints(axes)}});
  }

  std::optional<Gathered> gathered(NodeId x, std::string labels) {
    std::string reversed;
    x = below(x, labels, reversed);
    if (b_[x].op->name != "gather") return std::nullopt;
    Gathered g{b_[x].operands[0], b_[x].operands[1], labels};
    if (b_.shape(g.table).size() != 2 || labels.size() < 2 || has(reversed, g.column()) ||
        !fewer_rows(g.table, g.numbers))
      return std::nullopt;
    g.numbers = reverse(g.numbers, g.places(), reversed);
    return g;
  }

  static bool any_of(const std::string& these, const std::string& in) {
    return std::any_of(these.begin(), these.end(), [&](char c) { return has(in, c); });
  }
  static bool all_of(const std::string& these, const std::string& in) {
    return std::all_of(these.begin(), these.end(), [&](char c) { return has(in, c); });
  }

  // The column is summed over and the other operand knows nothing of the numbers.
  NodeId forward(const Gathered& g, NodeId other, const std::string& labels, const std::string& out) {
    const std::string places = g.places();
    if (has(out, g.column()) || !has(labels, g.column()) || any_of(places, labels) || !all_of(places, out))
      return kNone;
    std::string kept;
    for (char c : out)
      if (!has(places, c)) kept += c;
    if (kept.size() + 1 != labels.size()) return kNone;  // the other sums over more
    const char row = places[0];
    const NodeId product =
        b_.einsum(g.table, other, std::string{row, g.column()} + "," + labels + "->" + row + kept);
    return ordered(b_, b_.make("gather", {product, g.numbers}), places + kept, out);
  }

  // The numbers are summed over: the gradient of what the rows were multiplied by.
  NodeId backward(const Gathered& g, NodeId other, const std::string& labels, const std::string& out) {
    const std::string places = g.places();
    if (!has(out, g.column()) || has(labels, g.column()) || !all_of(places, labels) || any_of(places, out))
      return kNone;
    std::string kept;
    for (char c : labels)
      if (!has(places, c)) kept += c;
    if (kept.size() + 1 != out.size()) return kNone;
    const char row = places[0];
    const NodeId sums = by_row(g.numbers, b_.shape(g.table)[0], ordered(b_, other, labels, places + kept));
    return b_.einsum(g.table, sums, std::string{row, g.column()} + "," + row + kept + "->" + out);
  }

  // The sums of the rows of u, by number.
  NodeId by_row(NodeId numbers, const Dim& rows, NodeId u) {
    Shape shape{rows};
    const Shape& all = b_.shape(u);
    shape.insert(shape.end(), all.begin() + static_cast<long>(b_.shape(numbers).size()), all.end());
    return b_.make("scatter_add", {b_.constant(0, b_.dtype(u), shape), numbers, u});
  }

  // Rows added to a table that are themselves products with a matrix.
  NodeId scattered(NodeId n) {
    const NodeId table = b_[n].operands[0];
    NodeId numbers = b_[n].operands[1];
    const size_t places = b_.shape(numbers).size();
    if (b_.shape(table).size() != 2 || places == 0 || !fewer_rows(table, numbers)) return kNone;
    std::string above, reversed;
    for (size_t i = 0; i <= places; ++i) above += static_cast<char>('a' + i);
    std::string labels = above;
    const NodeId u = below(b_[n].operands[2], labels, reversed);
    if (!is_plain_contraction(b_[u]) || has(reversed, above.back())) return kNone;
    numbers = reverse(numbers, above, reversed);
    const EinsumSpec s = parse_einsum(b_[u].attrs.text("spec"));
    std::string rows;  // the labels of s in the order of the rows' axes
    for (char c : above) rows += s.out[labels.find(c)];
    const std::string at = rows.substr(0, places);
    for (int side = 0; side < 2; ++side) {
      const std::string &g = side ? s.b : s.a, &w = side ? s.a : s.b;
      if (!all_of(at, g) || any_of(at, w) || has(g, rows.back()) || !has(w, rows.back())) continue;
      std::string kept;
      for (char c : g)
        if (!has(at, c)) kept += c;
      if (kept.size() + 1 != w.size() || !all_of(kept, w)) continue;
      const NodeId sums =
          by_row(numbers, b_.shape(table)[0], ordered(b_, b_[u].operands[side], g, at + kept));
      const NodeId product = b_.einsum(sums, b_[u].operands[1 - side],
                                       fmt::format("{}{},{}->{}{}", at[0], kept, w, at[0], rows.back()));
      return b_.add(table, product);
    }
    return kNone;
  }

  Builder& b_;
  const Function& f_;
};

}  // namespace

NodeId contract_before_gather(Builder& b, const Function& f, NodeId n) { return Rewriter(b, f).rewrite(n); }

}  // namespace gradc::passes
