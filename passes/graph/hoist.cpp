// Moves contractions out of the bodies of scans, where they can be one contraction over all steps: products
// of a step's input with a constant before the loop; products with a constant that only leave the loop, sums
// of those, and sums over the steps of products, behind it. One large contraction runs several times as fast
// as many small ones, and a gradient of a constant is no longer carried through every step. What stays inside
// reads its constant as it lies in memory: one that does not is transposed once, before the loop.
#include <algorithm>
#include <set>

#include "ir/ops/einsum_spec.h"
#include "passes/graph/expand.h"
#include "passes/graph/over_scans.h"

namespace gradc::passes {
namespace {

using namespace graph;

// One scan of a function under construction and the new one that stands for it.
class Hoist {
 public:
  Hoist(Builder& b, const Module& m, const Function& f, NodeId scan, const std::vector<NodeId>& made)
      : b_(b), scan_(f[scan]), body_(m.at(scan_.attrs.function("function"))), made_(made) {
    consts_ = static_cast<size_t>(scan_.attrs.integer("consts"));
    carries_ = static_cast<size_t>(scan_.attrs.integer("carries"));
    uses_.assign(body_.nodes.size(), 0);
    for (const Node& n : body_.nodes)
      for (NodeId q : n.operands) ++uses_[q];
    for (size_t i = 0; i < body_.params.size(); ++i) param_[body_.params[i]] = i;
    for (const Result& r : body_.results) ++results_[r.node];
  }

  // Whether there is anything to move.
  bool plan() {
    for (NodeId i = 0; i < body_.nodes.size(); ++i) plan_before(i);
    for (size_t r = 0; r < body_.results.size(); ++r) r < carries_ ? plan_sum(r) : plan_behind(r);
    std::set<NodeId> gone(before_.begin(), before_.end());
    gone.insert(moved_.begin(), moved_.end());
    for (const auto& [r, e] : sums_) gone.insert(e);
    for (NodeId i = 0; i < body_.nodes.size(); ++i)
      if (!gone.count(i)) plan_turn(i);
    return !before_.empty() || !sums_.empty() || !behind_.empty() || !turned_.empty();
  }

  // What the new body is; it needs to be in the module before `replace`.
  Function make_body(const Module& m, const std::string& name) {
    Builder n(name, &m);
    for (const auto& [dim, info] : body_.dims) n.dim(dim, info);
    std::vector<NodeId> map(body_.nodes.size(), kNone);
    for (size_t p = 0; p <= body_.params.size(); ++p) {
      if (p == consts_)
        for (auto& [i, t] : turned_) t.param = n.param(".turned" + std::to_string(i), turned_type(i, t));
      if (p < body_.params.size() && (p < consts_ || p >= consts_ + carries_ || !sums_.count(p - consts_)))
        map[body_.params[p]] = n.param(body_.names.at(body_.params[p]), body_.type(body_.params[p]));
    }
    for (NodeId i : before_) map[i] = n.param(".before" + std::to_string(i), body_.type(i));
    for (NodeId i = 0; i < body_.nodes.size(); ++i) {
      const auto& q = body_[i].operands;
      if (map[i] != kNone || body_[i].op->form == Form::Parameter ||
          std::any_of(q.begin(), q.end(), [&](NodeId o) { return map[o] == kNone; }))
        continue;
      const auto it = turned_.find(i);
      map[i] = it == turned_.end() ? copy_node(n, body_, i, map) : turned_contraction(n, map, i, it->second);
    }
    for (size_t r = 0; r < body_.results.size(); ++r)
      if (r < carries_ ? !sums_.count(r) : !behind_.count(r)) n.result(map[body_.results[r].node]);
    for (NodeId v : stacked_) n.result(map[v]);
    Function out = n.finish();
    out.notes = body_.notes;
    return prune_function(out, m);
  }

  // The results of the old scan by those of the new one, whose body is called `name`.
  std::vector<NodeId> replace(const std::string& name) {
    std::vector<NodeId> operands;
    for (size_t i = 0; i <= scan_.operands.size(); ++i) {
      if (i == consts_)
        for (const auto& [e, t] : turned_) operands.push_back(b_.transpose(outside(constant(e, t)), t.perm));
      if (i == scan_.operands.size()) break;
      if (i < consts_ || i >= consts_ + carries_ || !sums_.count(i - consts_)) operands.push_back(outside(i));
    }
    for (NodeId i : before_) operands.push_back(over_all_steps(i));
    const NodeId scan = b_.make("scan", operands,
                                scan_.attrs.with("function", FunctionRef{name})
                                    .with("consts", static_cast<int64_t>(consts_ + turned_.size()))
                                    .with("carries", static_cast<int64_t>(carries_ - sums_.size())));
    int next = 0;
    std::vector<NodeId> results(body_.results.size(), kNone);
    for (size_t r = 0; r < results.size(); ++r)
      if (r < carries_ ? !sums_.count(r) : !behind_.count(r)) results[r] = b_.get(scan, next++);
    for (NodeId v : stacked_) stack_[v] = b_.get(scan, next++);
    for (const auto& [r, e] : behind_) results[r] = sum_over_all_steps(e);
    for (const auto& [r, e] : sums_) results[r] = b_.add(outside(consts_ + r), over_all_steps(e, true));
    return results;
  }

 private:
  // A contraction that stays, and the constant operand that is transposed for it.
  struct Turn {
    int side = 0;
    std::vector<int64_t> perm;
    EinsumSpec spec;  // with the labels of the transposed one
    NodeId param = kNone;
  };
  size_t constant(NodeId e, const Turn& t) const { return param_.at(body_[e].operands[t.side]); }
  Type turned_type(NodeId e, const Turn& t) const {
    Type type = body_.type(body_[e].operands[t.side]);
    const Shape shape = type.shape;
    for (size_t i = 0; i < shape.size(); ++i) type.shape[i] = shape[static_cast<size_t>(t.perm[i])];
    return type;
  }
  NodeId turned_contraction(Builder& n, const std::vector<NodeId>& map, NodeId e, const Turn& t) const {
    NodeId operands[2] = {map[body_[e].operands[0]], map[body_[e].operands[1]]};
    operands[t.side] = t.param;
    return n.einsum(operands[0], operands[1], t.spec.text());
  }

  // Lanes run along the last axis of the result; the constant is to be contiguous along it.
  void plan_turn(NodeId e) {
    if (!is_contraction(e)) return;
    Turn t;
    t.spec = parse_einsum(body_[e].attrs.text("spec"));
    const auto& q = body_[e].operands;
    if (is_const(q[0]) == is_const(q[1]) || t.spec.out.empty()) return;
    t.side = is_const(q[0]) ? 0 : 1;
    std::string& labels = t.side ? t.spec.b : t.spec.a;
    const char last = t.spec.out.back();
    const size_t at = labels.find(last);
    if (at == std::string::npos || at + 1 == labels.size()) return;
    for (size_t i = 0; i < labels.size(); ++i)
      if (i != at) t.perm.push_back(static_cast<int64_t>(i));
    t.perm.push_back(static_cast<int64_t>(at));
    labels.erase(at, 1), labels += last;
    turned_[e] = t;
  }

  bool is_const(NodeId n) const { return param_.count(n) && param_.at(n) < consts_; }
  bool is_input(NodeId n) const { return param_.count(n) && param_.at(n) >= consts_ + carries_; }
  bool is_contraction(NodeId n) const { return is_plain_contraction(body_[n]); }
  NodeId outside(size_t operand) const { return made_[scan_.operands[operand]]; }

  void plan_before(NodeId i) {
    if (!is_contraction(i)) return;
    const auto& q = body_[i].operands;
    if ((is_input(q[0]) && is_const(q[1])) || (is_const(q[0]) && is_input(q[1]))) before_.push_back(i);
  }

  // A result that is nothing but a product with a constant, or a sum of such.
  void plan_behind(size_t r) {
    const NodeId sum = body_.results[r].node;
    std::vector<NodeId> products;
    if (uses_[sum] > 0 || results_[sum] > 1 || !is_sum_of_products(sum, products)) return;
    behind_[r] = sum;
    for (const NodeId e : products) {
      moved_.insert(e);
      const auto& q = body_[e].operands;
      stack(q[is_const(q[0]) ? 1 : 0]);
    }
  }
  bool is_sum_of_products(NodeId n, std::vector<NodeId>& products, int depth = 0) const {
    const auto& q = body_[n].operands;
    if (body_[n].op->name == "add") {
      const auto alone = [&](NodeId o) { return uses_[o] == 1 && !results_.count(o); };
      return depth < kDeepestSum && q[0] != q[1] && alone(q[0]) && alone(q[1]) &&
             is_sum_of_products(q[0], products, depth + 1) && is_sum_of_products(q[1], products, depth + 1);
    }
    if (!is_contraction(n) || is_const(q[0]) == is_const(q[1]) ||
        std::find(before_.begin(), before_.end(), n) != before_.end())
      return false;
    products.push_back(n);
    return true;
  }
  NodeId sum_over_all_steps(NodeId n) {
    if (is_contraction(n)) return over_all_steps(n);
    const auto& q = body_[n].operands;
    const NodeId left = sum_over_all_steps(q[0]);
    return b_.add(left, sum_over_all_steps(q[1]));
  }

  // A carry that only collects products.
  void plan_sum(size_t r) {
    const NodeId carry = body_.params[consts_ + r], sum = body_.results[r].node;
    if (body_[sum].op->name != "add" || uses_[carry] != 1 || results_[carry] > 0 || uses_[sum] > 0 ||
        results_[sum] > 1)
      return;
    const auto& q = body_[sum].operands;
    if (q[0] != carry && q[1] != carry) return;
    const NodeId e = q[q[0] == carry ? 1 : 0];
    if (!is_contraction(e)) return;
    for (NodeId o : body_[e].operands)
      if (is_const(o)) return;
    sums_[r] = e;
    for (NodeId o : body_[e].operands) stack(o);
  }

  void stack(NodeId v) {
    if (!is_input(v) && std::find(stacked_.begin(), stacked_.end(), v) == stacked_.end())
      stacked_.push_back(v);
  }

  // The contraction for every step at once; `summed`: added up over the steps.
  NodeId over_all_steps(NodeId e, bool summed = false) {
    EinsumSpec s = parse_einsum(body_[e].attrs.text("spec"));
    const char t = s.unused();
    NodeId operands[2];
    for (int side = 0; side < 2; ++side) {
      const NodeId q = body_[e].operands[side];
      operands[side] = param_.count(q) && !stack_.count(q) ? outside(param_.at(q)) : stack_.at(q);
      if (!is_const(q)) (side ? s.b : s.a).insert(0, 1, t);
    }
    if (!summed) s.out.insert(0, 1, t);
    return b_.einsum(operands[0], operands[1], s.text());
  }

  Builder& b_;
  const Node& scan_;
  const Function& body_;
  const std::vector<NodeId>& made_;
  size_t consts_ = 0, carries_ = 0;
  std::vector<int> uses_;
  std::map<NodeId, size_t> param_;
  std::map<NodeId, int> results_;
  std::vector<NodeId> before_, stacked_;
  std::map<size_t, NodeId> sums_, behind_;  // by result
  std::set<NodeId> moved_;                  // products behind the loop
  std::map<NodeId, Turn> turned_;           // by contraction
  std::map<NodeId, NodeId> stack_;          // of all steps, by the body's node
};

}  // namespace

Module hoist(const Module& m) { return over_scans<Hoist>(m, "hoisted"); }

}  // namespace gradc::passes
