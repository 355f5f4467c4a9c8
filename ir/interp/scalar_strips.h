// The one implementation of scalar operations for interpreters: one dispatch evaluates an operation over a
// strip of elements. The graph and the kernel interpreter both run on it; code generation must give the same
// bits.
#pragma once

#include "ir/scalar.h"

namespace gradc::interp {

inline constexpr int kStrip = 1024;

// out[i] = op(a[i], b[i], c[i]) for i < n, any n. `result` is the element type of `out`; `operand` that of
// the operands (of b and c for Select, whose a is bool; of a for casts, compares and predicates). `out` may
// be one of the operands if its elements have the same size. Leaves (Const, Axis, Read) are not evaluated
// here. `fma` false: fma(a, b, c) and multiply-adds within elementary functions round twice.
//
// What the table in ir/scalar.h leaves open: sign(x) is x itself for zeros and NaN; convert truncates towards
// zero, wraps between integers and gives x != 0 (so true for NaN) for bool; a float's NaN is canonicalised
// before bitcast (sign clear, top fraction bit); uniform takes the top 24 (f32) or 53 (f64) bits; shifts of bool have width 1.
void eval_strip(ScalarOp op, DType result, DType operand, const void* a, const void* b, const void* c,
                void* out, int n, bool fma);

// The constant `value` n times.
void fill_strip(DType t, const Literal& value, void* out, int n);

// acc = op(acc, x[i]) for ascending i; op joins two values of one type (Add, Mul, Max, Min, And, Or).
void fold_strip(ScalarOp op, DType t, void* acc, const void* x, int n);
// acc = fma(a[i], b[i], acc) for ascending i.
void fold_fma_strip(DType t, void* acc, const void* a, const void* b, int n, bool fma);

}  // namespace gradc::interp
