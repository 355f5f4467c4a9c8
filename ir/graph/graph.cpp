#include "ir/graph/graph.h"

#include <algorithm>
#include <set>

#include "ir/graph/node_kind.h"
#include "ir/graph/op_def.h"
#include "support/check.h"
#include "support/diagnostic.h"

namespace gradc::graph {

size_t Types::hash() const {
  size_t h = size();
  for (const Type& t : *this) {
    h = h * 31 + static_cast<size_t>(t.dtype);
    for (const Dim& d : t.shape) h = h * 1099511628211ULL + d.hash();
  }
  return h;
}

bool Function::is_donated(NodeId param) const {
  for (const Result& r : results)
    if (r.into == param) return true;
  return false;
}

bool Function::fuses() const {
  const auto fma = notes.find("fma");
  return fma == notes.end() || fma->second != "off";
}

std::vector<Type> Function::param_types() const {
  std::vector<Type> out;
  for (NodeId p : params) out.push_back(type(p));
  return out;
}

std::vector<Type> Function::result_types() const {
  std::vector<Type> out;
  for (const Result& r : results) out.push_back(type(r.node));
  return out;
}

const Function* Module::find(std::string_view name) const {
  auto it = functions.find(std::string(name));
  return it == functions.end() ? nullptr : &it->second;
}

const Function& Module::at(std::string_view name) const {
  const Function* f = find(name);
  if (!f) throw CompileError({}, fmt::format("no function @{}", name));
  return *f;
}

size_t functions_a_thread(const Module& m) {
  constexpr size_t kNodes = 500;
  size_t nodes = 0;
  for (const auto& [name, f] : m.functions) nodes += f.nodes.size();
  const size_t threads = std::max<size_t>(1, nodes / kNodes);
  return std::max<size_t>(1, m.functions.size() / threads);
}

void Module::drop_unnamed() {
  std::vector<const Function*> work;
  std::set<std::string_view> named;
  auto name = [&](const Function& f) {
    if (named.insert(f.name).second) work.push_back(&f);
  };
  for (const auto& [key, f] : functions)
    if (f.notes.count("private") == 0) name(f);
  while (!work.empty()) {
    const Function& f = *work.back();
    work.pop_back();
    for (const Node& n : f.nodes)
      for (const auto& [attr, value] : n.attrs.list())
        if (const auto* r = std::get_if<FunctionRef>(&value)) name(at(r->name));
  }
  std::erase_if(functions, [&](const auto& f) { return named.count(f.first) == 0; });
}

const OpDef& op(std::string_view name) {
  const OpDef* d = find_op(name);
  GRADC_CHECK(d, "no op {}", name);
  return *d;
}

bool has_meaning(const Node& n) { return n.op->meaning != nullptr; }

Order order_of(const Attrs& a) {
  const std::string order = a.text("order", "chain");
  return order == "lanes" ? Order::Lanes : order == "pairwise" ? Order::Pairwise : Order::Chain;
}

Meaning meaning_of(const Function& f, NodeId id) {
  const Node& n = f[id];
  GRADC_CHECK(n.op->meaning, "op {} has no meaning", n.op->name);
  return n.op->meaning({{f, n.operands}, n.attrs, nullptr}, n.types[0]);
}

std::shared_ptr<const Meaning> Meanings::of(NodeId n) {
  const std::optional<NodeKind> kind = kind_of(f_, f_[n]);
  if (!kind) return std::make_shared<const Meaning>(meaning_of(f_, n));
  std::shared_ptr<const Meaning>& known = known_[*kind];
  if (!known) known = std::make_shared<const Meaning>(meaning_of(f_, n));
  return known;
}

}  // namespace gradc::graph
