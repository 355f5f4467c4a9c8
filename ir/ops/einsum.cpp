// einsum: the contraction of two operands, spelled with labels. Its gradients only permute letters.
#include "ir/ops/einsum_spec.h"

#include <algorithm>
#include <cctype>

#include "ir/ops/rows.h"

namespace gradc::graph {
namespace {

using V = const GradientView&;

void check_labels(const std::string& labels, const Type& t, const std::string& spec) {
  if (static_cast<int>(labels.size()) != t.rank())
    refuse("einsum \"{}\": {} labels for {}", spec, labels.size(), t.str());
  for (size_t i = 0; i < labels.size(); ++i)
    if (labels.find(labels[i], i + 1) != std::string::npos)
      refuse("einsum \"{}\" repeats '{}' within one operand", spec, labels[i]);
}

// Extent of each label; disagreeing extents are refused.
Dim extent_of(char c, const EinsumSpec& s, const NodeView& v) {
  std::optional<Dim> d;
  for (int side = 0; side < 2; ++side) {
    const std::string& labels = side ? s.b : s.a;
    const size_t i = labels.find(c);
    if (i == std::string::npos) continue;
    const Dim& e = v.operands[side].shape[i];
    if (d && !(*d == e))
      refuse("einsum \"{}\": '{}' is {} in {} and {} in {}", s.text(), c, d->str(), v.operands[0].str(),
             e.str(), v.operands[1].str());
    d = e;
  }
  if (!d) refuse("einsum \"{}\": '{}' comes from no operand", s.text(), c);
  return *d;
}

// The chain, or lanes where the last of the summed axes is of constant extent and nothing comes before the
// sum.
void check_order(const EinsumSpec& s, const NodeView& v) {
  const Order order = order_of(v.attrs);
  if (!v.attrs.has("order") || v.attrs.text("order") == "chain") return;
  const std::string reduced = s.reduced();
  if (order != Order::Lanes || v.operands.size() == 3 || reduced.empty() ||
      !extent_of(reduced.back(), s, v).is_constant())
    refuse(
        "order=\"{}\" is no order of einsum \"{}\" over {} and {}: chain, or lanes where the last of the "
        "summed "
        "axes has a constant extent and the sums start from nothing",
        v.attrs.text("order"), s.text(), v.operands[0].str(), v.operands[1].str());
}

void check_where(const EinsumSpec& s, const NodeView& v) {
  if (!v.attrs.has("where")) return;
  if (s.reduced().empty() || order_of(v.attrs) != Order::Chain)
    refuse("einsum \"{}\" has conditions on its terms: it needs a sum in the order of a chain", s.text());
  const std::string& text = v.attrs.text("where");
  for (const Index& e : parse_where(text, s.out + s.reduced())) {
    const std::optional<Index> c = e.coefficient_of(e.max_var());
    if (e.max_var() < static_cast<int>(s.out.size()) || !c || !c->is_constant())
      refuse(
          "where=\"{}\" of einsum \"{}\": each condition is a sum of labels times constants, a summed one "
          "among "
          "them",
          text, s.text());
  }
}

std::vector<Type> infer(const NodeView& v) {
  const std::string& text = v.attrs.text("spec");
  const EinsumSpec s = parse_einsum(text);
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
  check_order(s, v);
  check_where(s, v);
  check_accumulator(v);
  const Type t{v.operands[0].dtype, shape};
  if (v.operands.size() == 3 && v.operands[2] != t)
    refuse("einsum starts from {}, which is not {}", v.operands[2].str(), t.str());
  return {t};
}

Meaning meaning(const NodeView& v, const Type& t) {
  const EinsumSpec s = parse_einsum(v.attrs.text("spec"));
  const std::string reduced = s.reduced(), axes = s.out + reduced;
  Meaning m;
  m.axes = t.shape;
  m.outputs = t.rank();
  for (char c : reduced) m.axes.push_back(extent_of(c, s, v));
  auto map = [&](const std::string& labels) {
    std::vector<Index> at;
    for (char c : labels) at.push_back(Index::var(static_cast<int>(axes.find(c))));
    return at;
  };
  m.reads = {{0, map(s.a), {}, 0}, {1, map(s.b), {}, 0}};
  const bool fma = is_float(t.dtype) && v.attrs.flag("fma"), starts = v.operands.size() == 3;
  const bool sums = m.reductions() > 0;
  if (sums) {
    m.combine = Combiner::Add;
    m.order = order_of(v.attrs);
    m.accumulator = accumulator_of(v);
    m.fma = fma;
    m.initial = starts ? 2 : -1;
    if (v.attrs.has("where")) m.where = parse_where(v.attrs.text("where"), axes);
  }
  const DType type = sums ? m.accumulator : t.dtype;
  std::array<int, 3> factors{-1, -1, -1};
  for (int i = 0; i < 2; ++i) {
    push_read(m.body, i, t.dtype, type);
    factors[i] = static_cast<int>(m.body.size()) - 1;
  }
  if (starts) m.reads.push_back({2, identity(t.shape.size()), {}, 0});
  if (sums || !starts || !fma) m.body.push_back(op_node(ScalarOp::Mul, type, factors));
  if (!sums && starts) {  // nothing is summed: a product, joined to what it starts from
    m.body.push_back(read_node(2, t.dtype));
    m.body.push_back(fma ? op_node(ScalarOp::Fma, t.dtype, {0, 1, 2})
                         : op_node(ScalarOp::Add, t.dtype, {2, 3, -1}));
  }
  return m;
}

// The cotangent of one operand: contract g with the other. Labels that only this operand has were summed
// away, so they are broadcast back.
NodeId operand_gradient(Builder& b, V v, const EinsumSpec& s, int side) {
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
  const EinsumSpec s = parse_einsum(b[v.node].attrs.text("spec"));
  if (b[v.node].attrs.has("where"))
    refuse("einsum \"{}\" with conditions on its terms has no gradient: they are made behind it", s.text());
  Cotangents out{operand_gradient(b, v, s, 0), operand_gradient(b, v, s, 1)};
  if (v.operands.size() == 3) out.push_back(v.g());
  return out;
}

}  // namespace

std::string EinsumSpec::reduced() const {
  std::string labels;
  for (char c : a + b)
    if (!has(out, c) && !has(labels, c)) labels += c;
  return labels;
}

char EinsumSpec::unused() const {
  const std::string all = a + b + out;
  for (char c = 'A'; c <= 'z'; ++c)
    if (std::isalpha(static_cast<unsigned char>(c)) && !has(all, c)) return c;
  refuse("einsum \"{}\" uses every letter", text());
}

bool is_plain_contraction(const Node& n) {
  return n.op->name == "einsum" && n.operands.size() == 2 && is_float(n.type().dtype) &&
         n.attrs.list().size() == 1;
}

std::vector<Index> parse_where(const std::string& text, const std::string& labels) {
  std::vector<Index> conditions;
  std::string_view rest = text;
  for (;;) {
    conditions.push_back(parse_index(rest, [&](std::string_view name) {
      const size_t at = name.size() == 1 ? labels.find(name[0]) : std::string::npos;
      if (at == std::string::npos) refuse("where=\"{}\" names %{}, which is no label", text, name);
      return static_cast<int>(at);
    }));
    rest.remove_prefix(std::min(rest.size(), rest.find_first_not_of(' ')));
    if (rest.empty()) return conditions;
    if (rest[0] != ',') refuse("where=\"{}\" is no list of conditions", text);
    rest.remove_prefix(1);
  }
}

std::string where_text(const std::vector<Index>& conditions, const std::string& labels) {
  std::string text;
  for (const Index& c : conditions)
    text += (text.empty() ? "" : ", ") + c.str([&](int v) {
      return std::string{'%', labels[static_cast<size_t>(v)]};
    });
  return text;
}

EinsumSpec parse_einsum(const std::string& text) {
  const size_t comma = text.find(','), arrow = text.find("->");
  if (comma == std::string::npos || arrow == std::string::npos || comma > arrow)
    refuse("einsum spec \"{}\" is not of the form ab,bc->ac", text);
  return {text.substr(0, comma), text.substr(comma + 1, arrow - comma - 1), text.substr(arrow + 2)};
}

std::vector<OpDef> einsum_ops() {
  OpDef r;
  r.name = "einsum";
  r.doc = "contraction of two operands by labels; a third operand is what the sums start from";
  r.attributes = {"spec!", "fma", "order", "accumulator", "where"};
  r.min_operands = 2;
  r.max_operands = 3;
  r.infer = infer;
  r.meaning = meaning;
  r.differentiable = Differentiable::Rule;
  r.gradient = gradient;
  return {r};
}

}  // namespace gradc::graph
