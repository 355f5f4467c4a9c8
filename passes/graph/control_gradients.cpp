// Gradients of control flow. A scan's is a scan from the last step to the first; a branch's is a branch that
// computes its side again; a bounded while is a scan that does nothing once its condition is false.
#include <algorithm>
#include <set>

#include "passes/graph/differentiator.h"
#include "passes/graph/expand.h"
#include "support/diagnostic.h"

namespace gradc::passes {

using namespace graph;

namespace {

// Moves and names of elements are made again where they are read; all else is kept from the forward pass.
bool is_cheap(const Function& f, NodeId n) {
  if (!has_meaning(f[n])) return false;
  const Meaning m = meaning_of(f, n);
  return m.combine == Combiner::None && m.body.size() == 1;
}

// Which nodes the backward part of a function consists of, and what it reads of the forward part.
struct Cut {
  std::vector<bool> copied;  // backward nodes that are needed, and cheap forward ones
  std::set<NodeId> read;     // parameters of the forward part that are read
  std::vector<NodeId> kept;  // other forward values that are read, in node order
};

Cut cut(const Function& g, NodeId end, const std::set<NodeId>& cotangents,
        const std::vector<NodeId>& results) {
  Cut c;
  c.copied.assign(g.nodes.size(), false);
  std::vector<bool> wanted(g.nodes.size(), false);
  for (NodeId r : results) wanted[r] = true;
  for (NodeId i = static_cast<NodeId>(g.nodes.size()); i-- > 0;) {
    if (!wanted[i] || cotangents.count(i)) continue;
    if (g[i].op->form == Form::Parameter) {
      c.read.insert(i);
    } else if (i >= end || is_cheap(g, i)) {
      c.copied[i] = true;
      for (NodeId q : g[i].operands) wanted[q] = true;
    } else {
      c.kept.push_back(i);
    }
  }
  std::reverse(c.kept.begin(), c.kept.end());
  return c;
}

// Nodes [0, end) of g as a function that also gives `kept`.
Function forward_part(const Function& g, NodeId end, const std::vector<NodeId>& results,
                      const std::vector<NodeId>& kept, const Module& m) {
  Builder b(g.name, &m);
  for (const auto& [name, info] : g.dims) b.dim(name, info);
  std::vector<NodeId> map(end, kNone);
  for (NodeId i = 0; i < end; ++i)
    map[i] = g[i].op->form == Form::Parameter ? b.param(g.names.at(i), g.type(i)) : copy_node(b, g, i, map);
  for (const auto* list : {&results, &kept})
    for (NodeId r : *list) b.result(map[r]);
  return prune_function(b.finish(), m);
}

}  // namespace

std::string Differentiator::add_function(Function f, const std::string& name) {
  std::string unique = name;
  for (int n = 2; done_.functions.count(unique) || m_.functions.count(unique); ++n)
    unique = fmt::format("{}.{}", name, n);
  f.name = unique;
  done_.functions.emplace(unique, std::move(f));
  return unique;
}

const Differentiator::ScanSplit& Differentiator::split(const std::string& name, size_t constants,
                                                       size_t carries, const std::vector<bool>& needed) {
  auto [it, fresh] = splits_.try_emplace({name, needed});
  ScanSplit& s = it->second;
  if (!fresh) return s;
  const Function f = done_.at(name);  // a copy: functions are added below
  const size_t xs = constants + carries;
  std::vector<NodeId> wrt;
  auto want = [&](size_t first, size_t last, bool all, std::vector<size_t>& list) {
    for (size_t p = first; p < last; ++p)
      if (is_float(f.type(f.params[p]).dtype) && (all || needed[p]))
        wrt.push_back(f.params[p]), list.push_back(p - first);
  };
  want(constants, xs, true, s.carries);
  want(0, constants, false, s.constants);
  want(xs, f.params.size(), false, s.xs);
  Open o = open(f, wrt);
  for (NodeId& w : wrt) w = o.map[w];
  const NodeId end = static_cast<NodeId>(o.b.function().nodes.size());
  std::vector<Seed> seeds;
  for (size_t r = 0; r < f.results.size(); ++r) {
    const NodeId value = o.map[f.results[r].node];
    if (!is_float(o.b.dtype(value))) continue;
    if (r >= carries) s.ys.push_back(r - carries);
    seeds.push_back({value, o.b.param(fmt::format("d.{}", r), o.b.type(value))});
  }
  Reverse reverse(o.b, end, seeds, wrt, o.control);
  std::vector<NodeId> gradients, results;
  for (NodeId w : wrt) gradients.push_back(reverse.of(w));
  for (const Result& r : f.results) results.push_back(o.map[r.node]);
  const Function g = o.b.finish();
  std::set<NodeId> cotangents;
  for (const Seed& seed : seeds) cotangents.insert(seed.cotangent);
  Cut c = cut(g, end, cotangents, gradients);
  // Carries differ from step to step: they are kept like any other value.
  for (size_t p = 0; p < f.params.size(); ++p) {
    const NodeId n = o.map[f.params[p]];
    if (!c.read.count(n)) continue;
    if (p < constants)
      s.constants_read.push_back(p);
    else if (p < xs)
      c.kept.push_back(n);
    else
      s.xs_read.push_back(p - xs);
  }
  Builder b(name, &done_);
  for (const auto& [dim, info] : f.dims) b.dim(dim, info);
  std::vector<NodeId> map(g.nodes.size(), kNone), sums;
  auto take = [&](NodeId n) { map[n] = b.param(fmt::format("p{}", n), g.type(n)); };
  for (size_t p : s.constants_read) take(o.map[f.params[p]]);
  for (size_t k = 0; k < s.carries.size(); ++k) take(seeds[k].cotangent);
  for (size_t p : s.constants) sums.push_back(b.param(fmt::format("sum{}", p), f.type(f.params[p])));
  for (NodeId n : c.kept) take(n), s.kept.push_back(g.type(n));
  for (size_t k = s.carries.size(); k < seeds.size(); ++k) take(seeds[k].cotangent);
  for (size_t p : s.xs_read) take(o.map[f.params[xs + p]]);
  for (NodeId i = 0; i < g.nodes.size(); ++i)
    if (c.copied[i]) map[i] = copy_node(b, g, i, map);
  for (size_t i = 0; i < gradients.size(); ++i) {
    const size_t sum = i - s.carries.size();  // constants stand after the carries
    b.result(i >= s.carries.size() && sum < sums.size() ? b.add(sums[sum], map[gradients[i]])
                                                        : map[gradients[i]]);
  }
  s.backward = add_function(prune_function(b.finish(), done_), name + ".backward");
  s.forward = add_function(forward_part(g, end, results, c.kept, done_), name + ".forward");
  for (const std::string& made : {s.forward, s.backward}) done_.functions.at(made).notes = f.notes;
  return s;
}

NodeId Differentiator::open_scan(Open& o, const Node& n, const std::vector<bool>& needed) {
  const size_t constants = static_cast<size_t>(n.attrs.integer("consts")),
               carries = static_cast<size_t>(n.attrs.integer("carries"));
  const ScanSplit s = split(n.attrs.function("function"), constants, carries, needed);
  const NodeId scan = o.b.make(*n.op, n.operands, n.attrs.with("function", FunctionRef{s.forward}));
  const int results = static_cast<int>(n.types.size());
  // Made now, what the backward scan reads again is a forward value, also where this scan is within another.
  for (size_t i = 0; i < s.kept.size(); ++i) o.b.get(scan, results + static_cast<int>(i));
  o.control[scan] = [=](Builder& b, const std::vector<NodeId>& g) {
    auto cotangent = [&](size_t r) {
      return r < g.size() && g[r] != kNone ? g[r] : b.zeros_like(b.get(scan, static_cast<int>(r)));
    };
    std::vector<NodeId> operands;
    for (size_t p : s.constants_read) operands.push_back(n.operands[p]);
    for (size_t k : s.carries) operands.push_back(cotangent(k));
    for (size_t p : s.constants) operands.push_back(b.zeros_like(n.operands[p]));
    for (size_t i = 0; i < s.kept.size(); ++i) operands.push_back(b.get(scan, results + static_cast<int>(i)));
    for (size_t y : s.ys) operands.push_back(cotangent(carries + y));
    for (size_t p : s.xs_read) operands.push_back(n.operands[constants + carries + p]);
    const NodeId back = b.make("scan", operands,
                               {{"function", FunctionRef{s.backward}},
                                {"consts", static_cast<int64_t>(s.constants_read.size())},
                                {"carries", static_cast<int64_t>(s.carries.size() + s.constants.size())},
                                {"length", n.attrs.shape("length")},
                                {"reverse", !n.attrs.flag("reverse")}});
    std::vector<NodeId> d(n.operands.size(), kNone);
    int next = 0;
    for (size_t k : s.carries) d[constants + k] = b.get(back, next++);
    for (size_t p : s.constants) d[p] = b.get(back, next++);
    for (size_t p : s.xs) d[constants + carries + p] = b.get(back, next++);
    return d;
  };
  return n.types.size() == 1 ? o.b.get(scan, 0) : scan;  // readers of one result read the node itself
}

// The gradients of one side by its arguments `wrt`, as a function of the arguments and the cotangents.
std::string Differentiator::branch_gradient(const std::string& name, const std::vector<size_t>& wrt) {
  auto [it, fresh] = branches_.try_emplace({name, wrt});
  if (!fresh) return it->second;
  const Function f = done_.at(name);
  std::vector<NodeId> params;
  for (size_t w : wrt) params.push_back(f.params[w]);
  Open o = open(f, params);
  for (NodeId& p : params) p = o.map[p];
  const NodeId end = static_cast<NodeId>(o.b.function().nodes.size());
  std::vector<Seed> seeds;
  for (size_t r = 0; r < f.results.size(); ++r) {
    const NodeId value = o.map[f.results[r].node];
    if (is_float(o.b.dtype(value)))
      seeds.push_back({value, o.b.param(fmt::format("d.{}", r), o.b.type(value))});
  }
  Reverse reverse(o.b, end, seeds, params, o.control);
  for (NodeId p : params) o.b.result(reverse.of(p));
  Function g = prune_function(o.b.finish(), done_);
  g.notes = f.notes;
  return it->second = add_function(std::move(g), name + ".backward");
}

NodeId Differentiator::open_cond(Open& o, const Node& n, const std::vector<bool>& needed) {
  const NodeId cond = o.b.make(*n.op, n.operands, n.attrs);
  std::vector<size_t> wrt;
  for (size_t i = 1; i < n.operands.size(); ++i)
    if (needed[i]) wrt.push_back(i - 1);
  o.control[cond] = [this, cond, n, wrt](Builder& b, const std::vector<NodeId>& g) {
    const std::string then = branch_gradient(n.attrs.function("then"), wrt),
                      otherwise = branch_gradient(n.attrs.function("otherwise"), wrt);
    std::vector<NodeId> operands = n.operands.list();
    for (size_t r = 0; r < n.types.size(); ++r)
      if (is_float(n.types[r].dtype))
        operands.push_back(r < g.size() && g[r] != kNone ? g[r]
                                                         : b.constant(0, n.types[r].dtype, n.types[r].shape));
    const NodeId back =
        b.make("cond", operands, {{"then", FunctionRef{then}}, {"otherwise", FunctionRef{otherwise}}});
    std::vector<NodeId> d(n.operands.size(), kNone);
    for (size_t i = 0; i < wrt.size(); ++i) d[wrt[i] + 1] = b.get(back, static_cast<int>(i));
    return d;
  };
  return cond;
}

NodeId Differentiator::open_while(Open& o, const Node& n) {
  const Function& body = done_.at(n.attrs.function("body"));
  auto begin = [&](Builder& b) {
    for (const auto& [dim, info] : body.dims) b.dim(dim, info);
    std::vector<NodeId> states;
    for (size_t i = 0; i < body.params.size(); ++i)
      states.push_back(b.param(fmt::format("s{}", i), body.type(body.params[i])));
    return states;
  };
  Builder same("same", &done_);
  for (NodeId s : begin(same)) same.result(s);
  const std::string still = add_function(same.finish(), body.name + ".same");
  Builder step("step", &done_);
  std::vector<NodeId> states = begin(step);
  const NodeId holds = inline_call(step, done_.at(n.attrs.function("condition")), states)[0];
  states.insert(states.begin(), holds);
  const NodeId next =
      step.make("cond", states, {{"then", FunctionRef{body.name}}, {"otherwise", FunctionRef{still}}});
  for (size_t i = 0; i < n.types.size(); ++i) step.result(step.get(next, static_cast<int>(i)));
  const std::string name = add_function(step.finish(), body.name + ".step");
  Node scan = n;
  scan.op = &op("scan");
  scan.attrs = {{"function", FunctionRef{name}},
                {"consts", int64_t{0}},
                {"carries", static_cast<int64_t>(n.types.size())},
                {"length", Shape{Dim(n.attrs.integer("bound"))}}};
  return open_scan(o, scan, std::vector<bool>(n.operands.size(), true));
}

}  // namespace gradc::passes
