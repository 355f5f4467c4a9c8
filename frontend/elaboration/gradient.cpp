// grad(loss, x): both are values; the part of the graph between them becomes a function, x its parameter, and
// value_and_grad of it a node.
#include <algorithm>
#include <set>
#include <utility>

#include "frontend/elaboration/elaborator.h"
#include "frontend/elaboration/outline.h"

namespace gradc::frontend {

using Kind = Value::Kind;
using graph::NodeId;

namespace {

// A derivative is some twice as large as what it is the derivative of.
constexpr int kMostOrders = 8;

// Of each node up to `n` whether n depends on it.
std::vector<bool> below(const graph::Builder& b, NodeId n) {
  std::vector<bool> reached(n + 1, false);
  reached[n] = true;
  for (NodeId i = n + 1; i-- > 0;)
    if (reached[i])
      for (NodeId q : b[i].operands) reached[q] = true;
  return reached;
}

bool holds(const std::vector<bool>& reached, NodeId n) { return n < reached.size() && reached[n]; }

}  // namespace

// How many derivatives a function's results are made of, one within the other.
int Elaborator::derivative_order(const std::string& function) {
  if (auto known = orders_.find(function); known != orders_.end()) return known->second;
  int order = 0;
  for (const graph::Node& n : module_->at(function).nodes)
    for (const auto& [name, value] : n.attrs.list())
      if (const auto* r = std::get_if<graph::FunctionRef>(&value))
        order =
            std::max(order, derivative_order(r->name) + (n.op->form == graph::Form::ValueAndGrad ? 1 : 0));
  return orders_[function] = order;
}

// What differentiates: a float tensor that is no constant of the graph, since equal constants are one value.
void Elaborator::check_variable(const Value& loss, const std::vector<bool>& reached, const Value& x,
                                Loc loc) {
  if (!x.is(Kind::Tensor) || x.choice || !is_float(dtype(x)))
    fail(loc, fmt::format("grad is by a float tensor, not by {}", describe(x)));
  const graph::Node& node = b_[x.node];
  if (node.operands.empty() && node.op->form != graph::Form::Parameter)
    fail(loc, fmt::format("grad by {}, a constant, and equal constants are one value; differentiate by what "
                          "is computed",
                          describe(x)));
  if (!holds(reached, x.node))
    fail(loc, fmt::format("grad of {} by {}: the first does not depend on the second", describe(loss),
                          describe(x)));
}

// Metrics read values of the batch as f64; what their losses were made of is the narrower value below.
Value Elaborator::narrow(const std::vector<bool>& reached, const Value& x) {
  if (!wide || !x.is(Kind::Tensor) || b_[x.node].op->name != "convert") return x;
  Value narrower = wrap(b_[x.node].operands[0]);
  narrower.origin = x.origin, narrower.loc = x.loc;
  return is_float(dtype(narrower)) && !holds(reached, x.node) ? narrower : x;
}

Value Elaborator::gradient(const Value& loss, const Value& x, Loc loc) {
  if (loss.is(Kind::Deferred))
    fail(loc,
         fmt::format("grad is of a number of one batch; {} is of the whole split: reduce inside grad(...)",
                     describe(loss)));
  if (!loss.is(Kind::Tensor) || loss.choice || !is_float(dtype(loss)) || !shape(loss).empty())
    fail(loc, fmt::format("grad is of one float number, not of {}; reduce it first: sum(...) or mean(...)",
                          describe(loss)));
  std::vector<Value> xs = x.is(Kind::List) ? x.items : std::vector<Value>{x};
  const std::vector<bool> reached = below(b_, loss.node);
  std::vector<NodeId> inputs;
  for (Value& v : xs) {
    v = narrow(reached, v);
    check_variable(loss, reached, v, v.loc ? v.loc : loc);
    if (std::find(inputs.begin(), inputs.end(), v.node) == inputs.end()) inputs.push_back(v.node);
  }
  const std::string name = fmt::format("{}.grad{}", b_.function().name, ++gradients_);
  Outlined part = outline_between(b_, name, inputs, {loss.node});
  module_->functions[name] = std::move(part.function);
  if (const int order = derivative_order(name) + 1; order > kMostOrders)
    fail(loc, fmt::format("a derivative of order {}; at most {}", order, kMostOrders));
  std::vector<NodeId> operands = std::move(part.constants);
  std::vector<int64_t> wrt;
  for (NodeId n : inputs) {
    wrt.push_back(static_cast<int64_t>(operands.size()));
    operands.push_back(n);
  }
  b_.set_location(loc);
  const NodeId all = b_.make("value_and_grad", operands,
                             {{"function", graph::FunctionRef{name}}, {"wrt", graph::ints(wrt)}});
  std::vector<Value> results;
  for (const Value& v : xs) {
    const auto at = std::find(inputs.begin(), inputs.end(), v.node) - inputs.begin();
    const NodeId g = b_.get(all, static_cast<int>(at) + 1);
    results.push_back(wrap(wide ? b_.convert(g, DType::F64) : g));
  }
  // What is read by number below the loss is read again for the gradient, and checked for it.
  std::set<std::pair<NodeId, Dim>> checked;
  for (size_t i = 0, sites = index_sites.size(); i < sites; ++i) {
    IndexSite again = index_sites[i];
    if (!holds(reached, again.value) || !checked.emplace(again.index, again.limit).second) continue;
    again.value = results[0].node;
    index_sites.push_back(std::move(again));
  }
  return x.is(Kind::List) ? Value::list(std::move(results)) : results[0];
}

}  // namespace gradc::frontend
