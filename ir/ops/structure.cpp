// Structure: ops that move elements. Each meaning is one or more reads through index maps; gradients move the
// cotangent back.
#include <algorithm>
#include <numeric>

#include "ir/ops/rows.h"

namespace gradc::graph {
namespace {

using V = const GradientView&;

// The extent of a dimension as far as it is known; -1 for a symbolic one.
bool differ(const Dim& a, const Dim& b) { return !(a == b); }

OpDef broadcast() {
  OpDef r = one_operand("broadcast", "repeats along new axes: operand axis n becomes result axis dims[n]",
                        {"dims!", "shape!"});
  r.infer = [](const NodeView& v) {
    const Shape& shape = v.attrs.shape("shape");
    const std::vector<int64_t> dims = v.attrs.integers("dims");
    const Type& x = v.operands[0];
    if (dims.size() != x.shape.size()) refuse("broadcast of {} names {} axes", x.str(), dims.size());
    for (size_t i = 0; i < dims.size(); ++i) {
      if (dims[i] < 0 || dims[i] >= static_cast<int64_t>(shape.size()) || (i && dims[i] <= dims[i - 1]))
        refuse("broadcast of {} to {} needs ascending axes", x.str(), str(shape));
      if (differ(shape[dims[i]], x.shape[i]) && !x.shape[i].is(1))
        refuse("broadcast of {} to {}: axis {} is {} against {}", x.str(), str(shape), i, x.shape[i].str(),
               shape[dims[i]].str());
    }
    return std::vector<Type>{{x.dtype, shape}};
  };
  r.meaning = [](const NodeView& v, const Type& t) {
    std::vector<Index> at;
    const std::vector<int64_t> dims = v.attrs.integers("dims");
    for (size_t i = 0; i < dims.size(); ++i)
      at.push_back(differ(v.operands[0].shape[i], t.shape[dims[i]]) ? Index(0)
                                                                    : Index::var(static_cast<int>(dims[i])));
    return moves(t, v.operands[0].dtype, at);
  };
  r.gradient = [](Builder& b, V v) {
    const NodeId x = v.operands[0];
    const Shape& to = b.shape(v.node);
    const std::vector<int64_t> dims = b[v.node].attrs.integers("dims");
    std::vector<int64_t> summed;
    for (int64_t a = 0; a < static_cast<int64_t>(to.size()); ++a) {
      const auto it = std::find(dims.begin(), dims.end(), a);
      if (it == dims.end() || differ(b.shape(x)[it - dims.begin()], to[a])) summed.push_back(a);
    }
    const std::string_view sum = b.dtype(v.g()) == DType::Bool ? "reduce_or" : "reduce_sum";
    return Cotangents{b.reshape(b.reduce(sum, v.g(), summed), b.shape(x))};
  };
  r.moves_masks = true;
  return r;
}

// Row-major position of an element, and back.
Index linear(const std::vector<Index>& at, const Shape& shape) {
  Index n;
  for (size_t i = 0; i < at.size(); ++i) n = n * shape[i] + at[i];
  return n;
}
std::vector<Index> delinear(Index n, const Shape& shape) {
  std::vector<Index> at(shape.size());
  for (size_t i = shape.size(); i-- > 0;) {
    if (shape[i].is(0)) return std::vector<Index>(shape.size(), Index(0));
    at[i] = i == 0 ? n : n.mod(shape[i]);
    n = n.floor_div(shape[i]);
  }
  return at;
}

OpDef reshape() {
  OpDef r = one_operand("reshape", "the same elements in row-major order under another shape", {"shape!"});
  r.infer = [](const NodeView& v) {
    const Shape& shape = v.attrs.shape("shape");
    const Dim from = element_count(v.operands[0].shape), to = element_count(shape);
    if (differ(from, to))
      refuse("reshape of {} ({} elements) to {} ({} elements)", v.operands[0].str(), from.str(), str(shape),
             to.str());
    return std::vector<Type>{{v.operands[0].dtype, shape}};
  };
  r.meaning = [](const NodeView& v, const Type& t) {
    auto extent = [&](int a) { return t.shape[a]; };
    std::vector<Index> at = delinear(linear(identity(t.shape.size()), t.shape), v.operands[0].shape);
    for (Index& e : at) e = simplify(e, extent);
    return moves(t, v.operands[0].dtype, at);
  };
  r.gradient = [](Builder& b, V v) { return Cotangents{b.reshape(v.g(), b.shape(v.operands[0]))}; };
  r.moves_masks = true;
  return r;
}

OpDef transpose() {
  OpDef r = one_operand("transpose", "permutes axes: result axis n is operand axis perm[n]", {"perm!"});
  r.infer = [](const NodeView& v) {
    const std::vector<int64_t> perm = v.attrs.integers("perm");
    const Type& x = v.operands[0];
    std::vector<int64_t> sorted = perm;
    std::sort(sorted.begin(), sorted.end());
    Shape shape;
    for (size_t i = 0; i < sorted.size(); ++i)
      if (sorted[i] != static_cast<int64_t>(i) || sorted.size() != x.shape.size())
        refuse("transpose of {} is no permutation", x.str());
    if (perm.size() != x.shape.size()) refuse("transpose of {} names {} axes", x.str(), perm.size());
    for (int64_t p : perm) shape.push_back(x.shape[p]);
    return std::vector<Type>{{x.dtype, shape}};
  };
  r.meaning = [](const NodeView& v, const Type& t) {
    const std::vector<int64_t> perm = v.attrs.integers("perm");
    std::vector<Index> at(perm.size());
    for (size_t i = 0; i < perm.size(); ++i) at[perm[i]] = Index::var(static_cast<int>(i));
    return moves(t, v.operands[0].dtype, at);
  };
  r.gradient = [](Builder& b, V v) {
    const std::vector<int64_t> perm = b[v.node].attrs.integers("perm");
    std::vector<int64_t> inverse(perm.size());
    for (size_t i = 0; i < perm.size(); ++i) inverse[perm[i]] = static_cast<int64_t>(i);
    return Cotangents{b.transpose(v.g(), inverse)};
  };
  r.moves_masks = true;
  return r;
}

OpDef reverse() {
  OpDef r = one_operand("reverse", "the order of elements reversed along axes", {"axes!"});
  r.infer = [](const NodeView& v) {
    const std::vector<int64_t> axes = v.attrs.integers("axes");
    for (size_t i = 0; i < axes.size(); ++i)
      if (axes[i] < 0 || axes[i] >= v.operands[0].rank() || (i && axes[i] <= axes[i - 1]))
        refuse("reverse of {} along axis {}: axes ascend and exist", v.operands[0].str(), axes[i]);
    return std::vector<Type>{v.operands[0]};
  };
  r.meaning = [](const NodeView& v, const Type& t) {
    std::vector<Index> at = identity(t.shape.size());
    for (int64_t a : v.attrs.integers("axes")) at[a] = t.shape[a] - 1 - at[a];
    return moves(t, v.operands[0].dtype, at);
  };
  r.gradient = [](Builder& b, V v) {
    return Cotangents{b.make("reverse", {v.g()}, {{"axes", b[v.node].attrs.shape("axes")}})};
  };
  r.moves_masks = true;
  return r;
}

OpDef slice() {
  OpDef r = one_operand("slice", "elements start, start + stride, ... below limit along each axis",
                        {"start!", "limit!", "stride!"});
  r.infer = [](const NodeView& v) {
    const Type& x = v.operands[0];
    const Shape &start = v.attrs.shape("start"), &limit = v.attrs.shape("limit");
    const std::vector<int64_t> stride = v.attrs.integers("stride");
    if (start.size() != x.shape.size() || limit.size() != start.size() || stride.size() != start.size())
      refuse("slice of {} needs a start, limit and stride for each axis", x.str());
    Shape shape;
    for (size_t i = 0; i < start.size(); ++i) {
      const Index n = limit[i] - start[i];
      if (stride[i] < 1 || (n.is_constant() && n.constant_part() < 0) || can_be_negative(start[i]) ||
          can_be_negative(x.shape[i] - limit[i]))
        refuse("slice {}:{}:{} is outside axis {} of {}{}", start[i].str(), limit[i].str(), stride[i], i,
               x.str(), x.shape[i].is_constant() ? "" : ", or can be: it must lie inside for every size");
      shape.push_back(n.ceil_div(stride[i]));
    }
    return std::vector<Type>{{x.dtype, shape}};
  };
  r.meaning = [](const NodeView& v, const Type& t) {
    const std::vector<int64_t> stride = v.attrs.integers("stride");
    std::vector<Index> at = identity(t.shape.size());
    for (size_t i = 0; i < at.size(); ++i) at[i] = v.attrs.shape("start")[i] + at[i] * stride[i];
    return moves(t, v.operands[0].dtype, at);
  };
  r.gradient = [](Builder& b, V v) {
    const Node& n = b[v.node];
    const Shape start = n.attrs.shape("start");
    const std::vector<int64_t> stride = n.attrs.integers("stride");
    Shape high, interior;
    for (size_t i = 0; i < start.size(); ++i) {
      // The padded extent of m elements at a stride is (m - 1) * stride + 1; an empty slice pads with all.
      const Dim m = b.shape(v.g())[i];
      const Dim spread = m.is(0) ? Dim(0) : (m - 1) * stride[i] + 1;
      high.push_back(b.shape(v.operands[0])[i] - start[i] - spread);
      interior.push_back(stride[i] - 1);
    }
    const Shape none(start.size(), Dim(0));
    if (start == none && high == none && interior == none) return Cotangents{v.g()};
    return Cotangents{
        b.make("pad", {v.g()}, {{"low", start}, {"high", high}, {"interior", interior}, {"value", 0.0}})};
  };
  r.moves_masks = true;
  return r;
}

Dim padded_extent(const Dim& n, const Dim& low, const Dim& high, int64_t interior) {
  return low + high + (n.is(0) || interior == 0 ? n : n + (n - 1) * interior);
}

OpDef pad() {
  OpDef r = one_operand("pad", "adds `value` before, after and between elements; negative amounts remove",
                        {"low!", "high!", "interior!", "value!"});
  r.infer = [](const NodeView& v) {
    const Type& x = v.operands[0];
    const Shape &low = v.attrs.shape("low"), &high = v.attrs.shape("high");
    const std::vector<int64_t> interior = v.attrs.integers("interior");
    if (low.size() != x.shape.size() || high.size() != low.size() || interior.size() != low.size())
      refuse("pad of {} needs amounts for each axis", x.str());
    Shape shape;
    for (size_t i = 0; i < low.size(); ++i) {
      if (interior[i] < 0) refuse("pad of {} has interior {}", x.str(), interior[i]);
      shape.push_back(padded_extent(x.shape[i], low[i], high[i], interior[i]));
      if (shape[i].is_constant() && shape[i].constant_part() < 0)
        refuse("pad of {} removes more than axis {} has", x.str(), i);
    }
    return std::vector<Type>{{x.dtype, shape}};
  };
  r.meaning = [](const NodeView& v, const Type& t) {
    const std::vector<int64_t> interior = v.attrs.integers("interior");
    std::vector<Index> at, guards;
    for (size_t i = 0; i < t.shape.size(); ++i) {
      const Index from = Index::var(static_cast<int>(i)) - v.attrs.shape("low")[i];
      const Index n = v.operands[0].shape[i];
      if (from == Index::var(static_cast<int>(i)) && t.shape[i] == n) {
        at.push_back(from);
        continue;
      }
      const int64_t step = interior[i] + 1;
      at.push_back(from.floor_div(step));
      guards.push_back(from);
      guards.push_back((n - 1) * step - from);
      if (step > 1) guards.push_back(Index(0) - from.mod(step));
    }
    return moves(t, v.operands[0].dtype, at, guards, v.attrs.number("value"));
  };
  r.gradient = [](Builder& b, V v) {
    // Elements that survive are a strided slice; removed ones get zero, by padding first with the negatives.
    const Node n = b[v.node];
    const Shape low = n.attrs.shape("low"), high = n.attrs.shape("high");
    Shape back_low, back_high, none;
    for (size_t i = 0; i < low.size(); ++i) {
      auto lost = [](const Dim& d) {
        return d.is_constant() && d.constant_part() < 0 ? Index(0) - d : Index(0);
      };
      back_low.push_back(lost(low[i])), back_high.push_back(lost(high[i])), none.push_back(0);
    }
    NodeId g = v.g();
    if (back_low != none || back_high != none)
      g = b.make("pad", {g}, {{"low", back_low}, {"high", back_high}, {"interior", none}, {"value", 0.0}});
    Shape start, limit;
    std::vector<int64_t> stride;
    for (size_t i = 0; i < low.size(); ++i) {
      const int64_t step = n.attrs.integers("interior")[i] + 1;
      const Dim extent = b.shape(v.operands[0])[i];
      start.push_back(low[i] + back_low[i]);
      limit.push_back(start[i] + (extent.is(0) ? Dim(0) : (extent - 1) * step + 1));
      stride.push_back(step);
    }
    return Cotangents{b.slice(g, start, limit, stride)};
  };
  return r;
}

OpDef concat() {
  OpDef r = one_operand("concat", "operands one after another along an axis", {"axis!"});
  r.max_operands = -1;
  r.infer = [](const NodeView& v) {
    const int64_t axis = v.attrs.integer("axis");
    Type t = v.operands[0];
    if (axis < 0 || axis >= t.rank()) refuse("concat of {} along axis {}", t.str(), axis);
    for (size_t i = 1; i < v.operands.size(); ++i) {
      Type u = v.operands[i];
      const Dim sum = u.rank() == t.rank() ? t.shape[axis] + u.shape[axis] : Dim(0);
      if (u.rank() == t.rank()) u.shape[axis] = t.shape[axis];
      if (u != t) refuse("concat of {} and {} along axis {}", v.operands[0].str(), v.operands[i].str(), axis);
      t.shape[axis] = sum;
    }
    return std::vector<Type>{t};
  };
  r.meaning = [](const NodeView& v, const Type& t) {
    Meaning m;
    m.axes = t.shape;
    m.outputs = t.rank();
    const int64_t axis = v.attrs.integer("axis");
    Index offset;
    int value = -1;
    for (size_t i = 0; i < v.operands.size(); ++i) {
      std::vector<Index> at = identity(t.shape.size());
      at[axis] = at[axis] - offset;
      const Index end = v.operands[i].shape[axis] - 1 - at[axis];
      m.reads.push_back({static_cast<int>(i), at, {at[axis], end}, 0});
      m.body.push_back(read_node(static_cast<int>(i), t.dtype));
      const int here = static_cast<int>(m.body.size()) - 1;
      if (i > 0) {  // from `offset` on, this operand
        m.values.push_back(at[axis]);
        m.body.push_back(axis_node(t.rank() + static_cast<int>(m.values.size()) - 1));
        m.body.push_back(const_node(DType::I64, 0));
        m.body.push_back(op_node(ScalarOp::Ge, DType::Bool, {here + 1, here + 2, -1}));
        m.body.push_back(op_node(ScalarOp::Select, t.dtype, {here + 3, here, value}));
      }
      value = static_cast<int>(m.body.size()) - 1;
      offset += v.operands[i].shape[axis];
    }
    return m;
  };
  r.gradient = [](Builder& b, V v) {
    const int64_t axis = b[v.node].attrs.integer("axis");
    Cotangents out;
    Index offset;
    for (NodeId x : v.operands) {
      Shape start(b.shape(x).size(), Dim(0)), limit = b.shape(x);
      start[axis] = offset;
      limit[axis] = offset + b.shape(x)[axis];
      offset = limit[axis];
      out.push_back(b.slice(v.g(), start, limit));
    }
    return out;
  };
  r.moves_masks = true;
  return r;
}

}  // namespace

std::vector<OpDef> structure_ops() {
  return {broadcast(), reshape(), transpose(), reverse(), slice(), pad(), concat()};
}

}  // namespace gradc::graph
