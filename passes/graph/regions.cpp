#include "passes/graph/regions.h"

#include <algorithm>
#include <cmath>

#include "ir/graph/op_def.h"

namespace gradc::passes {

using namespace graph;

namespace {

constexpr size_t kMostConditions = 8;
constexpr double kSmall = 0x1p30;

// Whether it is what the tensor holds, which wraps around where numbers grow large.
bool is_small(const Index& e, const Shape& shape) {
  if (!is_affine(e)) return false;
  double most = std::fabs(static_cast<double>(e.constant_part()));
  for (const Index::Term& term : e.terms()) {
    const Dim& extent = shape[static_cast<size_t>(term.factors[0].var)];
    if (!extent.is_constant()) return false;
    most += std::fabs(static_cast<double>(term.coefficient)) * static_cast<double>(extent.constant_part());
  }
  return most < kSmall;
}

}  // namespace

bool is_affine(const Index& e) {
  return std::all_of(e.terms().begin(), e.terms().end(), [](const Index::Term& t) {
    return t.factors.size() == 1 && t.factors[0].kind == Atom::Kind::Var;
  });
}

void Regions::note(NodeId n) {
  const std::string_view op = f_[n].op->name;
  count(n, op);
  if (const auto m = moved(n)) return move(n, m->reads[0]);
  const auto& o = f_[n].operands;
  if (op == "le" || op == "lt" || op == "ge" || op == "gt")
    return compare(n, op[0] == 'l' ? o[0] : o[1], op[0] == 'l' ? o[1] : o[0], op[1] == 't');
  if (op == "and" || op == "mul") return either(n);
  if (op == "select") return select(n);
  const Region& first = o.empty() ? none_ : regions_[o[0]];
  if (first.within.empty()) return;
  // A masked score is no score: what is subtracted from it, or divides its weight, moves nothing.
  const bool low = std::isinf(first.outside) && first.outside < 0;
  if (low && op == "exp") regions_[n] = {first.within, 0, first.masked};
  if (low && op == "sub") regions_[n] = first;
  if (first.outside == 0 && (op == "div" || op == "neg" || op == "convert")) regions_[n] = first;
}
// Whether anything is known of what a node reads.
bool Regions::knows(const Node& n) const {
  return std::any_of(n.operands.begin(), n.operands.end(),
                     [&](NodeId q) { return !regions_[q].within.empty(); });
}

// Places, constants, and sums of them.
void Regions::count(NodeId n, std::string_view op) {
  const auto& o = f_[n].operands;
  const DType t = f_[n].types.empty() ? DType::Bool : f_.type(n).dtype;
  if (t != DType::I32 && t != DType::I64) return;
  std::optional<Index> e;
  if (op == "iota") e = Index::var(static_cast<int>(f_[n].attrs.integer("axis")));
  if (op == "constant" && std::fabs(f_[n].attrs.number("value")) < kSmall)
    e = Index(static_cast<int64_t>(f_[n].attrs.number("value")));
  if ((op == "add" || op == "sub") && numbers_[o[0]] && numbers_[o[1]])
    e = op == "add" ? *numbers_[o[0]] + *numbers_[o[1]] : *numbers_[o[0]] - *numbers_[o[1]];
  if (e && is_small(*e, f_.type(n).shape)) numbers_[n] = std::move(e);
}
std::shared_ptr<const Meaning> Regions::moved(NodeId n) {
  if (!has_meaning(f_[n]) || f_[n].operands.size() != 1) return nullptr;
  const std::shared_ptr<const Meaning> m = meanings_.of(n);
  return m->combine == Combiner::None && m->reads.size() == 1 && m->body.size() == 1 ? m : nullptr;
}
// Values that are moved from what is known, or from padding.
void Regions::move(NodeId n, const Read& read) {
  const NodeId from = f_[n].operands[0];
  const auto there = [&](const Index& e) {
    return e.substitute([&](int a) { return read.at[static_cast<size_t>(a)]; });
  };
  if (numbers_[from] && read.guards.empty()) numbers_[n] = there(*numbers_[from]);
  Region out = regions_[from];
  for (Index& e : out.within) e = there(e);
  if (out.within.empty()) out.outside = read.fill;
  if (read.fill == out.outside)
    out.within.insert(out.within.begin(), read.guards.begin(), read.guards.end());
  else if (!read.guards.empty())
    return;
  if (out.within.size() <= kMostConditions) regions_[n] = std::move(out);
}

// Numbers of places, a < b or a <= b: false where b - a is negative.
void Regions::compare(NodeId n, NodeId a, NodeId b, bool strict) {
  if (numbers_[a] && numbers_[b])
    regions_[n] = {{*numbers_[b] - *numbers_[a] - Index(strict ? 1 : 0)}, 0, true};
}

// 0, or false, where one of both is.
void Regions::either(NodeId n) {
  Region out;
  for (const NodeId o : f_[n].operands)
    if (const Region& r = regions_[o]; r.outside == 0) {
      out.within.insert(out.within.end(), r.within.begin(), r.within.end());
      out.masked |= r.masked;
    }
  if (out.within.size() <= kMostConditions) regions_[n] = std::move(out);
}

// The other value where the mask is false, and where what it lets through is that value too.
void Regions::select(NodeId n) {
  const auto& o = f_[n].operands;
  const std::optional<double> other = constant(o[2]);
  if (!other) return;
  Region out = regions_[o[0]].outside == 0 ? regions_[o[0]] : Region{};
  out.outside = *other;
  if (const Region& chosen = regions_[o[1]]; chosen.outside == *other) {
    out.within.insert(out.within.end(), chosen.within.begin(), chosen.within.end());
    out.masked |= chosen.masked;
  }
  if (out.within.size() <= kMostConditions) regions_[n] = std::move(out);
}
std::optional<double> Regions::constant(NodeId n) const {
  while (f_[n].op->name == "broadcast") n = f_[n].operands[0];
  if (f_[n].op->name != "constant") return {};
  return f_[n].attrs.number("value");
}

}  // namespace gradc::passes
