#include "ir/interp/argsort.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "support/check.h"

namespace gradc::interp {
namespace {

template <class T>
bool less(T a, T b) {
  return a < b || (b != b && a == a);
}

template <class T>
void sort_rows(const graph::OrderSpec& o, const Tensor& x, Tensor& out) {
  const int64_t n = x.shape()[o.axis];
  int64_t width = 1;
  for (size_t a = o.axis + 1; a < x.shape().size(); ++a) width *= x.shape()[a];
  std::vector<int32_t> order(static_cast<size_t>(n));
  for (int64_t row = 0; row < x.count() / n; ++row) {
    const int64_t first = row / width * n * width + row % width;
    const auto key = [&](int32_t i) { return x.as<T>()[first + i * width]; };
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
      return o.descending ? less(key(b), key(a)) : less(key(a), key(b));
    });
    for (int64_t i = 0; i < n; ++i) out.as<int32_t>()[first + i * width] = order[static_cast<size_t>(i)];
  }
}

}  // namespace

Tensor argsort(const graph::OrderSpec& o, const Tensor& x) {
  Tensor out(DType::I32, x.shape());
  if (x.count() == 0) return out;
  switch (x.dtype()) {
    case DType::F32:
      sort_rows<float>(o, x, out);
      break;
    case DType::F64:
      sort_rows<double>(o, x, out);
      break;
    case DType::I32:
      sort_rows<int32_t>(o, x, out);
      break;
    case DType::I64:
      sort_rows<int64_t>(o, x, out);
      break;
    case DType::U8:
      sort_rows<uint8_t>(o, x, out);
      break;
    case DType::Bool:
      GRADC_CHECK(false, "no order of bool");
  }
  return out;
}

}  // namespace gradc::interp
