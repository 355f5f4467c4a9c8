#include "passes/extend/one_row.h"

#include "ir/graph/builder.h"
#include "ir/graph/text.h"

namespace gradc::passes {

using namespace graph;

namespace {

Shape at_one(const Shape& shape) {
  Shape out;
  for (const Dim& d : shape) out.push_back(d.substitute_dims([](const std::string&) { return Index(1); }));
  return out;
}

Attrs at_one(const Attrs& attrs) {
  Attrs out = attrs;
  for (const auto& [name, value] : attrs.list())
    if (const auto* shape = std::get_if<Shape>(&value)) out = out.with(name, at_one(*shape));
  return out;
}

// The function where every symbolic dimension is 1.
Function at_one(const Function& f, const Module& m) {
  Builder b(f.name, &m);
  std::vector<NodeId> made;
  for (NodeId i = 0; i < f.nodes.size(); ++i) {
    const Node& n = f[i];
    const Loc* loc = f.locs.find(i);
    b.set_location(loc ? *loc : Loc{});
    if (n.op->form == Form::Parameter) {
      made.push_back(b.param(f.names.at(i), {n.type().dtype, at_one(n.type().shape)}));
      continue;
    }
    const Operands operands = n.operands.through(made);
    if (n.op->form == Form::Get)
      made.push_back(b.get(operands[0], static_cast<int>(n.attrs.integer("index"))));
    else
      made.push_back(b.make(*n.op, operands, at_one(n.attrs)));
    if (const std::string* name = f.names.find(i)) b.name(made.back(), *name);
  }
  for (const Result& r : f.results) b.result(made[r.node], r.name);
  Function out = b.finish();
  out.notes = f.notes;
  return out;
}

}  // namespace

Module of_one_row(const Function& f, const Module& m) {
  Module out;
  for (const Function* g : reached(m, f)) out.functions[g->name] = at_one(*g, out);
  return out;
}

}  // namespace gradc::passes
