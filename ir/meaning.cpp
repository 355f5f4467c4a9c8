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

double share_within(std::span<const Index> conditions, std::span<const int64_t> extents) {
  constexpr double kMost = 1 << 16;
  std::vector<size_t> axes;
  double points = 1;
  for (size_t a = 0; a < extents.size(); ++a)
    if (std::any_of(conditions.begin(), conditions.end(),
                    [&](const Index& e) { return e.uses_var(static_cast<int>(a)); })) {
      axes.push_back(a);
      points *= static_cast<double>(extents[a]);
    }
  const double step = std::max(1.0, points / kMost);
  double within = 0, all = 0;
  std::vector<int64_t> at(extents.size(), 0);
  for (double p = 0; p < points; p += step, ++all) {
    double rest = std::floor(p);
    for (const size_t a : axes) {
      at[a] = static_cast<int64_t>(std::fmod(rest, static_cast<double>(extents[a])));
      rest = std::floor(rest / static_cast<double>(extents[a]));
    }
    within += std::all_of(conditions.begin(), conditions.end(), [&](const Index& e) {
      return e.evaluate([&](int v) { return at[static_cast<size_t>(v)]; },
                        [](const std::string&) -> int64_t { return 0; }) >= 0;
    });
  }
  return all > 0 ? within / all : 1;
}

}  // namespace gradc
