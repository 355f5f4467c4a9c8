#pragma once

#include "ir/ops/order_spec.h"
#include "ir/tensor.h"

namespace gradc::interp {

Tensor argsort(const graph::OrderSpec& o, const Tensor& x);

}  // namespace gradc::interp
