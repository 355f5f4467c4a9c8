// Invariants: operands stand before their readers; every node's types are what its op's rule infers;
// attributes are among those the row names and required ones are present; parameters are listed once; a
// donated parameter takes at most one result, of its own type; only `get` reads a node with several results.
// Not checked: that names are unique (printing makes them so), that extents agree at run time.
#include <algorithm>
#include <array>
#include <utility>

#include "ir/graph/node_kind.h"
#include "ir/graph/op_def.h"
#include "support/check.h"
#include "support/diagnostic.h"
#include "support/parallel.h"

namespace gradc::graph {
namespace {

std::string text_of(const Function& f, NodeId id) {
  std::string out = fmt::format("@{}: {}(", f.name, f[id].op->name);
  for (NodeId q : f[id].operands) out += fmt::format("{} ", f[q].types.empty() ? "?" : f.type(q).str());
  return out + ")" + f[id].attrs.str();
}

void verify_attributes(const Function& f, NodeId id) {
  const Node& n = f[id];
  auto allowed = [&](std::string_view name) {
    if (name == "again") return true;
    return std::any_of(n.op->attributes.begin(), n.op->attributes.end(), [&](std::string_view a) {
      return a.substr(0, a.size() - (a.ends_with('!') ? 1 : 0)) == name;
    });
  };
  for (std::string_view a : n.op->attributes)
    if (a.ends_with('!'))
      GRADC_CHECK(n.attrs.has(a.substr(0, a.size() - 1)), "{} lacks attribute {}", text_of(f, id), a);
  for (const auto& [name, value] : n.attrs.list())
    GRADC_CHECK(allowed(name), "{} has an unknown attribute {}", text_of(f, id), name);
}

// The kinds of nodes that were verified.
class Verified {
 public:
  // Whether a node of this kind was here before; it takes the place of one that was.
  bool holds(const Function& f, const Node& n) {
    const std::optional<NodeKind> kind = kind_of(f, n);
    return kind && std::exchange(kinds_[kind->hash() >> 55], *kind) == *kind;
  }

 private:
  std::array<NodeKind, 512> kinds_{};
};

void verify_node(const Function& f, NodeId id, const Module& m, Verified& known) {
  const Node& n = f[id];
  for (NodeId q : n.operands) {
    GRADC_CHECK(q < id, "{} reads a later node", text_of(f, id));
    GRADC_CHECK(f[q].types.size() == 1 || n.op->form == Form::Get, "{} reads several results",
                text_of(f, id));
  }
  if (n.op->form == Form::Parameter || known.holds(f, n)) return;
  verify_attributes(f, id);
  if (n.op->form == Form::Get) {
    const int64_t i = n.attrs.integer("index");
    const auto& tuple = f[n.operands[0]].types;
    GRADC_CHECK(i >= 0 && i < static_cast<int64_t>(tuple.size()) && n.types[0] == tuple[i],
                "{} is out of place", text_of(f, id));
    return;
  }
  Types inferred;
  try {
    inferred = n.op->infer({{f, n.operands}, n.attrs, &m});
  } catch (const CompileError& e) {
    GRADC_CHECK(false, "{}: {}", text_of(f, id), e.what());
  }
  GRADC_CHECK(inferred == n.types, "{} is {} but its rule gives {}", text_of(f, id), n.types[0].str(),
              inferred.empty() ? "nothing" : inferred[0].str());
}

}  // namespace

void verify(const Function& f, const Module& m) {
  Verified known;
  for (NodeId i = 0; i < f.nodes.size(); ++i) verify_node(f, i, m, known);
  std::vector<char> free(f.nodes.size(), 0);  // parameters that no result goes into yet
  for (NodeId p : f.params) {
    GRADC_CHECK(p < f.nodes.size(), "@{} lists a parameter that is no node", f.name);
    GRADC_CHECK(std::exchange(free[p], 1) == 0, "@{} lists a parameter twice", f.name);
    GRADC_CHECK(f[p].op->form == Form::Parameter, "@{}: a parameter is {}", f.name, f[p].op->name);
  }
  for (const Result& r : f.results) {
    GRADC_CHECK(r.node < f.nodes.size() && f[r.node].types.size() == 1, "@{}: a result is no single value",
                f.name);
    if (r.into == kNone) continue;
    GRADC_CHECK(r.into < f.nodes.size() && std::exchange(free[r.into], 0) == 1,
                "@{}: a result goes into no free parameter", f.name);
    GRADC_CHECK(f.type(r.into) == f.type(r.node), "@{}: {} goes into {}", f.name, f.type(r.node).str(),
                f.type(r.into).str());
  }
}

void verify(const Module& m) {
  std::vector<const Function*> all;
  for (const auto& [name, f] : m.functions) {
    GRADC_CHECK(name == f.name, "@{} is filed as {}", f.name, name);
    all.push_back(&f);
  }
  largest_first(all, [](const Function* f) { return f->nodes.size(); });
  in_parallel(
      all.size(), [&](size_t i) { verify(*all[i], m); }, functions_a_thread(m));
}

}  // namespace gradc::graph
