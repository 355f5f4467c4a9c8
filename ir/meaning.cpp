#include "ir/meaning.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "support/check.h"

namespace gradc {

std::string_view name_of(Combiner c) {
  static constexpr std::string_view names[] = {"none", "add", "mul",    "max",   "min",
                                               "and",  "or",  "argmax", "argmin"};
  return names[static_cast<int>(c)];
}

Literal identity_of(Combiner c, DType t) {
  const double inf = std::numeric_limits<double>::infinity();
  const auto extreme = [&](bool low) {
    Literal l;
    switch (t) {
      case DType::Bool:
        l.i = low ? 0 : 1;
        break;
      case DType::U8:
        l.i = low ? 0 : 255;
        break;
      case DType::I32:
        l.i = low ? INT32_MIN : INT32_MAX;
        break;
      case DType::I64:
        l.i = low ? INT64_MIN : INT64_MAX;
        break;
      default:
        l.f = low ? -inf : inf;
    }
    return l;
  };
  switch (c) {
    case Combiner::Mul:
      return literal(t, 1);
    case Combiner::Max:
    case Combiner::ArgMax:
      return extreme(true);
    case Combiner::Min:
    case Combiner::ArgMin:
      return extreme(false);
    case Combiner::And: {
      Literal l;
      l.i = t == DType::Bool ? 1 : -1;
      return l;
    }
    default:
      return literal(t, 0);
  }
}

ScalarOp joining(Combiner c) {
  static constexpr ScalarOp ops[] = {ScalarOp::Add, ScalarOp::Mul, ScalarOp::Max,
                                     ScalarOp::Min, ScalarOp::And, ScalarOp::Or};
  GRADC_CHECK(c >= Combiner::Add && c <= Combiner::Or, "{} joins no values", name_of(c));
  return ops[static_cast<int>(c) - static_cast<int>(Combiner::Add)];
}

namespace {

// How many of 0 .. extent-1 satisfy c * i + rest >= 0.
struct Stretch {
  int64_t first, end;
  void bound(int64_t c, int64_t rest) {
    if (c == 0 && rest < 0) end = first;
    if (c > 0) first = std::max(first, -(rest >= 0 ? rest / c : -((-rest + c - 1) / c)));
    if (c < 0) end = std::min(end, rest < 0 ? 0 : rest / -c + 1);
  }
  int64_t length() const { return std::max<int64_t>(0, end - first); }
};

// Of the points of some axes, those for which all conditions hold, which use no other axis and are sums of
// multiples of the last one and what the others say. Counted by lines along that one.
double share_of_points(std::span<const Index> conditions, std::span<const size_t> axes,
                       std::span<const int64_t> extents) {
  constexpr double kMost = 1 << 16;
  if (axes.empty())
    return std::all_of(conditions.begin(), conditions.end(),
                       [](const Index& e) { return e.constant_part() >= 0; })
               ? 1
               : 0;
  const size_t last = axes.back();
  const int line = static_cast<int>(last);
  std::vector<std::pair<int64_t, Index>> terms;  // how often the last axis, and the rest
  for (const Index& e : conditions) {
    const std::optional<Index> c = e.coefficient_of(line);
    GRADC_CHECK(c && c->is_constant(), "a condition that is not affine: {}", e.str());
    terms.emplace_back(c->constant_part(), e - *c * Index::var(line));
  }
  double lines = 1;
  for (const size_t a : axes.first(axes.size() - 1)) lines *= static_cast<double>(extents[a]);
  const double step = std::max(1.0, lines / kMost);
  double within = 0, all = 0;
  std::vector<int64_t> at(extents.size(), 0);
  for (double p = 0; p < lines; p += step, ++all) {
    double rest = std::floor(p);
    for (const size_t a : axes.first(axes.size() - 1)) {
      const auto extent = static_cast<double>(extents[a]), whole = std::floor(rest / extent);
      at[a] = static_cast<int64_t>(rest - whole * extent);
      rest = whole;
    }
    Stretch left{0, extents[last]};
    for (const auto& [c, e] : terms)
      left.bound(c, e.evaluate([&](int v) { return at[static_cast<size_t>(v)]; },
                               [](const std::string&) -> int64_t { return 0; }));
    within += static_cast<double>(left.length());
  }
  return all > 0 && extents[last] > 0 ? within / (all * static_cast<double>(extents[last])) : 1;
}

}  // namespace

double share_within(std::span<const Index> conditions, std::span<const int64_t> extents) {
  // Conditions that share no axis hold independently of each other: few points each.
  std::vector<std::vector<Index>> groups;
  const auto meet = [&](const Index& a, const Index& b) {
    for (size_t v = 0; v < extents.size(); ++v)
      if (a.uses_var(static_cast<int>(v)) && b.uses_var(static_cast<int>(v))) return true;
    return false;
  };
  for (const Index& c : conditions) {
    std::vector<Index> joined{c};
    std::erase_if(groups, [&](const std::vector<Index>& g) {
      const bool joins = std::any_of(g.begin(), g.end(), [&](const Index& e) { return meet(e, c); });
      if (joins) joined.insert(joined.end(), g.begin(), g.end());
      return joins;
    });
    groups.push_back(std::move(joined));
  }
  double share = 1;
  for (const std::vector<Index>& g : groups) {
    std::vector<size_t> axes;
    for (size_t a = 0; a < extents.size(); ++a)
      if (std::any_of(g.begin(), g.end(), [&](const Index& e) { return e.uses_var(static_cast<int>(a)); }))
        axes.push_back(a);
    share *= share_of_points(g, axes, extents);
  }
  return share;
}

}  // namespace gradc
