#include "passes/extend/mark.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "ir/interp/interpret.h"

namespace gradc::passes {
namespace {

bool is_zero(const Mark& m) { return m.is_constant() && m.value.f == 0 && m.value.i == 0; }
bool is_infinite(const Mark& m) { return m.is_constant() && std::isinf(m.value.f); }

// Give NaN for NaN, and results for zeros of either sign that differ in no more than that.
bool keeps_inexact(ScalarOp op) {
  using enum ScalarOp;
  for (const ScalarOp o :
       {Neg, Abs, Add, Sub, Mul, Max, Min, Fma, Exp, Expm1, Sin, Cos, Atan, Tanh, Sigmoid, Erf})
    if (op == o) return true;
  return false;
}

class Evaluator {
 public:
  Evaluator(const ScalarBody& body, std::span<const Mark> reads, bool fma)
      : body_(body), reads_(reads), fma_(fma) {}

  Mark run() {
    for (const ScalarNode& n : body_) marks_.push_back(node(n));
    return marks_.back();
  }

 private:
  const Mark& arg(const ScalarNode& n, int i) const { return marks_[static_cast<size_t>(n.args[i])]; }

  bool widens(const ScalarNode& n) const {
    return n.op == ScalarOp::Convert && is_float(n.dtype) &&
           is_float(body_[static_cast<size_t>(n.args[0])].dtype);
  }

  Mark node(const ScalarNode& n) const {
    switch (n.op) {
      case ScalarOp::Const:
        return Mark::constant(n.value);
      case ScalarOp::Axis:
        return {};
      case ScalarOp::Read:
        return reads_[static_cast<size_t>(n.index)];
      case ScalarOp::Select:
        if (arg(n, 0).is_constant() && arg(n, 0).exact) return arg(n, 0).value.i != 0 ? arg(n, 1) : arg(n, 2);
        break;
      default:
        break;
    }
    const int arity = def_of(n.op).arity;
    bool constant = true, exact = true, stale = false;
    for (int i = 0; i < arity; ++i) {
      constant &= arg(n, i).is_constant(), exact &= arg(n, i).exact, stale |= arg(n, i).is_stale();
    }
    if (constant && (exact || keeps_inexact(n.op) || widens(n))) return Mark::constant(value(n), exact);
    if (is_float(n.dtype))
      if (const auto m = absorbed(n)) return *m;
    return stale ? Mark::stale() : Mark{};
  }

  // Where one operand says what comes out. The others are finite or, if settled, make a NaN that is settled.
  std::optional<Mark> absorbed(const ScalarNode& n) const {
    const auto zero = Mark::constant({}, false);
    switch (n.op) {
      case ScalarOp::Mul:
        if (is_zero(arg(n, 0)) || is_zero(arg(n, 1))) return zero;
        break;
      case ScalarOp::Div:
        if (is_zero(arg(n, 0)) && arg(n, 1).kind == Mark::Kind::Settled) return zero;
        break;
      case ScalarOp::Fma:
        if (is_zero(arg(n, 0)) || is_zero(arg(n, 1))) return arg(n, 2).among_settled();
        break;
      case ScalarOp::Add:
        if (is_infinite(arg(n, 0))) return Mark::constant(arg(n, 0).value, false);
        [[fallthrough]];
      case ScalarOp::Sub:
        if (is_infinite(arg(n, 0))) return Mark::constant(arg(n, 0).value, false);
        if (is_infinite(arg(n, 1)))
          return Mark::constant({n.op == ScalarOp::Sub ? -arg(n, 1).value.f : arg(n, 1).value.f, 0}, false);
        break;
      default:
        break;
    }
    return std::nullopt;
  }

  Literal value(const ScalarNode& n) const {
    Meaning m;
    ScalarNode op = n;
    for (int i = 0; i < def_of(n.op).arity; ++i) {
      ScalarNode c;
      c.dtype = body_[static_cast<size_t>(n.args[i])].dtype, c.value = arg(n, i).value;
      m.body.push_back(c);
      op.args[static_cast<size_t>(i)] = i;
    }
    m.body.push_back(op);
    const Tensor t = evaluate_meaning(m, n.dtype, {}, fma_, {});
    if (is_float(n.dtype)) return {t.at(0), 0};
    return {0, n.dtype == DType::I64 ? t.as<int64_t>()[0] : static_cast<int64_t>(t.at(0))};
  }

  const ScalarBody& body_;
  std::span<const Mark> reads_;
  bool fma_;
  std::vector<Mark> marks_;
};

}  // namespace

Mark mark_of(const ScalarBody& body, std::span<const Mark> reads, bool fma) {
  return Evaluator(body, reads, fma).run();
}

}  // namespace gradc::passes
