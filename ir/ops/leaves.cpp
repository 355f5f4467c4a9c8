// Leaves: parameters, constants, positions, dimensions, random bits; and the barrier to differentiation.
#include "ir/ops/rows.h"

namespace gradc::graph {
namespace {

Type typed(const NodeView& v) { return {v.attrs.dtype("dtype"), v.attrs.shape("shape")}; }

OpDef leaf(std::string_view name, std::string_view doc, std::vector<std::string_view> attributes) {
  OpDef r;
  r.name = name;
  r.doc = doc;
  r.attributes = std::move(attributes);
  r.differentiable = Differentiable::Zero;
  return r;
}

Meaning filled(const Type& t, ScalarBody body) {
  Meaning m;
  m.axes = t.shape;
  m.outputs = t.rank();
  m.body = std::move(body);
  return m;
}

OpDef constant() {
  OpDef r = leaf("constant", "one value everywhere", {"value!", "dtype!", "shape!"});
  r.infer = [](const NodeView& v) { return std::vector<Type>{typed(v)}; };
  r.meaning = [](const NodeView& v, const Type& t) {
    ScalarNode c = const_node(t.dtype, v.attrs.number("value"));
    if (const int64_t* i = std::get_if<int64_t>(v.attrs.find("value")); i && !is_float(t.dtype))
      c.value.i = *i;
    return filled(t, {c});
  };
  return r;
}

OpDef iota() {
  OpDef r = leaf("iota", "the position along an axis", {"axis!", "dtype!", "shape!"});
  r.infer = [](const NodeView& v) {
    const Type t = typed(v);
    const int64_t axis = v.attrs.integer("axis");
    if (axis < 0 || axis >= t.rank()) refuse("iota along axis {} of {}", axis, t.str());
    return std::vector<Type>{t};
  };
  r.meaning = [](const NodeView& v, const Type& t) {
    return filled(t, {axis_node(static_cast<int>(v.attrs.integer("axis")), t.dtype)});
  };
  return r;
}

OpDef dim() {
  OpDef r = leaf("dim", "the run-time value of a dimension", {"value!", "dtype!"});
  r.infer = [](const NodeView& v) { return std::vector<Type>{{v.attrs.dtype("dtype"), {}}}; };
  r.meaning = [](const NodeView& v, const Type& t) {
    Meaning m = filled(t, {axis_node(0, t.dtype)});
    m.values = {v.attrs.shape("value")[0]};
    return m;
  };
  return r;
}

OpDef rng_bits() {
  OpDef r = leaf("rng_bits", "random i64 bits: element n is what the key gives for counter n", {"shape!"});
  r.min_operands = r.max_operands = 1;
  r.infer = [](const NodeView& v) {
    if (v.operands[0] != Type{DType::I64, {}})
      refuse("rng_bits takes an i64[] key, not {}", v.operands[0].str());
    return std::vector<Type>{{DType::I64, v.attrs.shape("shape")}};
  };
  r.meaning = [](const NodeView&, const Type& t) {
    Meaning m = filled(t, {read_node(0, DType::I64), axis_node(t.rank()),
                           op_node(ScalarOp::RngBits, DType::I64, {0, 1, -1})});
    m.reads = {{0, {}, {}, 0}};
    Index linear;
    for (int a = 0; a < t.rank(); ++a) linear = linear * t.shape[a] + Index::var(a);
    m.values = {linear};
    return m;
  };
  return r;
}

OpDef stop_gradient() {
  OpDef r = leaf("stop_gradient", "the value, through which no gradient passes", {});
  r.min_operands = r.max_operands = 1;
  r.infer = [](const NodeView& v) { return std::vector<Type>{v.operands[0]}; };
  r.meaning = [](const NodeView& v, const Type& t) {
    return moves(t, v.operands[0].dtype, identity(t.shape.size()));
  };
  return r;
}

}  // namespace

std::vector<OpDef> leaf_ops() {
  OpDef parameter = leaf("parameter", "an argument of the function", {});
  parameter.form = Form::Parameter;
  parameter.infer = [](const NodeView&) -> std::vector<Type> {
    refuse("a parameter is declared, not inferred");
  };
  return {parameter, constant(), iota(), dim(), rng_bits(), stop_gradient()};
}

}  // namespace gradc::graph
