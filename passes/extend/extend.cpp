#include "passes/extend/extend.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>

#include "ir/graph/builder.h"
#include "passes/extend/one_row.h"
#include "passes/extend/stale.h"
#include "passes/graph/expand.h"
#include "support/diagnostic.h"

namespace gradc::passes {
namespace {

using namespace graph;

class Extender {
 public:
  Extender(const Function& f, const Module& m, const Sequence& s, const Plan& plan)
      : f_(f),
        m_(m),
        sequence_(s),
        plan_(plan),
        b_("extend", &m),
        rows_(f.nodes.size()),
        wholes_(f.nodes.size(), kNone) {}

  Extension run() {
    parameters();
    for (NodeId i = 0; i < f_.nodes.size(); ++i) {
      const NodePlan& p = plan_.nodes[i];
      const Loc* loc = f_.locs.find(i);
      b_.set_location(loc ? *loc : Loc{});
      if (p.whole && !p.is_kept() && wholes_[i] == kNone) wholes_[i] = whole(i);
      for (const auto& [axis, how] : p.rows)
        if (i != sequence_.tokens)
          rows_[i][axis] = how.narrowed ? row(i, *how.narrowed)
                           : how.step   ? stepped(i, *how.step)
                                        : cut(i, axis);
      if (p.is_kept()) wholes_[i] = replaced(i);
    }
    for (size_t r = 0; r < f_.results.size(); ++r) {
      const NodeId n = f_.results[r].node;
      if (plan_.row_results[r])
        b_.result(rows_[n].at(sequence_.axis), f_.results[r].name);
      else if (plan_.nodes[n].whole)
        b_.result(wholes_[n], f_.results[r].name);
    }
    for (const auto& [n, parameter] : kept_) b_.result(wholes_[n], "", parameter);
    for (const auto& [n, parameters] : carries_)
      for (size_t c = 0; c < parameters.size(); ++c) b_.result(steps_.at(n)[c], "", parameters[c]);
    out_.function = prune_function(b_.finish(), m_);
    out_.function.notes = f_.notes;
    if (carries_.empty()) out_.whole = whole_function();
    return std::move(out_);
  }

 private:
  void parameters() {
    const std::string& name = f_.names.at(sequence_.tokens);
    Type one = f_.type(sequence_.tokens);
    one.shape[static_cast<size_t>(sequence_.axis)] = 1;
    rows_[sequence_.tokens][sequence_.axis] = b_.param(name == "place" ? ".place" : name, one);
    place_ = b_.param("place", {DType::I32, {}});
    for (NodeId p : f_.params)
      if (p != sequence_.tokens && plan_.nodes[p].whole) wholes_[p] = b_.param(f_.names.at(p), f_.type(p));
    for (NodeId i = 0; i < f_.nodes.size(); ++i) {
      const NodePlan& p = plan_.nodes[i];
      if (p.is_kept()) kept_[i] = kept(f_.type(i));
      const auto row = p.rows.find(0);
      if (row == p.rows.end() || !row->second.step) continue;
      const Stacked& s = *row->second.step;
      std::vector<NodeId>& carries = carries_[s.scan];
      while (carries.size() < s.carries) carries.push_back(kept(f_[s.scan].types[carries.size()]));
    }
  }
  NodeId kept(const Type& type) {
    out_.kept.push_back(fmt::format("__carry__/kept/{}", out_.kept.size()));
    return b_.param(out_.kept.back(), type);
  }

  // What is kept is among its nodes; behind the last token it holds what the filler gives.
  Function whole_function() const {
    Builder b(f_.name, &m_);
    std::vector<NodeId> made(f_.nodes.size(), kNone);
    for (NodeId p : f_.params) made[p] = b.param(f_.names.at(p), f_.type(p));
    for (NodeId i = 0; i < f_.nodes.size(); ++i)
      if (made[i] == kNone) made[i] = copy_node(b, f_, i, made);
    for (const Result& r : f_.results) b.result(made[r.node], r.name);
    size_t number = 0;  // without loops, all that is kept is in this order
    for (const auto& [n, parameter] : kept_) b.result(made[n], "", b.param(out_.kept[number++], f_.type(n)));
    Function out = b.finish();
    out.notes = f_.notes;
    return out;
  }

  NodeId whole(NodeId i) {
    return named(i, b_.make(*f_[i].op, f_[i].operands.through(wholes_), f_[i].attrs));
  }

  NodeId row(NodeId i, const Narrowed& narrow) {
    std::vector<NodeId> operands;
    for (size_t q = 0; q < f_[i].operands.size(); ++q) {
      const NodeId from = f_[i].operands[q];
      operands.push_back(narrow.row_of[q] >= 0 ? rows_[from].at(narrow.row_of[q]) : wholes_[from]);
    }
    return named(i, b_.make(*f_[i].op, operands, narrow.attrs));
  }
  NodeId cut(NodeId i, int axis) {
    std::vector<NodeId> operands{wholes_[i]};
    append_starts(operands, i, axis);
    Shape sizes = f_.type(i).shape;
    sizes[static_cast<size_t>(axis)] = 1;
    return b_.make("dynamic_slice", operands, {{"sizes", sizes}});
  }

  NodeId stepped(NodeId i, const Stacked& s) {
    if (!steps_.count(s.scan)) steps_[s.scan] = step(s);
    Shape row = f_.type(i).shape;
    row[0] = 1;
    return b_.reshape(steps_.at(s.scan)[s.result], row);
  }

  // The body over what the step before carried; before the first, over what the loop begins with.
  std::vector<NodeId> step(const Stacked& s) {
    const Node& scan = f_[s.scan];
    const NodeId first = b_.compare("eq", place_, b_.constant(0, DType::I32));
    std::vector<NodeId> arguments;
    for (size_t q = 0; q < scan.operands.size(); ++q) {
      const NodeId from = scan.operands[q];
      if (q < s.consts) {
        arguments.push_back(wholes_[from]);
      } else if (q < s.consts + s.carries) {
        const NodeId carried = carries_.at(s.scan)[q - s.consts];
        arguments.push_back(b_.select(b_.splat(first, f_.type(from).shape), wholes_[from], carried));
      } else {
        const Shape& shape = f_.type(from).shape;
        arguments.push_back(b_.reshape(rows_[from].at(0), {shape.begin() + 1, shape.end()}));
      }
    }
    return inline_call(b_, m_.at(scan.attrs.function("function")), arguments);
  }

  // The kept value with its new row. A choice at every element is a plain loop, which `dynamic_update_slice`,
  // with a position along each axis, is not.
  NodeId replaced(NodeId i) {
    const int axis = plan_.nodes[i].kept;
    const Shape& shape = f_.type(i).shape;
    const NodeId places = b_.iota({sequence_.places}, 0, DType::I32);
    const NodeId here = b_.compare("eq", places, b_.splat(place_, {sequence_.places}));
    std::vector<int64_t> all(shape.size());
    std::iota(all.begin(), all.end(), int64_t{0});
    return b_.select(b_.broadcast(here, shape, {axis}), b_.broadcast(rows_[i].at(axis), shape, all),
                     kept_.at(i));
  }

  void append_starts(std::vector<NodeId>& operands, NodeId i, int axis) {
    for (int a = 0; a < f_.type(i).rank(); ++a)
      operands.push_back(a == axis ? place_ : b_.constant(0, DType::I32));
  }

  NodeId named(NodeId i, NodeId made) {
    if (const std::string* name = f_.names.find(i)) b_.name(made, *name);
    return made;
  }

  const Function& f_;
  const Module& m_;
  Sequence sequence_;
  const Plan& plan_;
  Builder b_;
  std::vector<std::map<int, NodeId>> rows_;  // by node, by the axis of the new place
  std::vector<NodeId> wholes_;
  std::map<NodeId, NodeId> kept_;                          // node -> its parameter
  std::map<NodeId, std::vector<NodeId>> carries_, steps_;  // of scans: parameters, results of the body
  NodeId place_ = kNone;
  Extension out_;
};

// For all results that have rows; throws what is in the way of the first where none has.
Plan plan_of(const Function& f, const Module& m, const Sequence& s) {
  const auto planned = [&](const std::vector<bool>& results) {
    Plan plan = plan_extension(f, m, s, results);
    prove_settled(f, m, s, plan);
    return plan;
  };
  std::vector<bool> all(f.results.size(), false);
  std::optional<CompileError> refusal;
  for (size_t r = 0; r < f.results.size(); ++r) {
    const Shape& shape = f.type(f.results[r].node).shape;
    if (shape.size() < 2 || !shape[1].is(s.places)) continue;
    std::vector<bool> only(f.results.size(), false);
    only[r] = true;
    try {
      planned(only);
      all[r] = true;
    } catch (const CompileError& e) {
      if (!refusal) refusal = e;
    }
  }
  if (std::find(all.begin(), all.end(), true) != all.end()) return planned(all);
  if (refusal) throw CompileError(*refusal);
  throw CompileError({}, fmt::format("no result of @{} has a row for each of the {} places of {}", f.name,
                                     s.places, f.names.at(s.tokens)));
}

}  // namespace

Extension extend(const Module& m, const Function& f, NodeId tokens) {
  const Type& type = f.type(tokens);
  if (type.rank() != 2 || !type.shape[1].is_constant())
    throw CompileError({}, fmt::format("{} is no rows of tokens of one length", type.str()));
  const Module of_one = of_one_row(f, m);
  const Function& one = of_one.at(f.name);
  Sequence s{kNone, 1, type.shape[1].constant_part()};
  for (size_t p = 0; p < f.params.size(); ++p)
    if (f.params[p] == tokens) s.tokens = one.params[p];
  return Extender(one, of_one, s, plan_of(one, of_one, s)).run();
}

}  // namespace gradc::passes
