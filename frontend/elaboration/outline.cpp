#include "frontend/elaboration/outline.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace gradc::frontend {

using graph::Builder;
using graph::Function;
using graph::kNone;
using graph::NodeId;

namespace {

// A list of nodes whose numbers start at `first`.
struct Nodes {
  const Function& f;
  NodeId first;
  NodeId end() const { return first + static_cast<NodeId>(f.nodes.size()); }
  const graph::Node& operator[](NodeId n) const { return f.nodes[n - first]; }
};

NodeId copy(Builder& to, const Nodes& nodes, NodeId n, const std::function<NodeId(NodeId)>& map) {
  const graph::Node& node = nodes[n];
  std::vector<NodeId> operands;
  for (NodeId q : node.operands) operands.push_back(map(q));
  if (const Loc* loc = nodes.f.locs.find(n - nodes.first)) to.set_location(*loc);
  const NodeId made = node.op->form == graph::Form::Get
                          ? to.get(operands[0], static_cast<int>(node.attrs.integer("index")))
                          : to.make(*node.op, std::move(operands), node.attrs);
  if (const std::string* name = nodes.f.names.find(n - nodes.first)) to.name(made, *name);
  return made;
}

// Which of the nodes up to `last` depend on some of `inputs`, by number above nodes.first.
std::vector<bool> depends_on(const Nodes& nodes, const std::vector<NodeId>& inputs, NodeId last) {
  std::vector<bool> varies(last + 1 - nodes.first, false);
  for (NodeId p : inputs) varies[p - nodes.first] = true;
  for (NodeId n = nodes.first; n <= last; ++n)
    for (NodeId q : nodes[n].operands)
      varies[n - nodes.first] = varies[n - nodes.first] || (q >= nodes.first && varies[q - nodes.first]);
  return varies;
}

// The function from `parameters`, and from what does not vary, to `results`. `place` says where a value that
// does not vary stands in `b`.
Outlined close(const Builder& b, const Nodes& nodes, const std::vector<bool>& varies, const std::string& name,
               const std::vector<NodeId>& parameters, const std::vector<NodeId>& results,
               const std::function<NodeId(NodeId)>& place) {
  std::vector<bool> wanted(varies.size(), false);
  std::set<NodeId> outer;  // values from outside, in the order of the text
  auto want = [&](NodeId n) {
    if (n >= nodes.first && varies[n - nodes.first])
      wanted[n - nodes.first] = true;
    else
      outer.insert(n);
  };
  for (NodeId r : results) want(r);
  const std::set<NodeId> given(parameters.begin(), parameters.end());
  for (NodeId i = static_cast<NodeId>(wanted.size()); i-- > 0;)
    if (wanted[i] && given.count(nodes.first + i) == 0)
      for (NodeId q : nodes.f.nodes[i].operands) want(q);
  // A value that stands for many is broadcast where it is read, so that its cotangent is summed there: a
  // constant as large as a batch, and its sums, would be carried through every step.
  const auto node_of = [&](NodeId n) -> const graph::Node& { return n >= nodes.first ? nodes[n] : b[n]; };
  const auto is_broadcast = [&](NodeId n) { return node_of(n).op->name == "broadcast"; };
  for (auto it = outer.end(); it != outer.begin();)
    if (--it; is_broadcast(*it)) outer.insert(node_of(*it).operands[0]);  // a lower number
  Outlined out;
  Builder body(name, b.module());
  for (const auto& [dim, info] : b.function().dims) body.dim(dim, info);
  std::map<NodeId, NodeId> inside;
  for (NodeId n : outer) {
    if (is_broadcast(n)) {
      inside[n] = body.make("broadcast", {inside.at(node_of(n).operands[0])}, node_of(n).attrs);
      continue;
    }
    const NodeId o = place(n);
    const graph::Node& node = b[o];
    if (node.operands.empty() && node.op->form != graph::Form::Parameter) {
      inside[n] = body.make(*node.op, {}, node.attrs);
    } else {
      inside[n] = body.param(fmt::format("outer{}", out.constants.size()), b.type(o));
      out.constants.push_back(o);
    }
  }
  for (size_t i = 0; i < parameters.size(); ++i)
    inside[parameters[i]] = body.param(fmt::format("p{}", i), nodes[parameters[i]].type());
  for (size_t i = 0; i < wanted.size(); ++i)
    if (const NodeId n = nodes.first + static_cast<NodeId>(i); wanted[i] && !inside.count(n))
      inside[n] = copy(body, nodes, n, [&](NodeId q) { return inside.at(q); });
  for (NodeId r : results) body.result(inside.at(r));
  out.function = body.finish();
  return out;
}

}  // namespace

Outlined outline_between(const Builder& b, const std::string& name, const std::vector<NodeId>& inputs,
                         const std::vector<NodeId>& results) {
  const Nodes nodes{b.function(), 0};
  NodeId last = 0;
  for (NodeId n : inputs) last = std::max(last, n);
  for (NodeId n : results) last = std::max(last, n);
  return close(b, nodes, depends_on(nodes, inputs, last), name, inputs, results, [](NodeId n) { return n; });
}

LoopBody::LoopBody(Builder& b, NodeId first, std::vector<NodeId> parameters)
    : b_(b), first_(first), parameters_(std::move(parameters)), nodes_(b.take_back(first)) {
  const Nodes nodes{nodes_, first_};
  varies_ = depends_on(nodes, parameters_, nodes.end() - 1);
  outside_.assign(nodes_.nodes.size(), kNone);
}

Function LoopBody::function(const std::string& name, const std::vector<NodeId>& results) {
  Outlined o =
      close(b_, {nodes_, first_}, varies_, name, parameters_, results, [this](NodeId n) { return place(n); });
  constants = std::move(o.constants);
  return std::move(o.function);
}

NodeId LoopBody::place(NodeId n) {
  if (n < first_) return n;
  std::vector<NodeId> stack{n};
  while (!stack.empty()) {
    const NodeId top = stack.back();
    const size_t before = stack.size();
    for (NodeId q : nodes_.nodes[top - first_].operands)
      if (q >= first_ && outside_[q - first_] == kNone) stack.push_back(q);
    if (stack.size() > before) continue;
    stack.pop_back();
    if (outside_[top - first_] == kNone)
      outside_[top - first_] =
          copy(b_, {nodes_, first_}, top, [this](NodeId q) { return q < first_ ? q : outside_[q - first_]; });
  }
  return outside_[n - first_];
}

}  // namespace gradc::frontend
