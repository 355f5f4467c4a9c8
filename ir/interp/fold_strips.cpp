// Strips folded into one number, in ascending order.
#include <cmath>

#include "ir/interp/scalar_strips.h"
#include "ir/interp/strip_loops.h"
#include "support/check.h"

namespace gradc::interp {

using enum ScalarOp;

namespace {

template <class T, class F>
inline void fold(void* acc, const void* x, int n, F f) {
  T v = *static_cast<T*>(acc);
  const T* from = static_cast<const T*>(x);
  for (int i = 0; i < n; ++i) v = f(v, from[i]);
  *static_cast<T*>(acc) = v;
}

template <class T>
void fold_integers(ScalarOp op, void* acc, const void* x, int n) {
  using U = std::make_unsigned_t<T>;
  switch (op) {
    case Add:
      fold<T>(acc, x, n, [](T a, T b) { return static_cast<T>(static_cast<U>(a) + static_cast<U>(b)); });
      return;
    case Mul:
      fold<T>(acc, x, n,
              [](T a, T b) { return static_cast<T>(U(1) * static_cast<U>(a) * static_cast<U>(b)); });
      return;
    case Max:
      fold<T>(acc, x, n, [](T a, T b) { return a > b ? a : b; });
      return;
    case Min:
      fold<T>(acc, x, n, [](T a, T b) { return a < b ? a : b; });
      return;
    case And:
      fold<T>(acc, x, n, [](T a, T b) { return static_cast<T>(a & b); });
      return;
    case Or:
      fold<T>(acc, x, n, [](T a, T b) { return static_cast<T>(a | b); });
      return;
    default:
      GRADC_CHECK(false, "{} joins no values", def_of(op).name);
  }
}

template <class T>
void fold_floats(ScalarOp op, void* acc, const void* x, int n) {
  switch (op) {
    case Add:
      fold<T>(acc, x, n, [](T a, T b) { return a + b; });
      return;
    case Mul:
      fold<T>(acc, x, n, [](T a, T b) { return a * b; });
      return;
    case Max:
      fold<T>(acc, x, n, maximum<T>);
      return;
    case Min:
      fold<T>(acc, x, n, minimum<T>);
      return;
    default:
      GRADC_CHECK(false, "{} joins no values", def_of(op).name);
  }
}

template <class T>
GRADC_CLONES void fold_products(void* acc, const void* a, const void* b, int n, bool fma) {
  T v = *static_cast<T*>(acc);
  const T *x = static_cast<const T*>(a), *y = static_cast<const T*>(b);
  if (fma)
    for (int i = 0; i < n; ++i) v = std::fma(x[i], y[i], v);
  else
    for (int i = 0; i < n; ++i) v = x[i] * y[i] + v;
  *static_cast<T*>(acc) = v;
}

}  // namespace

void fold_strip(ScalarOp op, DType t, void* acc, const void* x, int n) {
  switch (t) {
    case DType::Bool:
    case DType::U8:
      fold_integers<uint8_t>(op, acc, x, n);
      return;
    case DType::I32:
      fold_integers<int32_t>(op, acc, x, n);
      return;
    case DType::I64:
      fold_integers<int64_t>(op, acc, x, n);
      return;
    case DType::F32:
      fold_floats<float>(op, acc, x, n);
      return;
    case DType::F64:
      fold_floats<double>(op, acc, x, n);
      return;
  }
}

void fold_fma_strip(DType t, void* acc, const void* a, const void* b, int n, bool fma) {
  if (t == DType::F32)
    fold_products<float>(acc, a, b, n, fma);
  else
    fold_products<double>(acc, a, b, n, fma);
}

}  // namespace gradc::interp
