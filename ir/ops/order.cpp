// Order along an axis. Sorted values are elements at sorted positions, and so is their gradient: `argsort` is
// the only op, the front end writes the rest with gather.
#include "ir/ops/order_spec.h"
#include "ir/ops/rows.h"

namespace gradc::graph {

std::vector<OpDef> order_ops() {
  OpDef r;
  r.name = "argsort";
  r.form = Form::Order;
  r.doc =
      "positions (i32) along an axis in the order of the elements, equals as they stood; NaN is larger than "
      "all";
  r.attributes = {"axis!", "descending"};
  r.min_operands = r.max_operands = 1;
  r.infer = [](const NodeView& v) {
    const Type& x = v.operands[0];
    const int64_t axis = v.attrs.integer("axis");
    if (axis < 0 || axis >= x.rank()) refuse("no axis {} in {} to sort along", axis, x.str());
    if (x.dtype == DType::Bool) refuse("no order of {}", x.str());
    if (const Dim& n = x.shape[static_cast<size_t>(axis)];
        n.is_constant() && n.constant_part() > int64_t{INT32_MAX})
      refuse("argsort of {}: positions are i32", x.str());
    return std::vector<Type>{{DType::I32, x.shape}};
  };
  r.differentiable = Differentiable::Zero;
  return {r};
}

}  // namespace gradc::graph
