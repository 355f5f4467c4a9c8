// grad(loss, x): both are values; the part of the graph between them becomes a function, x its parameter, and
// value_and_grad of it a node.
#include <algorithm>

#include "frontend/elaboration/elaborator.h"
#include "frontend/elaboration/outline.h"

namespace gradc::frontend {

using Kind = Value::Kind;
using graph::NodeId;

namespace {

bool depends(const graph::Builder& b, NodeId of, NodeId on) {
  std::vector<bool> varies(of + 1, false);
  if (on <= of) varies[on] = true;
  for (NodeId n = on + 1; n <= of; ++n)
    for (NodeId q : b[n].operands) varies[n] = varies[n] || varies[q];
  return varies[of];
}

}  // namespace

// What differentiates: a float tensor that is no constant of the graph, since equal constants are one value.
void Elaborator::check_variable(const Value& loss, const Value& x, Loc loc) {
  if (!x.is(Kind::Tensor) || x.choice || !is_float(dtype(x)))
    fail(loc, fmt::format("grad is by a float tensor, not by {}", describe(x)));
  const graph::Node& node = b_[x.node];
  if (node.operands.empty() && node.op->name != "parameter")
    fail(loc,
         fmt::format(
             "grad by {}, a constant, and equal constants are one value; differentiate by what is computed",
             describe(x)));
  if (!depends(b_, loss.node, x.node))
    fail(loc, fmt::format("grad of {} by {}: the first does not depend on the second", describe(loss),
                          describe(x)));
}

// Metrics read values of the batch as f64; what their losses were made of is the narrower value below.
Value Elaborator::narrow(const Value& loss, const Value& x) {
  if (!wide || !loss.is(Kind::Tensor) || !x.is(Kind::Tensor) || b_[x.node].op->name != "convert") return x;
  Value below = wrap(b_[x.node].operands[0]);
  below.origin = x.origin, below.loc = x.loc;
  return is_float(dtype(below)) && !depends(b_, loss.node, x.node) ? below : x;
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
  std::vector<NodeId> inputs;
  for (Value& v : xs) {
    v = narrow(loss, v);
    check_variable(loss, v, v.loc ? v.loc : loc);
    if (std::find(inputs.begin(), inputs.end(), v.node) == inputs.end()) inputs.push_back(v.node);
  }
  const std::string name = fmt::format("{}.grad{}", b_.function().name, ++gradients_);
  Outlined part = outline_between(b_, name, inputs, {loss.node});
  module_->functions[name] = std::move(part.function);
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
  const size_t sites = index_sites.size();
  for (size_t i = 0; i < sites; ++i)
    if (index_sites[i].value <= loss.node && depends(b_, loss.node, index_sites[i].value)) {
      IndexSite again = index_sites[i];
      again.value = results[0].node;
      index_sites.push_back(std::move(again));
    }
  return x.is(Kind::List) ? Value::list(std::move(results)) : results[0];
}

}  // namespace gradc::frontend
