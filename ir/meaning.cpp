#include "ir/meaning.h"

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

}  // namespace gradc
