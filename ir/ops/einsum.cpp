// einsum: the contraction of two operands, spelled with labels. Its gradients only permute letters.
#include <algorithm>

#include "ir/ops/rows.h"

namespace gradc::graph {
namespace {

using V = const GradientView&;

struct Spec {
  std::string a, b, out;
};

Spec parse_spec(const std::string& text) {
  const size_t comma = text.find(','), arrow = text.find("->");
  if (comma == std::string::npos || arrow == std::string::npos || comma > arrow)
    refuse("einsum spec \"{}\" is not of the form ab,bc->ac", text);
  return {text.substr(0, comma), text.substr(comma + 1, arrow - comma - 1), text.substr(arrow + 2)};
}
std::string spec_text(const Spec& s) { return s.a + "," + s.b + "->" + s.out; }
bool has(const std::string& labels, char c) { return labels.find(c) != std::string::npos; }

void check_labels(const std::string& labels, const Type& t, const std::string& spec) {
  if (static_cast<int>(labels.size()) != t.rank())
    refuse("einsum \"{}\": {} labels for {}", spec, labels.size(), t.str());
  for (size_t i = 0; i < labels.size(); ++i)
    if (labels.find(labels[i], i + 1) != std::string::npos)
      refuse("einsum \"{}\" repeats '{}' within one operand", spec, labels[i]);
}

// Extent of each label; disagreeing extents are refused.
Dim extent_of(char c, const Spec& s, const NodeView& v) {
  std::optional<Dim> d;
  for (int side = 0; side < 2; ++side) {
    const std::string& labels = side ? s.b : s.a;
    const size_t i = labels.find(c);
    if (i == std::string::npos) continue;
    const Dim& e = v.operands[side].shape[i];
    if (d && !(*d == e))
      refuse("einsum \"{}\": '{}' is {} in {} and {} in {}", spec_text(s), c, d->str(), v.operands[0].str(),
             e.str(), v.operands[1].str());
    d = e;
  }
  if (!d) refuse("einsum \"{}\": '{}' comes from no operand", spec_text(s), c);
  return *d;
}

std::vector<Type> infer(const NodeView& v) {
  const std::string& text = v.attrs.text("spec");
  const Spec s = parse_spec(text);
  check_labels(s.a, v.operands[0], text);
  check_labels(s.b, v.operands[1], text);
  if (v.operands[0].dtype != v.operands[1].dtype || v.operands[0].dtype == DType::Bool)
    refuse("einsum of {} and {}", v.operands[0].str(), v.operands[1].str());
  Shape shape;
  for (size_t i = 0; i < s.out.size(); ++i) {
    if (s.out.find(s.out[i], i + 1) != std::string::npos)
      refuse("einsum \"{}\" repeats '{}' in the result", text, s.out[i]);
    shape.push_back(extent_of(s.out[i], s, v));
  }
  for (char c : s.a + s.b) extent_of(c, s, v);
  const Type t{v.operands[0].dtype, shape};
  if (v.operands.size() == 3 && v.operands[2] != t)
    refuse("einsum starts from {}, which is not {}", v.operands[2].str(), t.str());
  return {t};
}

Meaning meaning(const NodeView& v, const Type& t) {
  const Spec s = parse_spec(v.attrs.text("spec"));
  std::string axes = s.out;
  Meaning m;
  m.axes = t.shape;
  m.outputs = t.rank();
  for (char c : s.a + s.b)
    if (!has(axes, c)) axes += c, m.axes.push_back(extent_of(c, s, v));
  auto map = [&](const std::string& labels) {
    std::vector<Index> at;
    for (char c : labels) at.push_back(Index::var(static_cast<int>(axes.find(c))));
    return at;
  };
  m.reads = {{0, map(s.a), {}, 0}, {1, map(s.b), {}, 0}};
  m.body = {read_node(0, t.dtype), read_node(1, t.dtype), op_node(ScalarOp::Mul, t.dtype, {0, 1, -1})};
  const bool fma = is_float(t.dtype) && v.attrs.flag("fma"), starts = v.operands.size() == 3;
  if (starts) m.reads.push_back({2, identity(t.shape.size()), {}, 0});
  if (m.reductions() > 0) {
    m.combine = Combiner::Add;
    m.fma = fma;
    m.initial = starts ? 2 : -1;
  } else if (starts) {  // nothing is summed: a product, possibly joined to what it starts from
    if (fma) m.body.pop_back();
    m.body.push_back(read_node(2, t.dtype));
    m.body.push_back(fma ? op_node(ScalarOp::Fma, t.dtype, {0, 1, 2})
                         : op_node(ScalarOp::Add, t.dtype, {2, 3, -1}));
  }
  return m;
}

// The cotangent of one operand: contract g with the other. Labels that only this operand has were summed
// away, so they are broadcast back.
NodeId operand_gradient(Builder& b, V v, const Spec& s, int side) {
  const std::string& mine = side ? s.b : s.a;
  const std::string& other = side ? s.a : s.b;
  std::string reached;
  std::vector<int64_t> dims;
  for (size_t i = 0; i < mine.size(); ++i)
    if (has(s.out, mine[i]) || has(other, mine[i]))
      reached += mine[i], dims.push_back(static_cast<int64_t>(i));
  const NodeId g = side ? b.einsum(v.operands[0], v.g(), s.a + "," + s.out + "->" + reached)
                        : b.einsum(v.g(), v.operands[1], s.out + "," + s.b + "->" + reached);
  return b.broadcast(g, b.shape(v.operands[side]), dims);
}

Cotangents gradient(Builder& b, V v) {
  const Spec s = parse_spec(b[v.node].attrs.text("spec"));
  Cotangents out{operand_gradient(b, v, s, 0), operand_gradient(b, v, s, 1)};
  if (v.operands.size() == 3) out.push_back(v.g());
  return out;
}

}  // namespace

std::vector<OpDef> einsum_ops() {
  OpDef r;
  r.name = "einsum";
  r.doc = "contraction of two operands by labels; a third operand is what the sums start from";
  r.attributes = {"spec!", "fma"};
  r.min_operands = 2;
  r.max_operands = 3;
  r.infer = infer;
  r.meaning = meaning;
  r.differentiable = Differentiable::Rule;
  r.gradient = gradient;
  return {r};
}

}  // namespace gradc::graph
