// Elementwise ops: one row for each scalar operation, with its gradient; those of the elementary functions
// stand in ir/math/functions.h. Operands have one shape; broadcasting is explicit. Values at kinks are those
// that tests/ir/dual_test.cpp pins.
#include <cmath>
#include <map>

#include "ir/ops/rows.h"

namespace gradc::graph {
namespace {

std::vector<Type> infer_elementwise(ScalarOp op, const NodeView& v) {
  std::vector<DType> types;
  for (const Type& t : v.operands) {
    types.push_back(t.dtype);
    if (t.shape != v.operands[0].shape)
      refuse("{} needs operands of one shape: {} against {}", def_of(op).name, v.operands[0].str(), t.str());
  }
  const std::optional<DType> r = infer_scalar(op, types);
  if (!r) {
    std::string list;
    for (const Type& t : v.operands) list += (list.empty() ? "" : ", ") + t.str();
    refuse("{} is not defined for {}", def_of(op).name, list);
  }
  return {{*r, v.operands[0].shape}};
}

Meaning elementwise_meaning(ScalarOp op, const NodeView& v, const Type& result) {
  Meaning m;
  m.axes = result.shape;
  m.outputs = result.rank();
  std::array<int, 3> args{-1, -1, -1};
  for (size_t i = 0; i < v.operands.size(); ++i) {
    m.reads.push_back({static_cast<int>(i), identity(result.shape.size()), {}, 0});
    m.body.push_back(read_node(static_cast<int>(i), v.operands[i].dtype));
    args[i] = static_cast<int>(i);
  }
  m.body.push_back(op_node(op, result.dtype, args));
  return m;
}

// The rows share two functions of the operation; function pointers take it as a template argument.
template <ScalarOp Op>
OpDef row(GradientRule gradient, Differentiable kind) {
  const ScalarOpDef& d = def_of(Op);
  OpDef r;
  r.name = d.name;
  r.doc = d.doc;
  r.min_operands = r.max_operands = d.arity;
  r.infer = [](const NodeView& v) { return infer_elementwise(Op, v); };
  r.meaning = [](const NodeView& v, const Type& t) { return elementwise_meaning(Op, v, t); };
  r.differentiable = kind;
  r.gradient = gradient;
  r.scalar = Op;
  r.elementwise = true;
  return r;
}
template <ScalarOp Op>
OpDef smooth(GradientRule g) {
  return row<Op>(g, Differentiable::Rule);
}
template <ScalarOp Op>
OpDef flat() {
  return row<Op>(nullptr, Differentiable::Zero);
}

using V = const GradientView&;
NodeId x(V v) { return v.operands[0]; }
NodeId y2(V v) { return v.operands[1]; }

NodeId positive(Builder& b, NodeId n) { return b.compare("gt", n, b.zeros_like(n)); }

// max and min split a tie evenly.
Cotangents extremum(Builder& b, V v, std::string_view better) {
  const NodeId tie = b.compare("eq", x(v), y2(v)), first = b.compare(better, x(v), y2(v));
  const NodeId half = b.mul(v.g(), 0.5), zero = b.zeros_like(v.g());
  return {b.select(tie, half, b.select(first, v.g(), zero)),
          b.select(tie, half, b.select(first, zero, v.g()))};
}

// a: g * b * a^(b-1), 0 where b is 0; b: g * y * log a, 0 where a <= 0.
Cotangents pow_gradient(Builder& b, V v) {
  const NodeId a = x(v), e = y2(v), zero = b.zeros_like(a);
  const NodeId slope = b.mul(e, b.make("pow", {a, b.add(e, -1.0)}));
  const NodeId da = b.select(b.compare("eq", e, zero), zero, slope);
  const NodeId safe = b.select(positive(b, a), a, b.full_like(a, 1));
  const NodeId db = b.select(positive(b, a), b.mul(v.node, b.unary("log", safe)), zero);
  return {b.mul(v.g(), da), b.mul(v.g(), db)};
}

Cotangents rem_gradient(Builder& b, V v) {
  const NodeId q = b.div(x(v), y2(v));
  const NodeId towards_zero = b.select(positive(b, q), b.unary("floor", q), b.unary("ceil", q));
  return {v.g(), b.neg(b.mul(v.g(), towards_zero))};
}

std::vector<OpDef> one_operand() {
  return {
      smooth<ScalarOp::Neg>([](Builder& b, V v) { return Cotangents{b.neg(v.g())}; }),
      smooth<ScalarOp::Abs>([](Builder& b, V v) { return Cotangents{b.mul(v.g(), b.unary("sign", x(v)))}; }),
      smooth<ScalarOp::Sqrt>([](Builder& b, V v) { return Cotangents{b.div(b.mul(v.g(), 0.5), v.node)}; }),
      flat<ScalarOp::Floor>(),
      flat<ScalarOp::Ceil>(),
      flat<ScalarOp::RoundEven>(),
      flat<ScalarOp::Sign>(),
      flat<ScalarOp::IsFinite>(),
      flat<ScalarOp::Not>(),
  };
}

std::vector<OpDef> more_operands() {
  return {
      smooth<ScalarOp::Add>([](Builder&, V v) {
        return Cotangents{v.g(), v.g()};
      }),
      smooth<ScalarOp::Sub>([](Builder& b, V v) {
        return Cotangents{v.g(), b.neg(v.g())};
      }),
      smooth<ScalarOp::Mul>([](Builder& b, V v) {
        return Cotangents{b.mul(v.g(), y2(v)), b.mul(v.g(), x(v))};
      }),
      smooth<ScalarOp::Div>([](Builder& b, V v) {
        return Cotangents{b.div(v.g(), y2(v)), b.neg(b.div(b.mul(v.g(), v.node), y2(v)))};
      }),
      smooth<ScalarOp::Max>([](Builder& b, V v) { return extremum(b, v, "gt"); }),
      smooth<ScalarOp::Min>([](Builder& b, V v) { return extremum(b, v, "lt"); }),
      flat<ScalarOp::And>(),
      flat<ScalarOp::Or>(),
      flat<ScalarOp::Xor>(),
      flat<ScalarOp::ShiftLeft>(),
      flat<ScalarOp::ShiftRight>(),
      flat<ScalarOp::Eq>(),
      flat<ScalarOp::Ne>(),
      flat<ScalarOp::Lt>(),
      flat<ScalarOp::Le>(),
      flat<ScalarOp::Gt>(),
      flat<ScalarOp::Ge>(),
      flat<ScalarOp::RngBits>(),
      smooth<ScalarOp::Fma>([](Builder& b, V v) {
        return Cotangents{b.mul(v.g(), y2(v)), b.mul(v.g(), x(v)), v.g()};
      }),
      smooth<ScalarOp::Select>([](Builder& b, V v) {
        const NodeId zero = b.zeros_like(v.g());
        return Cotangents{kNone, b.select(x(v), v.g(), zero), b.select(x(v), zero, v.g())};
      }),
  };
}

// The rows of ir/math/functions.h.
std::vector<OpDef> elementary_functions() {
  return {
#define GRADC_ROW(Op, name, arity, rule, doc, ...)                          \
  smooth<ScalarOp::Op>([]([[maybe_unused]] Builder& b, V v) -> Cotangents { \
    [[maybe_unused]] const NodeId g = v.g(), y = v.node, x = v.operands[0]; \
    return __VA_ARGS__;                                                     \
  }),
      GRADC_ELEMENTARY_FUNCTIONS(GRADC_ROW)
#undef GRADC_ROW
  };
}

// --- casts: the target type is an attribute
// ------------------------------------------------------------------

template <ScalarOp Op>
Meaning cast_meaning(const NodeView& v, const Type& t) {
  return elementwise_meaning(Op, v, t);
}

OpDef cast(ScalarOp op, std::vector<Type> (*infer)(const NodeView&),
           Meaning (*meaning)(const NodeView&, const Type&)) {
  OpDef r;
  r.name = def_of(op).name;
  r.doc = def_of(op).doc;
  r.min_operands = r.max_operands = 1;
  r.attributes = {"dtype!"};
  r.infer = infer;
  r.meaning = meaning;
  r.scalar = op;
  r.elementwise = true;
  r.differentiable = Differentiable::Zero;
  return r;
}

std::vector<OpDef> casts() {
  OpDef convert = cast(
      ScalarOp::Convert,
      [](const NodeView& v) {
        return std::vector<Type>{{v.attrs.dtype("dtype"), v.operands[0].shape}};
      },
      cast_meaning<ScalarOp::Convert>);
  convert.differentiable = Differentiable::Rule;
  convert.gradient = [](Builder& b, V v) {
    if (!is_float(b.dtype(x(v)))) return Cotangents{kNone};
    return Cotangents{b.convert(v.g(), b.dtype(x(v)))};
  };
  OpDef bitcast = cast(
      ScalarOp::Bitcast,
      [](const NodeView& v) {
        const DType t = v.attrs.dtype("dtype");
        if (size_of(t) != size_of(v.operands[0].dtype))
          refuse("bitcast of {} to {} changes the size", v.operands[0].str(), name_of(t));
        return std::vector<Type>{{t, v.operands[0].shape}};
      },
      cast_meaning<ScalarOp::Bitcast>);
  OpDef uniform = cast(
      ScalarOp::Uniform,
      [](const NodeView& v) {
        const DType t = v.attrs.dtype("dtype");
        if (v.operands[0].dtype != DType::I64 || !is_float(t))
          refuse("uniform makes floats of i64 bits, not {} of {}", name_of(t), v.operands[0].str());
        return std::vector<Type>{{t, v.operands[0].shape}};
      },
      cast_meaning<ScalarOp::Uniform>);
  return {convert, bitcast, uniform};
}

// --- composites that have a derivative of their own
// -----------------------------------------------------------

// log(1 + exp(x)) as max(x, 0) + log1p(exp(-|x|)), whose parts have a kink at 0 that the whole has not.
OpDef softplus() {
  OpDef r;
  r.name = "softplus";
  r.doc = "log(1 + exp(x)), without overflow";
  r.min_operands = r.max_operands = 1;
  r.infer = [](const NodeView& v) {
    if (!is_float(v.operands[0].dtype)) refuse("softplus is not defined for {}", v.operands[0].str());
    return std::vector<Type>{v.operands[0]};
  };
  r.meaning = [](const NodeView&, const Type& t) {
    Meaning m;
    m.axes = t.shape;
    m.outputs = t.rank();
    m.reads = {{0, identity(t.shape.size()), {}, 0}};
    const DType d = t.dtype;
    m.body = {read_node(0, d),
              const_node(d, 0),
              op_node(ScalarOp::Max, d, {0, 1, -1}),
              op_node(ScalarOp::Abs, d, {0, -1, -1}),
              op_node(ScalarOp::Neg, d, {3, -1, -1}),
              op_node(ScalarOp::Exp, d, {4, -1, -1}),
              op_node(ScalarOp::Log1p, d, {5, -1, -1}),
              op_node(ScalarOp::Add, d, {2, 6, -1})};
    return m;
  };
  r.differentiable = Differentiable::Rule;
  r.elementwise = true;
  r.gradient = [](Builder& b, V v) { return Cotangents{b.mul(v.g(), b.unary("sigmoid", x(v)))}; };
  return r;
}

}  // namespace

std::vector<OpDef> elementwise_ops() {
  std::vector<OpDef> rows = one_operand();
  for (auto list : {more_operands(), elementary_functions(), casts(), std::vector<OpDef>{softplus()}})
    rows.insert(rows.end(), list.begin(), list.end());
  return rows;
}

}  // namespace gradc::graph
