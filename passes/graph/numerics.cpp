// The numerics pass. Decides from constant extents only, never from the machine: contractions are chains of
// fused multiply-adds; a sum along a long constant innermost axis is dealt to 64 lanes; a product that one
// sum alone reads joins it with one rounding.
#include <algorithm>

#include "passes/graph/expand.h"

namespace gradc::passes {
namespace {

using namespace graph;

constexpr int64_t kLanesFrom = 32;  // shorter rows are cheaper as a chain

bool fuses(const Function& f) {
  auto it = f.notes.find("fma");
  return it == f.notes.end() || it->second != "off";
}

// Along the operand's innermost axis, of constant extent: vector code then reads it contiguously.
bool wants_lanes(const Function& f, const Node& n) {
  if (!n.attrs.has("axes") || n.op->name.starts_with("arg") || !is_float(n.type().dtype)) return false;
  const Shape& x = f.type(n.operands[0]).shape;
  const std::vector<int64_t> axes = n.attrs.integers("axes");
  if (axes.empty() || axes.back() + 1 != static_cast<int64_t>(x.size())) return false;
  return x.back().is_constant() && x.back().constant_part() >= kLanesFrom;
}

class Decider {
 public:
  Decider(const Function& f, const Module& m)
      : f_(f), b_(f.name, &m), users_(users_of(f)), map_(f.nodes.size(), kNone) {}

  Function run() {
    for (const auto& [name, info] : f_.dims) b_.dim(name, info);
    for (const Result& r : f_.results) ++extra_[r.node];
    for (NodeId i = 0; i < f_.nodes.size(); ++i) map_[i] = decide(i);
    for (const Result& r : f_.results)
      b_.result(map_[r.node], r.name, r.into == kNone ? kNone : map_[r.into]);
    Function out = b_.finish();
    out.notes = f_.notes;
    out.notes["numerics"] = "done";
    return out;
  }

 private:
  NodeId decide(NodeId i) {
    const Node& n = f_[i];
    if (n.op->name == "parameter") return b_.param(f_.names.at(i), n.type());
    NodeId made = kNone;
    if (fuses(f_) && (n.op->name == "add" || n.op->name == "sub")) made = multiply_add(i);
    if (made == kNone) {
      const NodeId plain = with_order(i);
      made = plain == kNone ? copy_node(b_, f_, i, map_) : plain;
    }
    if (auto it = f_.names.find(i); it != f_.names.end()) b_.name(made, it->second);
    return made;
  }

  NodeId with_order(NodeId i) {
    const Node& n = f_[i];
    std::vector<NodeId> operands;
    for (NodeId q : n.operands) operands.push_back(map_[q]);
    if (n.op->name == "einsum")
      return b_.make(*n.op, operands, n.attrs.with("fma", fuses(f_) && is_float(n.type().dtype)));
    if (wants_lanes(f_, n)) return b_.make(*n.op, operands, n.attrs.with("order", std::string("lanes")));
    return kNone;
  }

  bool joins(NodeId product) const {
    return f_[product].op->name == "mul" && users_[product].size() == 1 && !extra_.count(product);
  }
  // a*b + c and c + a*b as fma(a, b, c); c - a*b as fma(-a, b, c); a*b - c as fma(a, b, -c).
  NodeId multiply_add(NodeId i) {
    const Node& n = f_[i];
    if (!is_float(n.type().dtype) || n.operands[0] == n.operands[1]) return kNone;
    const bool minus = n.op->name == "sub";
    for (int side = 1; side >= 0; --side) {
      const NodeId product = n.operands[side];
      if (!joins(product)) continue;
      NodeId a = map_[f_[product].operands[0]], c = map_[n.operands[1 - side]];
      const NodeId b = map_[f_[product].operands[1]];
      if (minus && side == 1) a = b_.neg(a);
      if (minus && side == 0) c = b_.neg(c);
      return b_.make("fma", {a, b, c});
    }
    return kNone;
  }

  const Function& f_;
  Builder b_;
  std::vector<std::vector<NodeId>> users_;
  std::map<NodeId, int> extra_;
  std::vector<NodeId> map_;
};

}  // namespace

Module numerics(const Module& m) {
  return each_function(m, [](const Function& f, const Module& all) { return Decider(f, all).run(); });
}

}  // namespace gradc::passes
