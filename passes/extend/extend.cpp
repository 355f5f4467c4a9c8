#include "passes/extend/extend.h"

#include <map>

#include "ir/graph/builder.h"
#include "passes/extend/stale.h"
#include "passes/graph/expand.h"
#include "support/diagnostic.h"

namespace gradc::passes {
namespace {

using namespace graph;

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
Function of_one_row(const Function& f, const Module& m) {
  Builder b(f.name, &m);
  std::vector<NodeId> made;
  for (NodeId i = 0; i < f.nodes.size(); ++i) {
    const Node& n = f[i];
    const Loc* loc = f.locs.find(i);
    b.set_location(loc ? *loc : Loc{});
    if (n.op->name == "parameter") {
      made.push_back(b.param(f.names.at(i), {n.type().dtype, at_one(n.type().shape)}));
      continue;
    }
    if (!has_meaning(n))
      throw CompileError(b.location(), fmt::format("what {} gives is not told apart by place", n.op->name));
    std::vector<NodeId> operands;
    for (NodeId q : n.operands) operands.push_back(made[q]);
    made.push_back(b.make(*n.op, operands, at_one(n.attrs)));
    if (const std::string* name = f.names.find(i)) b.name(made.back(), *name);
  }
  for (const Result& r : f.results) b.result(made[r.node], r.name);
  Function out = b.finish();
  out.notes = f.notes;
  return out;
}

class Extender {
 public:
  Extender(const Function& f, const Module& m, const Sequence& s, const Plan& plan)
      : f_(f), sequence_(s), plan_(plan), b_("extend", &m), rows_(f.nodes.size(), kNone), wholes_(rows_) {}

  Extension run() {
    parameters();
    for (NodeId i = 0; i < f_.nodes.size(); ++i) {
      const NodePlan& p = plan_.nodes[i];
      const Loc* loc = f_.locs.find(i);
      b_.set_location(loc ? *loc : Loc{});
      if (p.whole && !p.kept && wholes_[i] == kNone) wholes_[i] = whole(i);
      if (p.row >= 0 && rows_[i] == kNone) rows_[i] = row(i);
      if (p.kept) wholes_[i] = replaced(i);
    }
    for (size_t r = 0; r < f_.results.size(); ++r) {
      const NodeId n = f_.results[r].node;
      if (plan_.row_results[r])
        b_.result(rows_[n], f_.results[r].name);
      else if (plan_.nodes[n].whole)
        b_.result(wholes_[n], f_.results[r].name);
    }
    for (const auto& [n, parameter] : kept_) b_.result(wholes_[n], "", parameter);
    out_.function = b_.finish();
    out_.function.notes = f_.notes;
    return std::move(out_);
  }

 private:
  void parameters() {
    const std::string& name = f_.names.at(sequence_.tokens);
    Type one = f_.type(sequence_.tokens);
    one.shape[static_cast<size_t>(sequence_.axis)] = 1;
    rows_[sequence_.tokens] = b_.param(name == "place" ? ".place" : name, one);
    place_ = b_.param("place", {DType::I32, {}});
    for (NodeId p : f_.params)
      if (p != sequence_.tokens && plan_.nodes[p].whole) wholes_[p] = b_.param(f_.names.at(p), f_.type(p));
    for (NodeId i = 0; i < f_.nodes.size(); ++i) {
      if (!plan_.nodes[i].kept) continue;
      out_.kept.push_back(fmt::format("__carry__/kept/{}", kept_.size()));
      kept_[i] = b_.param(out_.kept.back(), f_.type(i));
    }
  }

  NodeId whole(NodeId i) {
    std::vector<NodeId> operands;
    for (NodeId q : f_[i].operands) operands.push_back(wholes_[q]);
    return named(i, b_.make(*f_[i].op, operands, f_[i].attrs));
  }

  NodeId row(NodeId i) {
    const NodePlan& p = plan_.nodes[i];
    if (!p.narrowed) {
      std::vector<NodeId> operands{wholes_[i]};
      append_starts(operands, i);
      Shape sizes = f_.type(i).shape;
      sizes[static_cast<size_t>(p.row)] = 1;
      return b_.make("dynamic_slice", operands, {{"sizes", sizes}});
    }
    std::vector<NodeId> operands;
    for (size_t q = 0; q < f_[i].operands.size(); ++q)
      operands.push_back((p.narrowed->row_of[q] >= 0 ? rows_ : wholes_)[f_[i].operands[q]]);
    return named(i, b_.make(*f_[i].op, operands, p.narrowed->attrs));
  }

  // The kept value with its new row.
  NodeId replaced(NodeId i) {
    std::vector<NodeId> operands{kept_.at(i), rows_[i]};
    append_starts(operands, i);
    return b_.make("dynamic_update_slice", operands);
  }

  void append_starts(std::vector<NodeId>& operands, NodeId i) {
    for (int a = 0; a < f_.type(i).rank(); ++a)
      operands.push_back(a == plan_.nodes[i].row ? place_ : b_.constant(0, DType::I32));
  }

  NodeId named(NodeId i, NodeId made) {
    if (const std::string* name = f_.names.find(i)) b_.name(made, *name);
    return made;
  }

  const Function& f_;
  Sequence sequence_;
  const Plan& plan_;
  Builder b_;
  std::vector<NodeId> rows_, wholes_;
  std::map<NodeId, NodeId> kept_;  // node -> its parameter
  NodeId place_ = kNone;
  Extension out_;
};

}  // namespace

Extension extend(const Module& m, const Function& f, NodeId tokens) {
  const Function one = of_one_row(f, m);
  Sequence s{kNone, 1, 0};
  for (size_t p = 0; p < f.params.size(); ++p)
    if (f.params[p] == tokens) s.tokens = one.params[p];
  const Type& type = one.type(s.tokens);
  if (type.rank() != 2) throw CompileError({}, fmt::format("{} is no row of tokens", type.str()));
  s.places = type.shape[1].constant_part();
  const Plan plan = plan_extension(one, m, s);
  if (std::find(plan.row_results.begin(), plan.row_results.end(), true) == plan.row_results.end())
    throw CompileError(
        {}, fmt::format("no result of @{} has rows that depend on no later place of the {} of {}", f.name,
                        s.places, f.names.at(tokens)));
  prove_settled(one, m, s, plan);
  return Extender(one, m, s, plan).run();
}

}  // namespace gradc::passes
