// The elementary functions, a row each. A row and an algorithm of the row's name in ir/math/elementary.h are
// all that a function is made of: the enumerator, its name in texts, the op with its gradient, the
// interpreter's and the code generator's dispatch are this list read column by column.
//
// ROW(enumerator, name, operands, type rule, what it is, cotangents of the operands)
//
// Cotangents are what `return` takes in a gradient rule (ir/ops/elementwise.cpp): g is the cotangent of the
// result, x the first operand, y the result, b the builder, v the whole view. Only that file reads this
// column.
#pragma once

#define GRADC_ELEMENTARY_FUNCTIONS(ROW)                                                              \
  ROW(Exp, exp, 1, Float, "e to the x", {b.mul(g, y)})                                               \
  ROW(Expm1, expm1, 1, Float, "e to the x, minus 1", {b.mul(g, b.unary("exp", x))})                  \
  ROW(Log, log, 1, Float, "natural logarithm", {b.div(g, x)})                                        \
  ROW(Log1p, log1p, 1, Float, "natural logarithm of 1 + x", {b.div(g, b.add(x, 1.0))})               \
  ROW(Rsqrt, rsqrt, 1, Float, "1 / sqrt(x)", {b.mul(b.mul(g, -0.5), b.mul(y, b.mul(y, y)))})         \
  ROW(Sin, sin, 1, Float, "sine", {b.mul(g, b.unary("cos", x))})                                     \
  ROW(Cos, cos, 1, Float, "cosine", {b.neg(b.mul(g, b.unary("sin", x)))})                            \
  ROW(Atan, atan, 1, Float, "inverse tangent", {b.div(g, b.add(b.mul(x, x), 1.0))})                  \
  ROW(Tanh, tanh, 1, Float, "hyperbolic tangent", {b.mul(g, b.sub(b.full_like(y, 1), b.mul(y, y)))}) \
  ROW(Sigmoid, sigmoid, 1, Float, "1 / (1 + e to the -x)",                                           \
      {b.mul(g, b.mul(y, b.sub(b.full_like(y, 1), y)))})                                             \
  ROW(Erf, erf, 1, Float, "error function",                                                          \
      {b.mul(g, b.mul(b.unary("exp", b.neg(b.mul(x, x))), 2 / std::sqrt(M_PI)))})                    \
  ROW(Pow, pow, 2, Float, "a to the b", pow_gradient(b, v))                                          \
  ROW(Rem, rem, 2, Number, "a - b * trunc(a / b), exact as C's fmod; 0 for an integer b of 0",       \
      rem_gradient(b, v))
