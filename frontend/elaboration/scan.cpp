// scan: what it carries are the names bound before. The first step is written out as a rehearsal, which makes
// the parameters and shows what changes; where the graph's scan can hold the body, the rehearsal is taken as
// never having been and the body is elaborated once more, over parameters for the carried values, into a
// function.
#include <algorithm>
#include <set>
#include <utility>

#include "frontend/elaboration/elaborator.h"
#include "frontend/elaboration/outline.h"
#include "support/check.h"

namespace gradc::frontend {

using Kind = Value::Kind;
using graph::kNone;
using graph::NodeId;

namespace {

bool uses(const Expr& e, const std::string& name, bool bare);
bool uses(const Subscript& s, const std::string& name, bool bare) {
  const bool index = s.kind == Subscript::Kind::Index && s.low && s.low->is_name(name);
  return (bare || !index) && ((s.low && uses(*s.low, name, bare)) || (s.high && uses(*s.high, name, bare)));
}
// Whether the name occurs; without `bare`, other than as a whole subscript.
bool uses(const Expr& e, const std::string& name, bool bare) {
  if (e.is_name(name)) return true;
  return std::any_of(e.kids.begin(), e.kids.end(), [&](const Expr& k) { return uses(k, name, bare); }) ||
         std::any_of(e.arguments.begin(), e.arguments.end(),
                     [&](const Argument& a) { return uses(a.value, name, bare); }) ||
         std::any_of(e.subscripts.begin(), e.subscripts.end(),
                     [&](const Subscript& s) { return uses(s, name, bare); });
}
bool uses(const std::vector<Stmt>& body, const std::string& name) {
  return std::any_of(body.begin(), body.end(), [&](const Stmt& st) {
    if (uses(st.body, name) || uses(st.otherwise, name)) return true;
    for (const Expr& e : st.values)
      if (uses(e, name, false)) return true;
    for (const Target& t : st.targets)
      if (t.subscripts)
        for (const Subscript& s : *t.subscripts)
          if (uses(s, name, false)) return true;
    return false;
  });
}

// Names that the body binds, the inner ones of its blocks too.
void bound_names(const std::vector<Stmt>& body, std::set<std::string>& names) {
  for (const Stmt& st : body) {
    for (const Target& t : st.targets) names.insert(t.name);
    bound_names(st.body, names);
    bound_names(st.otherwise, names);
  }
}

bool same_value(const Value& a, const Value& b) {
  return a.kind == b.kind && a.node == b.node && a.integer == b.integer && a.real == b.real &&
         a.truth == b.truth;
}

}  // namespace

void Elaborator::scan_step(const Stmt& st, Scope& scope, const Value& number, int64_t iteration) {
  count_work(st.loc);
  Scope inner;
  inner.outer = &scope;
  inner.file = scope.file;
  if (!st.name.empty()) inner.names[st.name] = number;
  run_iteration(st, inner, iteration);
}

void Elaborator::scan(const Stmt& st, Scope& scope) {
  const Value steps = evaluate(st.values[0], scope);
  if (!steps.is(Kind::Integer))
    fail(st.values[0].loc, fmt::format("a scan takes a number of steps, not {}", describe(steps)));
  const std::optional<int64_t> n = steps.integer.constant();
  if (n && *n < 1) fail(st.values[0].loc, fmt::format("a scan of {} steps", *n));
  Scan here;
  here.owner = stack_.empty() ? nullptr : stack_.back();
  here.index = st.name;
  here.length = steps.integer;
  Scan* const outer = std::exchange(scan_, &here);
  const Rehearsal before = remember(scope);
  const int errors = diagnostics_.error_count();
  scan_step(st, scope, Value::of(Index(0)), 0);
  if (diagnostics_.error_count() > errors) {
    scan_ = outer;
    return;  // the same mistake in every step is said once
  }
  std::string why;
  if ((!n || *n > 1) && !(why = loop(st, scope, before)).empty()) {
    if (!n)
      fail(st.values[0].loc,
           fmt::format("a scan over {} steps, which is no constant: {}", steps.integer.str(), why));
    for (int64_t i = 1; i < *n; ++i) scan_step(st, scope, Value::of(Index(i)), i);
  }
  scan_ = outer;
  if (here.step == kNone) collect_outputs(here, st, scope, n.value_or(1));
}

// y[:, t] = h of a scan that was written out.
void Elaborator::collect_outputs(Scan& here, const Stmt& st, Scope& scope, int64_t n) {
  for (auto& [name, output] : here.outputs) {
    auto& [axis, slices] = output;
    const Type first = b_.type(slices[0]);
    Shape shape = first.shape;
    if (slices.size() != static_cast<size_t>(n) || axis > shape.size())
      fail(st.loc, fmt::format("'{}' is not bound once in every step", name));
    shape.insert(shape.begin() + static_cast<long>(axis), Dim(1));
    for (NodeId& s : slices) {
      if (b_.type(s) != first) fail(st.loc, fmt::format("'{}' changes its type from step to step", name));
      s = b_.reshape(s, shape);
    }
    scope.names[name] = wrap(b_.concat(slices, static_cast<int>(axis)));
    scope.names[name].loc = st.loc;
  }
}

Elaborator::Rehearsal Elaborator::remember(Scope& scope) {
  Rehearsal r;
  std::set<std::string> met;  // inner names hide outer ones
  for (Scope* s = &scope; s != nullptr; s = s->outer)
    for (auto& [name, value] : s->names)
      if (met.insert(name).second) r.names.push_back({&value, value, name});
  for (const auto& [path, slot] : slots_) r.stored[path] = slot.stored ? slot.stored->node : kNone;
  r.draws = stack_.empty() ? 0 : stack_.back()->draws;
  r.layers = layers.size();
  r.index_sites = index_sites.size();
  r.metrics = accumulators.size() + shifts.size() + row_values.size();
  r.softmaxes = softmaxes_;
  return r;
}

// What changes from step to step, by the rehearsal; or why no loop can hold the body.
std::string Elaborator::find_carries(const Stmt& st, const Rehearsal& before, std::vector<Carry>& carries) {
  if (accumulators.size() + shifts.size() + row_values.size() != before.metrics)
    return "a metric is summed inside";
  if (!st.name.empty() && uses(st.body, st.name)) return st.name + " is used as a number";
  if (index_sites.size() != before.index_sites) return "a row is chosen by a number inside";
  std::string changed;  // the first by name
  for (const auto& [path, slot] : slots_) {
    auto it = before.stored.find(path);
    if ((slot.stored ? slot.stored->node : kNone) != (it == before.stored.end() ? kNone : it->second))
      if (changed.empty() || path < changed) changed = path;
  }
  if (!changed.empty()) return "the state " + changed + " is bound inside";
  // A name that is bound to what it was before may still change at a later step.
  std::set<std::string> bound;
  bound_names(st.body, bound);
  for (const auto& [place, value, name] : before.names) {
    if (scan_->outputs.count(name)) continue;
    if (same_value(*place, value) && !(bound.count(name) && place->is(Kind::Tensor))) continue;
    if (!place->is(Kind::Tensor) || place->scalar || place->choice ||
        !(value.is_tensor() || value.is_number()))
      return name + " is no tensor";
    Value start = tensor(value, dtype(*place), st.loc);
    if (start.is(Kind::Tensor) && shape(start).empty()) start = broadcast(start, shape(*place), st.loc);
    if (b_.type(start.node) != b_.type(place->node)) return name + " changes its type";
    carries.push_back({place, start, name, kNone});
  }
  return carries.empty() ? "nothing is carried from step to step" : "";
}

// The body once more, over parameters for the carried values, as if the rehearsal had not been.
void Elaborator::loop_body(const Stmt& st, Scope& scope, const Rehearsal& before,
                           std::vector<Carry>& carries) {
  const int errors = diagnostics_.error_count();
  Scan& here = *scan_;
  if (!stack_.empty()) stack_.back()->draws = before.draws;
  layers.resize(before.layers);
  here.outputs.clear();
  here.first = static_cast<NodeId>(b_.function().nodes.size());
  here.step = b_.param("step", {DType::I64, {}});
  for (Carry& c : carries) {
    c.parameter = b_.param(c.name, b_.type(c.initial.node));
    *c.place = wrap(c.parameter);
    c.place->loc = c.initial.loc;
  }
  loop_steps_.push_back(here.step);
  scan_step(st, scope, wrap(here.step), 0);
  loop_steps_.pop_back();
  softmaxes_ = before.softmaxes;
  if (diagnostics_.error_count() > errors) throw CompileError(Diagnostics{});
  for (const auto& [place, value, name] : before.names) {
    const bool carried =
        std::any_of(carries.begin(), carries.end(), [at = place](const Carry& c) { return c.place == at; });
    GRADC_CHECK(carried || same_value(*place, value), "{} changes within a scan and is not carried", name);
  }
}

// The scan as a node of the graph; or why it cannot be one.
std::string Elaborator::loop(const Stmt& st, Scope& scope, const Rehearsal& before) {
  std::vector<Carry> carries;
  if (std::string why = find_carries(st, before, carries); !why.empty()) return why;
  loop_body(st, scope, before, carries);
  Scan& here = *scan_;
  std::vector<NodeId> parameters, results, initial;
  for (Carry& c : carries) {
    if (!c.place->is(Kind::Tensor) || b_.type(c.place->node) != b_.type(c.parameter))
      fail(st.loc, fmt::format("'{}' is {} before a step and {} after it", c.name, b_.type(c.parameter).str(),
                               describe(*c.place)));
    parameters.push_back(c.parameter);
    results.push_back(c.place->node);
    initial.push_back(c.initial.node);
  }
  for (const auto& [name, output] : here.outputs) {
    if (output.second.size() != 1) fail(st.loc, fmt::format("'{}' is not bound once in every step", name));
    results.push_back(output.second[0]);
  }
  const std::vector<NodeId> r = outline(here, parameters, initial, results);
  for (size_t i = 0; i < carries.size(); ++i) {
    *carries[i].place = wrap(r[i]);
    carries[i].place->loc = st.loc;
    b_.name(r[i], carries[i].name);
  }
  size_t next = carries.size();
  for (const auto& [name, output] : here.outputs) {
    scope.names[name] = wrap(moved_axis(r[next++], 0, output.first));
    scope.names[name].loc = st.loc;
  }
  return "";
}

// x with axis `from` moved to `to`.
NodeId Elaborator::moved_axis(NodeId x, size_t from, size_t to) {
  std::vector<int64_t> perm;
  for (size_t i = 0; i < b_.shape(x).size(); ++i)
    if (i != from) perm.push_back(static_cast<int64_t>(i));
  perm.insert(perm.begin() + static_cast<long>(to), static_cast<int64_t>(from));
  return b_.transpose(x, perm);
}

// The body's nodes become a function, and the scan over it a node; its results in order.
std::vector<NodeId> Elaborator::outline(Scan& here, std::vector<NodeId> parameters,
                                        const std::vector<NodeId>& initial,
                                        const std::vector<NodeId>& results) {
  const size_t carries = parameters.size();
  for (const Scan::Slice& s : here.slices) parameters.push_back(s.parameter);
  parameters.push_back(here.step);
  LoopBody o(b_, here.first, parameters);
  GRADC_CHECK(module_ != nullptr, "a scan needs a module for its body");
  const std::string name = fmt::format("{}.scan{}", b_.function().name, ++scans_);
  module_->functions[name] = o.function(name, results);
  std::vector<NodeId> operands = o.constants;
  operands.insert(operands.end(), initial.begin(), initial.end());
  for (const Scan::Slice& s : here.slices) operands.push_back(moved_axis(o.place(s.from), s.axis, 0));
  operands.push_back(b_.iota({here.length}, 0));
  const NodeId scan = b_.make("scan", operands,
                              {{"function", graph::FunctionRef{name}},
                               {"consts", static_cast<int64_t>(o.constants.size())},
                               {"carries", static_cast<int64_t>(carries)},
                               {"length", Shape{here.length}}});
  std::vector<NodeId> r;
  for (size_t i = 0; i < results.size(); ++i) r.push_back(b_.get(scan, static_cast<int>(i)));
  return r;
}

// x[..., t, ...] inside a loop: a slice of what does not vary is handed to the step, another is cut out
// there.
Value Elaborator::slice_of_step(const Value& x, const Expr& e, size_t which, Scope& scope) {
  size_t axis = which;
  for (size_t i = 0; i < which; ++i)
    if (e.subscripts[i].kind == Subscript::Kind::Ellipsis) axis += shape(x).size() - e.subscripts.size();
  if (axis >= shape(x).size())
    fail(e.loc, fmt::format("{} subscripts for {}", e.subscripts.size(), describe(x)));
  const Dim extent = shape(x)[axis];
  if (!(extent == scan_->length))
    fail(e.loc, fmt::format("axis {} of {} is {}, and the scan has {} steps", axis, describe(x), extent.str(),
                            scan_->length.str()));
  Type type = b_.type(x.node);
  type.shape.erase(type.shape.begin() + static_cast<long>(axis));
  NodeId slice = kNone;
  if (x.node < scan_->first) {
    for (const Scan::Slice& s : scan_->slices)
      if (s.from == x.node && s.axis == axis) slice = s.parameter;
    if (slice == kNone) {
      slice = b_.param(scan_->index, type);
      scan_->slices.push_back({x.node, axis, slice});
    }
  } else {
    std::vector<NodeId> operands{x.node};
    Shape sizes = shape(x);
    for (size_t i = 0; i < sizes.size(); ++i)
      operands.push_back(i == axis ? scan_->step : b_.constant(0, DType::I64));
    sizes[axis] = 1;
    slice = b_.reshape(b_.make("dynamic_slice", operands, {{"sizes", sizes}}), type.shape);
  }
  Expr rest = e;
  rest.subscripts.erase(rest.subscripts.begin() + static_cast<long>(which));
  return rest.subscripts.empty() ? wrap(slice) : subscript(wrap(slice), rest, scope);
}

// y[:, t] = h inside a scan over t; false for any other statement.
bool Elaborator::collect(const Stmt& st, Scope& scope) {
  if (st.targets.size() != 1 || !st.targets[0].subscripts || st.op != "=" || st.values.size() != 1)
    return false;
  const std::vector<Subscript>& subs = *st.targets[0].subscripts;
  size_t axis = subs.size();
  for (size_t i = 0; i < subs.size(); ++i) {
    const bool whole = subs[i].kind == Subscript::Kind::Slice && !subs[i].low && !subs[i].high;
    if (subs[i].kind == Subscript::Kind::Index && subs[i].low->is_name(scan_->index) && axis == subs.size())
      axis = i;
    else if (!whole)
      return false;
  }
  if (axis == subs.size()) return false;
  const Value v = tensor(evaluate(st.values[0], scope), float_type(), st.loc);
  if (!v.is(Kind::Tensor) || shape(v).size() + 1 < subs.size())
    fail(st.loc, fmt::format("{} has {} axes besides {}, {} on the right has {}", st.targets[0].name,
                             subs.size() - 1, scan_->index, describe(v), shape(v).size()));
  auto& [place, slices] = scan_->outputs[st.targets[0].name];
  place = axis;
  slices.push_back(v.node);
  return true;
}

}  // namespace gradc::frontend
