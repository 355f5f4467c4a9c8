#include "passes/extend/places.h"

#include <algorithm>

namespace gradc::passes {
namespace {

// The coefficient of each axis; nothing where the index is no sum of axes times constants.
std::optional<std::map<int, int64_t>> linear(const Index& e) {
  std::map<int, int64_t> of;
  for (const Index::Term& t : e.terms()) {
    if (t.factors.size() != 1 || t.factors[0].kind != Atom::Kind::Var) return std::nullopt;
    of[t.factors[0].var] = t.coefficient;
  }
  return of;
}

struct Range {
  int64_t low, high;
};
std::optional<Range> range_of(int64_t constant, const std::map<int, int64_t>& terms, const Meaning& m) {
  Range r{constant, constant};
  for (const auto& [axis, c] : terms) {
    if (axis >= static_cast<int>(m.axes.size())) return std::nullopt;
    const Dim& extent = m.axes[static_cast<size_t>(axis)];
    if (!extent.is_constant()) return std::nullopt;
    const int64_t most = c * std::max<int64_t>(0, extent.constant_part() - 1);
    (c > 0 ? r.high : r.low) += most;
  }
  return r;
}

bool moves(const ScalarBody& body, int node) {
  const ScalarNode& n = body[static_cast<size_t>(node)];
  if (n.op == ScalarOp::Read) return true;
  return n.op == ScalarOp::Select && moves(body, n.args[1]) && moves(body, n.args[2]);
}

}  // namespace

Meaning without_unit_axes(Meaning m, int except) {
  const auto n = static_cast<int>(m.axes.size());
  auto unit = [&](int v) { return v < n && v != except && m.axes[static_cast<size_t>(v)].is(1); };
  auto settle = [&](std::vector<Index>& list) {
    for (Index& e : list) e = e.substitute([&](int v) { return unit(v) ? Index(0) : Index::var(v); });
  };
  for (Read& r : m.reads) settle(r.at), settle(r.guards);
  settle(m.values), settle(m.where);
  return m;
}

std::optional<Reach> reach_of(const Index& at, const Meaning& m, int preferred) {
  const auto terms = linear(at);
  if (!terms) return std::nullopt;
  std::optional<int> axis;
  for (const auto& [a, c] : *terms)
    if (c == 1 && a < static_cast<int>(m.axes.size()) && (a == preferred || !axis)) axis = a;
  if (!axis) return std::nullopt;
  std::map<int, int64_t> rest = *terms;
  rest.erase(*axis);
  const auto range = range_of(at.constant_part(), rest, m);
  if (!range) return std::nullopt;
  return Reach{*axis, range->high, range->low == range->high};
}

std::optional<int64_t> largest(const Index& at, const Meaning& m) {
  const auto terms = linear(at);
  const auto range = terms ? range_of(at.constant_part(), *terms, m) : std::nullopt;
  return range ? std::optional(range->high) : std::nullopt;
}

bool is_move(const Meaning& m) {
  if (m.combine != Combiner::None || m.body.empty()) return false;
  for (const ScalarNode& n : m.body)  // what is read chooses nothing
    if (n.op != ScalarOp::Select)
      for (const int a : n.args)
        if (a >= 0 && m.body[static_cast<size_t>(a)].op == ScalarOp::Read) return false;
  return moves(m.body, static_cast<int>(m.body.size()) - 1);
}

Places places_after(const Meaning& m, std::span<const Places> operands) {
  Places out;
  bool everywhere = false;
  for (const Read& r : m.reads) {
    const Places& from = operands[static_cast<size_t>(r.operand)];
    everywhere |= from.everywhere();
    for (const auto& [axis, last] : from.last) {
      const Index& at = r.at[static_cast<size_t>(axis)];
      const auto reach = reach_of(at, m);
      if (!reach) {
        const auto most = largest(at, m);  // one that the first place settles is like a weight
        everywhere |= !most || *most + last > 0;
        continue;
      }
      out.tokens = true;
      if (reach->axis >= m.outputs) continue;
      const auto [it, fresh] = out.last.emplace(reach->axis, last + reach->shift);
      if (!fresh) it->second = std::max(it->second, last + reach->shift);
    }
  }
  return everywhere ? Places{true, {}} : out;
}

}  // namespace gradc::passes
