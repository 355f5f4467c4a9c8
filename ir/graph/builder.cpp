#include "ir/graph/builder.h"

#include <algorithm>

#include "support/check.h"
#include "support/diagnostic.h"

namespace gradc::graph {

Builder::Builder(std::string name, const Module* module) : module_(module) {
  function_.name = std::move(name);
}

Builder::Builder(Function f, const Module* module) : function_(std::move(f)), module_(module) {
  for (NodeId i = 0; i < function_.nodes.size(); ++i)
    if (function_[i].op->form != Form::Parameter) intern(i, key_hash(function_[i]));
}

size_t Builder::key_hash(const Node& n) const {
  size_t h = std::hash<const void*>{}(n.op);
  for (NodeId q : n.operands) h = h * 1099511628211ULL + q;
  h = h * 31 + n.attrs.hash();
  return (h ^ (h >> 32)) * 0x9E3779B97F4A7C15ULL >> 8;  // the table takes the low bits
}

NodeId Builder::param(std::string_view name, Type type) {
  const NodeId id = static_cast<NodeId>(function_.nodes.size());
  function_.nodes.push_back({&op("parameter"), {}, {}, *types_.insert({std::move(type)}).first});
  function_.params.push_back(id);
  if (loc_) function_.locs.set(id, loc_);
  this->name(id, name);
  return id;
}

NodeId Builder::make(std::string_view op_name, Operands operands, Attrs attrs) {
  return make(op(op_name), std::move(operands), std::move(attrs));
}

NodeId Builder::find(const Node& n, size_t hash) const {
  const size_t mask = interned_.size() - 1;
  for (size_t at = hash & mask; !interned_.empty() && interned_[at].node != kNone; at = (at + 1) & mask) {
    if (interned_[at].hash != hash) continue;
    const Node& old = function_[interned_[at].node];
    if (old.op == n.op && old.operands == n.operands && old.attrs == n.attrs) return interned_[at].node;
  }
  return kNone;
}

void Builder::reserve(size_t nodes) {
  function_.nodes.reserve(nodes);
  size_t places = std::max<size_t>(64, interned_.size());
  while (places < 2 * nodes) places *= 2;
  if (places > interned_.size()) make_places(places);
}

void Builder::make_places(size_t n) {
  std::vector<Place> old(n);
  old.swap(interned_);
  taken_ = 0;
  for (const Place& p : old)
    if (p.node != kNone) intern(p.node, p.hash);
}

void Builder::intern(NodeId id, size_t hash) {
  if (2 * (taken_ + 1) > interned_.size()) make_places(std::max<size_t>(64, 2 * interned_.size()));
  ++taken_;
  const size_t mask = interned_.size() - 1;
  size_t at = hash & mask;
  while (interned_[at].node != kNone) at = (at + 1) & mask;
  interned_[at] = {hash, id};
}

NodeId Builder::make(const OpDef& def, Operands operands, Attrs attrs) {
  Node n{&def, std::move(operands), std::move(attrs), {}};
  const size_t h = key_hash(n);
  if (const NodeId old = find(n, h); old != kNone) return old;
  if (!n.attrs.empty()) n.attrs = *attrs_.insert(std::move(n.attrs)).first;
  for (NodeId q : n.operands)
    GRADC_CHECK(q < function_.nodes.size(), "{} reads a node that does not exist", def.name);
  try {
    const int count = static_cast<int>(n.operands.size());
    if (count < def.min_operands || (def.max_operands >= 0 && count > def.max_operands))
      throw CompileError({}, fmt::format("{} takes {} operands, not {}", def.name, def.min_operands, count));
    n.types = *types_.insert(def.infer({{function_, n.operands}, n.attrs, module_})).first;
  } catch (CompileError& e) {
    if (!e.diagnostic.loc) e.diagnostic.loc = loc_;
    throw;
  }
  return append(std::move(n), h);
}

NodeId Builder::copy(const Function& from, NodeId id, Operands operands) {
  const Node& old = from[id];
  for (size_t i = 0; i < operands.size(); ++i)
    if (!(function_[operands[i]].types == from[old.operands[i]].types))
      return make(*old.op, std::move(operands), old.attrs);
  Node n{old.op, std::move(operands), old.attrs, {}};
  const size_t h = key_hash(n);
  if (const NodeId known = find(n, h); known != kNone) return known;
  n.types = old.types;
  return append(std::move(n), h);
}

NodeId Builder::append(Node n, size_t hash) {
  const NodeId id = static_cast<NodeId>(function_.nodes.size());
  function_.nodes.push_back(std::move(n));
  intern(id, hash);
  if (loc_) function_.locs.set(id, loc_);
  return id;
}

NodeId Builder::get(NodeId tuple, int index) {
  if (function_[tuple].types.size() == 1 && index == 0) return tuple;
  const Type t = function_[tuple].types[index];
  const NodeId id = make("get", {tuple}, {{"index", int64_t{index}}});
  function_.nodes[id].types = *types_.insert({t}).first;
  return id;
}

void Builder::result(NodeId node, std::string name, NodeId into) {
  function_.results.push_back({node, into, std::move(name)});
}

Function Builder::finish() { return std::move(function_); }

Function Builder::take_back(NodeId first) {
  Function taken;
  for (NodeId i = first; i < function_.nodes.size(); ++i) {
    if (const std::string* name = function_.names.find(i)) taken.names.set(i - first, *name);
    if (const Loc* loc = function_.locs.find(i)) taken.locs.set(i - first, *loc);
    function_.names.set(i, {});
    function_.locs.set(i, {});
    taken.nodes.push_back(std::move(function_.nodes[i]));
  }
  function_.nodes.resize(first);
  std::vector<Place> all(interned_.size());
  all.swap(interned_);
  taken_ = 0;
  for (const Place& p : all)
    if (p.node < first) intern(p.node, p.hash);
  std::erase_if(function_.params, [&](NodeId p) { return p >= first; });
  return taken;
}

void Builder::name(NodeId id, std::string_view name) {
  if (!name.empty() && !function_.names.find(id)) function_.names.set(id, std::string(name));
}

NodeId Builder::constant(double value, DType t, const Shape& shape) {
  return make("constant", {}, {{"value", value}, {"dtype", t}, {"shape", shape}});
}
NodeId Builder::iota(const Shape& shape, int axis, DType t) {
  return make("iota", {}, {{"shape", shape}, {"axis", int64_t{axis}}, {"dtype", t}});
}
NodeId Builder::dim_value(const Dim& d, DType t) {
  if (d.is_constant()) return constant(static_cast<double>(d.constant_part()), t);
  return make("dim", {}, {{"value", Shape{d}}, {"dtype", t}});
}
NodeId Builder::convert(NodeId x, DType t) {
  return dtype(x) == t ? x : make("convert", {x}, {{"dtype", t}});
}

NodeId Builder::broadcast(NodeId x, const Shape& s, const std::vector<int64_t>& dims) {
  if (shape(x) == s) return x;
  return make("broadcast", {x}, {{"dims", ints(dims)}, {"shape", s}});
}
NodeId Builder::reshape(NodeId x, const Shape& s) {
  return shape(x) == s ? x : make("reshape", {x}, {{"shape", s}});
}
NodeId Builder::transpose(NodeId x, const std::vector<int64_t>& perm) {
  return std::is_sorted(perm.begin(), perm.end()) ? x : make("transpose", {x}, {{"perm", ints(perm)}});
}
NodeId Builder::slice(NodeId x, const Shape& start, const Shape& limit, const std::vector<int64_t>& stride) {
  const std::vector<int64_t> ones(start.size(), 1), s = stride.empty() ? ones : stride;
  if (limit == shape(x) && s == ones && start == Shape(start.size(), Dim(0))) return x;
  return make("slice", {x}, {{"start", start}, {"limit", limit}, {"stride", ints(s)}});
}
NodeId Builder::concat(const std::vector<NodeId>& xs, int axis) {
  return xs.size() == 1 ? xs[0] : make("concat", xs, {{"axis", int64_t{axis}}});
}
NodeId Builder::reduce(std::string_view op_name, NodeId x, const std::vector<int64_t>& axes) {
  return axes.empty() ? x : make(op_name, {x}, {{"axes", ints(axes)}});
}
NodeId Builder::einsum(NodeId a, NodeId b, const std::string& spec) {
  return make("einsum", {a, b}, {{"spec", spec}});
}

NodeId copy_node(Builder& b, const Function& from, NodeId id, std::span<const NodeId> map) {
  const Operands operands = from[id].operands.through(map);
  const Loc saved = b.location();
  if (const Loc* loc = from.locs.find(id)) b.set_location(*loc);
  const NodeId n = from[id].op->form == Form::Get
                       ? b.get(operands[0], static_cast<int>(from[id].attrs.integer("index")))
                       : b.copy(from, id, operands);
  b.set_location(saved);
  if (const std::string* name = from.names.find(id)) b.name(n, *name);
  return n;
}

std::vector<NodeId> inline_call(Builder& b, const Function& callee, std::span<const NodeId> arguments) {
  GRADC_CHECK(arguments.size() == callee.params.size(), "@{} takes {} arguments, not {}", callee.name,
              callee.params.size(), arguments.size());
  std::vector<NodeId> map(callee.nodes.size(), kNone);
  for (size_t i = 0; i < arguments.size(); ++i) map[callee.params[i]] = arguments[i];
  for (NodeId i = 0; i < callee.nodes.size(); ++i)
    if (map[i] == kNone) map[i] = copy_node(b, callee, i, map);
  std::vector<NodeId> results;
  for (const Result& r : callee.results) results.push_back(map[r.node]);
  return results;
}

}  // namespace gradc::graph
