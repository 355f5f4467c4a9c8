// Products of three: (a b) c, (a c) b or (b c) a, whichever is least work by the planned dimensions. A
// product that others read is there at any rate.
#include <algorithm>
#include <limits>
#include <map>

#include "ir/ops/einsum_spec.h"
#include "passes/graph/algebra.h"
#include "passes/graph/expand.h"

namespace gradc::passes {
namespace {

using namespace graph;

struct Factor {
  NodeId node = kNone;
  std::string labels;
};

class Chain {
 public:
  Chain(Builder& b, const Function& f) : b_(b), f_(f) {}

  // `n` multiplies `inner`, its operand number `side`, which nothing else reads.
  NodeId rewrite(NodeId n, size_t side) {
    const NodeId inner = b_[n].operands[side];
    if (!is_plain_contraction(b_[n]) || !is_plain_contraction(b_[inner])) return kNone;
    const EinsumSpec outer = parse_einsum(b_[n].attrs.text("spec"));
    out_ = outer.out;
    const Factor last{b_[n].operands[1 - side], side ? outer.a : outer.b};
    const EinsumSpec s = renamed(parse_einsum(b_[inner].attrs.text("spec")), side ? outer.b : outer.a, outer);
    if (s.a.empty()) return kNone;
    const Factor a{b_[inner].operands[0], s.a}, b{b_[inner].operands[1], s.b};
    for (const Factor& x : {a, b, last}) note(x);
    constexpr double kPays = 2;
    const double now = cost(a, b, last), one = cost(a, last, b), two = cost(b, last, a);
    if (std::min(one, two) * kPays > now) return kNone;
    return one <= two ? multiply(a, last, b) : multiply(b, last, a);
  }

 private:
  // The inner labels by the names that the outer spec has for its operand's axes; those that are summed
  // inside get letters that nobody uses. Nothing where there are too few of them.
  EinsumSpec renamed(const EinsumSpec& inner, const std::string& as, const EinsumSpec& outer) const {
    std::map<char, char> names;
    for (size_t i = 0; i < inner.out.size(); ++i) names[inner.out[i]] = as[i];
    std::string used = outer.a + outer.b;
    for (const char c : inner.reduced()) {
      char fresh = 'a';
      while (has(used, fresh)) ++fresh;
      if (fresh > 'z') return {};
      names[c] = fresh, used += fresh;
    }
    EinsumSpec s = inner;
    for (char& c : s.a) c = names.at(c);
    for (char& c : s.b) c = names.at(c);
    return s;
  }

  void note(const Factor& x) {
    for (size_t i = 0; i < x.labels.size(); ++i)
      extent_[x.labels[i]] = static_cast<double>(planned(f_, b_.shape(x.node)[i]));
  }
  static std::string both(const std::string& a, const std::string& b) {
    std::string all = a;
    for (const char c : b)
      if (!has(all, c)) all += c;
    return all;
  }
  // What is left of a product of two when the third comes: in the order of the result, then what is summed.
  std::string kept(const Factor& a, const Factor& b, const Factor& third) const {
    const std::string all = both(a.labels, b.labels);
    std::string left, summed;
    for (const char c : out_)
      if (has(all, c)) left += c;
    for (const char c : all)
      if (!has(out_, c) && has(third.labels, c)) summed += c;
    return left + summed;
  }
  double product(const std::string& labels) const {
    double n = 1;
    for (const char c : labels) n *= extent_.at(c);
    return n;
  }
  // Multiply-adds of (a b) c; without end where nothing is summed first.
  double cost(const Factor& a, const Factor& b, const Factor& third) const {
    const std::string first = both(a.labels, b.labels), left = kept(a, b, third);
    if (left.size() == first.size()) return std::numeric_limits<double>::infinity();
    return product(first) + product(both(left, third.labels));
  }
  NodeId multiply(const Factor& a, const Factor& b, const Factor& third) {
    const std::string left = kept(a, b, third);
    const NodeId first = b_.einsum(a.node, b.node, a.labels + "," + b.labels + "->" + left);
    return b_.einsum(first, third.node, left + "," + third.labels + "->" + out_);
  }

  Builder& b_;
  const Function& f_;
  std::string out_;
  std::map<char, double> extent_;
};

}  // namespace

NodeId cheaper_order(Builder& b, const Function& f, NodeId n, size_t side) {
  return Chain(b, f).rewrite(n, side);
}

}  // namespace gradc::passes
