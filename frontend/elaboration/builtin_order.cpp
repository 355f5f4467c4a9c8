// Running sums and products along an axis.
#include "frontend/elaboration/builtin_args.h"

namespace gradc::frontend {

// Integers are added up in i64, as `sum` does; what is no number is counted.
Value running(Args& a, const char* op) {
  Value x = a.tensor("x");
  const Shape from = a.e.shape(x);
  const int64_t axis = a.axis(static_cast<int64_t>(from.size()));
  if (a.e.deferring && x.is(Value::Kind::Tensor) && a.e.has_batch({from[static_cast<size_t>(axis)]}))
    a.e.fail(a.loc, fmt::format("a metric reduces over the batch by sum, mean or count, not {}", a.function));
  const DType t = a.e.dtype(x);
  if (t == DType::Bool || (is_integer(t) && a.function == "cumsum")) x = a.e.convert(x, DType::I64, a.loc);
  graph::Attrs attrs{{"axis", axis}};
  for (const char* flag : {"reverse", "exclusive"})
    if (a.flag(flag)) attrs = attrs.with(flag, true);
  return a.wrap(a.e.of(x).make(op, {x.node}, attrs), x);
}

}  // namespace gradc::frontend
