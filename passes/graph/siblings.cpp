// Products in the body of a scan that differ in a constant alone become one, with the constants side by side:
// the gates of a recurrent layer. So do sums of products, one behind the other along what is summed. The
// constants are joined once, before the loop; small products in a loop wait for each other, and large ones
// run faster.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "ir/ops/einsum_spec.h"
#include "passes/graph/expand.h"
#include "passes/graph/over_scans.h"

namespace gradc::passes {
namespace {

using namespace graph;

class Siblings {
 public:
  Siblings(Builder& b, const Module& m, const Function& f, NodeId scan, const std::vector<NodeId>& made)
      : b_(b), scan_(f[scan]), body_(m.at(scan_.attrs.function("function"))), made_(made) {
    consts_ = static_cast<size_t>(scan_.attrs.integer("consts"));
    users_.resize(body_.nodes.size());
    for (NodeId i = 0; i < body_.nodes.size(); ++i)
      for (const NodeId q : body_[i].operands) users_[q].push_back(i);
    for (const Result& r : body_.results) users_[r.node].push_back(kNone);
    for (size_t i = 0; i < consts_; ++i) const_[body_.params[i]] = i;
  }

  bool plan() {
    for (NodeId i = 0; i < body_.nodes.size(); ++i) plan_sum(i);
    std::map<std::string, std::vector<NodeId>> alike;  // of one operand
    for (NodeId i = 0; i < body_.nodes.size(); ++i)
      if (const auto side = constant_side(i); side && !in_sum_.count(i))
        if (const char z = own_label(i, *side); z != 0)
          alike[fmt::format("{} {} {} {}", body_[i].operands[1 - *side], *side, body_[i].attrs.text("spec"),
                            kind_of_constant(i, *side, z))]
              .push_back(i);
    for (auto& [key, products] : alike) {
      if (products.size() < 2) continue;
      const size_t side = *constant_side(products[0]);
      groups_.push_back({side, own_label(products[0], side), kNone, std::move(products), Dim(0)});
    }
    for (size_t g = 0; g < groups_.size(); ++g)
      for (const NodeId e : groups_[g].products) group_of_[e] = g;
    return !groups_.empty();
  }

  Function make_body(const Module& m, const std::string& name) {
    Builder n(name, &m);
    for (const auto& [dim, info] : body_.dims) n.dim(dim, info);
    std::vector<NodeId> map(body_.nodes.size(), kNone);
    std::vector<NodeId> joined;
    for (size_t p = 0; p <= body_.params.size(); ++p) {
      for (size_t g = 0; p == consts_ && g < groups_.size(); ++g)
        joined.push_back(n.param(fmt::format(".joined{}", g), joined_type(groups_[g])));
      if (p < body_.params.size())
        map[body_.params[p]] = n.param(body_.names.at(body_.params[p]), body_.type(body_.params[p]));
    }
    std::vector<NodeId> product(groups_.size(), kNone);
    for (NodeId i = 0; i < body_.nodes.size(); ++i) {
      if (map[i] != kNone || body_[i].op->form == Form::Parameter) continue;
      const auto g = group_of_.find(i);
      const auto root = roots_.find(i);
      if (g == group_of_.end() && root == roots_.end()) {
        map[i] = copy_node(n, body_, i, map);
      } else if (root != roots_.end()) {
        map[i] = joined_product(n, groups_[root->second], joined[root->second], map);
      } else if (groups_[g->second].root == kNone) {
        NodeId& whole = product[g->second];
        if (whole == kNone) whole = joined_product(n, groups_[g->second], joined[g->second], map);
        map[i] = part(n, groups_[g->second], i, whole);
      } else {
        map[i] = copy_node(n, body_, i, map);  // of a sum, which nothing reads any more
      }
    }
    for (const Result& r : body_.results) n.result(map[r.node]);
    Function out = n.finish();
    out.notes = body_.notes;
    return prune_function(out, m);
  }

  std::vector<NodeId> replace(const std::string& name) {
    std::vector<NodeId> operands;
    for (size_t i = 0; i <= scan_.operands.size(); ++i) {
      for (size_t g = 0; i == consts_ && g < groups_.size(); ++g)
        operands.push_back(joined_constant(groups_[g]));
      if (i < scan_.operands.size()) operands.push_back(made_[scan_.operands[i]]);
    }
    const NodeId scan = b_.make("scan", operands,
                                scan_.attrs.with("function", FunctionRef{name})
                                    .with("consts", static_cast<int64_t>(consts_ + groups_.size())));
    std::vector<NodeId> results;
    for (size_t r = 0; r < body_.results.size(); ++r) results.push_back(b_.get(scan, static_cast<int>(r)));
    return results;
  }

 private:
  struct Group {
    size_t side;  // of the constants
    char label;   // along which they are joined
    NodeId root;  // the sum of the products, kNone where each is read by itself
    std::vector<NodeId> products;
    Dim end;  // of the parts that were cut from the joined product
  };

  EinsumSpec spec(NodeId e) const { return parse_einsum(body_[e].attrs.text("spec")); }
  static const std::string& labels(const EinsumSpec& s, size_t side) { return side == 0 ? s.a : s.b; }

  // Which operand is a constant of the loop, where one alone is.
  std::optional<size_t> constant_side(NodeId e) const {
    if (!is_plain_contraction(body_[e])) return {};
    const bool a = const_.count(body_[e].operands[0]) > 0, b = const_.count(body_[e].operands[1]) > 0;
    return a == b ? std::nullopt : std::optional<size_t>(a ? 0 : 1);
  }
  // The last label of the result that the constant alone gives it; 0 where there is none.
  char own_label(NodeId e, size_t side) const {
    const EinsumSpec s = spec(e);
    for (size_t i = s.out.size(); i-- > 0;)
      if (has(labels(s, side), s.out[i]) && !has(labels(s, 1 - side), s.out[i])) return s.out[i];
    return 0;
  }
  // Type and shape but for the extent along a label.
  std::string kind_of_constant(NodeId e, size_t side, char label) const {
    Type t = body_.type(body_[e].operands[side]);
    Shape shape = t.shape;
    shape[labels(spec(e), side).find(label)] = Dim(0);
    return Type{t.dtype, shape}.str();
  }

  // A sum of products with constants that is no part of a larger one.
  void plan_sum(NodeId n) {
    const auto summed = [&](NodeId user) { return user != kNone && body_[user].op->name == "add"; };
    if (body_[n].op->name != "add" || (users_[n].size() == 1 && summed(users_[n][0]))) return;
    std::vector<NodeId> products;
    if (!collect(n, products) || products.size() < 2) return;
    const size_t side = *constant_side(products[0]);
    const std::string reduced = spec(products[0]).reduced();
    if (reduced.size() != 1) return;
    const auto kind = [&](NodeId e) {
      return fmt::format("{} {} {}", *constant_side(e), body_[e].attrs.text("spec"),
                         kind_of_constant(e, side, reduced[0]));
    };
    for (const NodeId e : products)
      if (*constant_side(e) != side || kind(e) != kind(products[0])) return;
    in_sum_.insert(products.begin(), products.end());
    roots_[n] = groups_.size();
    groups_.push_back({side, reduced[0], n, std::move(products), Dim(0)});
  }
  bool collect(NodeId n, std::vector<NodeId>& products, int depth = 0) const {
    for (const NodeId q : body_[n].operands) {
      if (users_[q].size() != 1) return false;
      if (constant_side(q))
        products.push_back(q);
      else if (body_[q].op->name != "add" || depth == kDeepestSum || !collect(q, products, depth + 1))
        return false;
    }
    return true;
  }

  int axis(const Group& g, size_t side) const {
    return static_cast<int>(labels(spec(g.products[0]), side).find(g.label));
  }
  Type joined_type(const Group& g) const {
    Type t = body_.type(body_[g.products[0]].operands[g.side]);
    Shape shape = t.shape;
    const auto a = static_cast<size_t>(axis(g, g.side));
    shape[a] = Dim(0);
    for (const NodeId e : g.products) shape[a] = shape[a] + body_.type(body_[e].operands[g.side]).shape[a];
    return {t.dtype, shape};
  }
  NodeId joined_constant(const Group& g) {
    std::vector<NodeId> parts;
    for (const NodeId e : g.products)
      parts.push_back(made_[scan_.operands[const_.at(body_[e].operands[g.side])]]);
    return b_.concat(parts, axis(g, g.side));
  }
  NodeId joined_product(Builder& n, const Group& g, NodeId constant, const std::vector<NodeId>& map) const {
    NodeId operands[2];
    operands[g.side] = constant;
    std::vector<NodeId> parts;
    for (const NodeId e : g.products) parts.push_back(map[body_[e].operands[1 - g.side]]);
    operands[1 - g.side] = g.root == kNone ? parts[0] : n.concat(parts, axis(g, 1 - g.side));
    return n.einsum(operands[0], operands[1], body_[g.products[0]].attrs.text("spec"));
  }
  // In their order.
  NodeId part(Builder& n, Group& g, NodeId e, NodeId whole) const {
    const Shape& shape = body_.type(e).shape;
    const size_t a = spec(e).out.find(g.label);
    Shape start(shape.size(), Dim(0)), limit = shape;
    start[a] = g.end, limit[a] = g.end = g.end + shape[a];
    return n.slice(whole, start, limit);
  }

  Builder& b_;
  const Node& scan_;
  const Function& body_;
  const std::vector<NodeId>& made_;
  size_t consts_ = 0;
  std::vector<std::vector<NodeId>> users_;  // kNone for a result
  std::map<NodeId, size_t> const_;          // which of the constants a parameter is
  std::vector<Group> groups_;
  std::map<NodeId, size_t> group_of_, roots_;
  std::set<NodeId> in_sum_;
};

}  // namespace

Module siblings(const Module& m) { return over_scans<Siblings>(m, "joined"); }

}  // namespace gradc::passes
