// Indexing by data: slices at run-time positions, rows by number, and their adjoints. Indices clamp.
#include "ir/ops/rows.h"

namespace gradc::graph {
namespace {

using V = const GradientView&;

OpDef row(std::string_view name, std::string_view doc, std::vector<std::string_view> attributes) {
  OpDef r;
  r.name = name;
  r.doc = doc;
  r.attributes = std::move(attributes);
  r.differentiable = Differentiable::Rule;
  return r;
}

void check_starts(const NodeView& v, size_t first) {
  const Type& x = v.operands[0];
  if (v.operands.size() != first + x.shape.size()) refuse("{} needs a start for each of its axes", x.str());
  for (size_t i = first; i < v.operands.size(); ++i)
    if (v.operands[i].rank() != 0 || !is_integer(v.operands[i].dtype))
      refuse("a start is an integer scalar, not {}", v.operands[i].str());
}

void check_fits(std::string_view op, const Shape& part, const Type& whole) {
  for (size_t i = 0; i < part.size(); ++i)
    if (can_be_negative(part[i]) || can_be_negative(whole.shape[i] - part[i]))
      refuse("{}: {} elements along axis {} of {} need not fit; at most {} do", op, part[i].str(), i,
             whole.str(), whole.shape[i].str());
}
// Rows by number from a table without rows have no value, unless there are no numbers.
void check_rows(std::string_view op, const Type& table, const Type& numbers) {
  if (table.shape[0].is(0) && !element_count(numbers.shape).is(0))
    refuse("{}: {} has no rows that {} could name", op, table.str(), numbers.str());
}

Index clamp(const Index& e, const Dim& most) { return Index::max(0, Index::min(e, most)); }

// x at the starts, with the given sizes; starts are clamped so that the slice lies inside.
OpDef dynamic_slice() {
  OpDef r = row("dynamic_slice",
                "a slice of constant size at run-time starts, moved inside where it would overlap the end",
                {"sizes!"});
  r.min_operands = 1;
  r.max_operands = -1;
  r.infer = [](const NodeView& v) {
    check_starts(v, 1);
    const Shape& sizes = v.attrs.shape("sizes");
    if (sizes.size() != v.operands[0].shape.size())
      refuse("dynamic_slice of {} has {} sizes", v.operands[0].str(), sizes.size());
    check_fits("dynamic_slice", sizes, v.operands[0]);
    return std::vector<Type>{{v.operands[0].dtype, sizes}};
  };
  r.meaning = [](const NodeView& v, const Type& t) {
    Meaning m;
    m.axes = t.shape;
    m.outputs = t.rank();
    std::vector<Index> at;
    for (int a = 0; a < t.rank(); ++a) {
      m.reads.push_back({a + 1, {}, {}, 0});
      at.push_back(clamp(Index::var(t.rank() + a), v.operands[0].shape[a] - t.shape[a]) + Index::var(a));
    }
    m.reads.push_back({0, at, {}, 0});
    m.body = {read_node(t.rank(), t.dtype)};
    return m;
  };
  r.gradient = [](Builder& b, V v) {
    std::vector<NodeId> operands{b.zeros_like(v.operands[0]), v.g()};
    operands.insert(operands.end(), v.operands.begin() + 1, v.operands.end());
    Cotangents out(v.operands.size(), kNone);
    out[0] = b.make("dynamic_update_slice", operands);
    return out;
  };
  return r;
}

// Appends 0 <= axis - clamp(start) < size to the body and joins it with `all`.
int inside(Meaning& m, int axis, DType start_type, const Dim& size, const Dim& extent, int all) {
  const int n = static_cast<int>(m.axes.size());
  auto push = [&](ScalarNode s) {
    m.body.push_back(s);
    return static_cast<int>(m.body.size()) - 1;
  };
  auto dim_node = [&](const Index& e) {
    m.values.push_back(e);
    return push(axis_node(n + static_cast<int>(m.values.size()) - 1));
  };
  const int zero = push(const_node(DType::I64, 0));
  int start = push(read_node(axis, start_type));
  start = push(op_node(ScalarOp::Convert, DType::I64, {start, -1, -1}));
  start = push(op_node(ScalarOp::Min, DType::I64, {start, dim_node(extent - size), -1}));
  start = push(op_node(ScalarOp::Max, DType::I64, {start, zero, -1}));
  const int from = push(op_node(ScalarOp::Sub, DType::I64, {push(axis_node(axis)), start, -1}));
  const int low = push(op_node(ScalarOp::Ge, DType::Bool, {from, zero, -1}));
  const int high = push(op_node(ScalarOp::Lt, DType::Bool, {from, dim_node(size), -1}));
  const int both = push(op_node(ScalarOp::And, DType::Bool, {low, high, -1}));
  return all < 0 ? both : push(op_node(ScalarOp::And, DType::Bool, {all, both, -1}));
}

// x with u written at the starts: element i is u[i - start] where that lies in u.
OpDef dynamic_update_slice() {
  OpDef r = row("dynamic_update_slice", "x with u in place of a slice at run-time starts", {});
  r.min_operands = 2;
  r.max_operands = -1;
  r.infer = [](const NodeView& v) {
    check_starts(v, 2);
    if (v.operands[1].rank() != v.operands[0].rank() || v.operands[1].dtype != v.operands[0].dtype)
      refuse("dynamic_update_slice of {} with {}", v.operands[0].str(), v.operands[1].str());
    check_fits("dynamic_update_slice", v.operands[1].shape, v.operands[0]);
    return std::vector<Type>{v.operands[0]};
  };
  r.meaning = [](const NodeView& v, const Type& t) {
    Meaning m;
    const int n = t.rank();
    m.axes = t.shape;
    m.outputs = n;
    std::vector<Index> at, guards;
    for (int a = 0; a < n; ++a) {
      m.reads.push_back({a + 2, {}, {}, 0});
      const Index start = clamp(Index::var(n + a), t.shape[a] - v.operands[1].shape[a]);
      at.push_back(Index::var(a) - start);
      guards.push_back(at[a]);
      guards.push_back(v.operands[1].shape[a] - 1 - at[a]);
    }
    m.reads.push_back({1, at, guards, 0});
    m.reads.push_back({0, identity(t.shape.size()), {}, 0});
    // Whether all guards hold is computed again in the body, from the same clamped starts.
    m.body = {read_node(n, t.dtype), read_node(n + 1, t.dtype)};
    int all = -1;
    for (int a = 0; a < n; ++a)
      all = inside(m, a, v.operands[a + 2].dtype, v.operands[1].shape[a], t.shape[a], all);
    if (n == 0)
      m.body = {read_node(0, t.dtype)};
    else
      m.body.push_back(op_node(ScalarOp::Select, t.dtype, {all, 0, 1}));
    return m;
  };
  r.gradient = [](Builder& b, V v) {
    std::vector<NodeId> starts(v.operands.begin() + 2, v.operands.end());
    std::vector<NodeId> update{v.g(), b.zeros_like(v.operands[1])}, read{v.g()};
    update.insert(update.end(), starts.begin(), starts.end());
    read.insert(read.end(), starts.begin(), starts.end());
    Cotangents out(v.operands.size(), kNone);
    out[0] = b.make("dynamic_update_slice", update);
    out[1] = b.make("dynamic_slice", read, {{"sizes", b.shape(v.operands[1])}});
    return out;
  };
  return r;
}

// Rows of x along axis 0 by number; the result's shape is idx.shape + x.shape[1:].
OpDef gather() {
  OpDef r = row("gather", "rows of x (its axis 0) by number; numbers outside are clamped", {});
  r.min_operands = r.max_operands = 2;
  r.infer = [](const NodeView& v) {
    const Type &x = v.operands[0], &idx = v.operands[1];
    if (x.rank() < 1 || !is_integer(idx.dtype))
      refuse("gather from {} by {} needs a table of rows and integers", x.str(), idx.str());
    check_rows("gather", x, idx);
    Shape shape = idx.shape;
    shape.insert(shape.end(), x.shape.begin() + 1, x.shape.end());
    return std::vector<Type>{{x.dtype, shape}};
  };
  r.meaning = [](const NodeView& v, const Type& t) {
    Meaning m;
    m.axes = t.shape;
    m.outputs = t.rank();
    const size_t leading = v.operands[1].shape.size();
    const std::vector<Index> all = identity(t.shape.size());
    m.reads.push_back({1, {all.begin(), all.begin() + static_cast<long>(leading)}, {}, 0});
    std::vector<Index> at{clamp(Index::var(t.rank()), v.operands[0].shape[0] - 1)};
    at.insert(at.end(), all.begin() + static_cast<long>(leading), all.end());
    m.reads.push_back({0, at, {}, 0});
    m.body = {read_node(1, t.dtype)};
    return m;
  };
  r.gradient = [](Builder& b, V v) {
    return Cotangents{b.make("scatter_add", {b.zeros_like(v.operands[0]), v.operands[1], v.g()}), kNone};
  };
  return r;
}

OpDef scatter_add() {
  OpDef r = row("scatter_add",
                "x with rows of u added at the rows that idx names, in ascending order of u; own kernel", {});
  r.form = Form::AddRows;
  r.min_operands = r.max_operands = 3;
  r.updates = true;
  r.infer = [](const NodeView& v) {
    const Type &x = v.operands[0], &idx = v.operands[1], &u = v.operands[2];
    if (x.rank() < 1 || !is_integer(idx.dtype) || x.dtype == DType::Bool)
      refuse("scatter_add to {} by {} needs rows of numbers and integers", x.str(), idx.str());
    Shape shape = idx.shape;
    shape.insert(shape.end(), x.shape.begin() + 1, x.shape.end());
    if (u != Type{x.dtype, shape})
      refuse("scatter_add to {} by {} needs {}, not {}", x.str(), idx.str(), Type{x.dtype, shape}.str(),
             u.str());
    return std::vector<Type>{x};
  };
  r.gradient = [](Builder& b, V v) {
    return Cotangents{v.g(), kNone, b.make("gather", {v.g(), v.operands[1]})};
  };
  return r;
}

}  // namespace

std::vector<OpDef> indexing_ops() {
  return {dynamic_slice(), dynamic_update_slice(), gather(), scatter_add()};
}

}  // namespace gradc::graph
