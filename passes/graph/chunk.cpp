// Rows of masked scores in chunks: what a mask of places lets none of a chunk's rows read is not computed for
// them. Attention over many places, each of which reads those before it, then makes 5/8 of its scores, of
// their exponentials and of the products with them, forward and backward, and its chunks are what attention
// without a mask is. The terms that are left out are none: zero times infinity is not among them.
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "ir/ops/einsum_spec.h"
#include "passes/graph/expand.h"
#include "passes/graph/regions.h"

namespace gradc::passes {
namespace {

using namespace graph;

constexpr int64_t kLong = 512;  // rows; of fewer the contractions leave out terms block by block (`skip`)

// More chunks leave out more, and are more kernels, each of fewer rows.
constexpr int64_t chunks_of(int64_t rows) { return rows < 4096 ? 4 : 8; }

struct Range {
  Dim start, limit;
};
using Ranges = std::vector<Range>;

Ranges all_of(const Shape& s) {
  Ranges out;
  for (const Dim& d : s) out.push_back({Dim(0), d});
  return out;
}

// How far an axis has elements that are not as those outside of a region are, of what the ranges leave.
Dim end_of(const Region& r, size_t axis, const Ranges& at) {
  Dim end = at[axis].limit;
  for (const Index& e : r.within) {
    const int a = static_cast<int>(axis);
    if (!is_affine(e) || e.coefficient_of(a) != Index(-1)) continue;
    Index most = e + Index::var(a);
    most = most.substitute([&](int v) {
      const Range& range = at[static_cast<size_t>(v)];
      const bool up = most.coefficient_of(v)->constant_part() > 0;
      return up ? range.limit - Dim(1) : range.start;
    });
    if (most.is_constant() && end.is_constant())
      end = Dim(std::clamp<int64_t>(most.constant_part() + 1, 1, end.constant_part()));
  }
  return end;
}

// Parts of a function's nodes, as far up as scores reach.
class Parts {
 public:
  Parts(Builder& b, const Function& f, const Regions& regions, const std::vector<NodeId>& made)
      : b_(b), f_(f), regions_(regions), made_(made) {}

  NodeId part(NodeId n, const Ranges& at) {
    const Shape& shape = f_.type(n).shape;
    std::string key = fmt::format("{}", n);
    bool all = true;
    for (size_t a = 0; a < shape.size(); ++a) {
      const bool whole = at[a].start.is(0) && at[a].limit == shape[a];
      all = all && whole;
      key += whole ? " -" : fmt::format(" {}:{}", at[a].start.str(), at[a].limit.str());
    }
    if (all) return made_[n];
    const auto [it, fresh] = known_.try_emplace(key, kNone);
    if (!fresh) return it->second;
    too_deep_ = too_deep_ || depth_ == kDeepest;
    ++depth_;
    NodeId p = too_deep_ ? kNone : made_of_parts(n, at);
    --depth_;
    if (p != kNone) anew_.insert(n);
    return known_[key] = p != kNone ? p : sliced(n, at);
  }
  NodeId sliced(NodeId n, const Ranges& at) {
    Shape start, limit;
    for (const Range& r : at) start.push_back(r.start), limit.push_back(r.limit);
    return b_.slice(made_[n], start, limit);
  }
  // Whether a product with the scores is farther than that behind what they are made of.
  bool too_deep() const { return too_deep_; }
  // Nodes of which parts were made anew, and those of them that products are in: scores. Masks are cheap.
  const std::set<NodeId>& anew() const { return anew_; }
  std::set<NodeId> scores() const {
    std::set<NodeId> out, products;
    for (const NodeId n : anew_) {
      const auto& q = f_[n].operands;
      if (f_[n].op->name != "einsum" &&
          std::none_of(q.begin(), q.end(), [&](NodeId o) { return products.count(o) > 0; }))
        continue;
      products.insert(n);
      if (is_square(n)) out.insert(n);
    }
    return out;
  }

 private:
  NodeId made_of_parts(NodeId n, const Ranges& at) {
    const Node& node = f_[n];
    const std::string_view op = node.op->name;
    std::vector<NodeId> parts;
    if (op == "constant") return b_.make(*node.op, {}, node.attrs.with("shape", size_of_ranges(at)));
    if (op == "einsum") {
      if (!is_square(n) || !is_plain_contraction(node)) return kNone;
      return contraction(node, at);
    }
    const bool known = is_elementwise(node) || op == "broadcast" || op == "transpose" || op == "reshape" ||
                       op == "reduce_max" || op == "reduce_sum";
    if (!known) return kNone;
    for (const NodeId q : node.operands) {
      const Ranges of_operand = operand_ranges(node, q, at);
      if (of_operand.empty() && !f_.type(q).shape.empty()) return kNone;
      parts.push_back(part(q, of_operand));
    }
    if (op == "broadcast" || op == "reshape")
      return b_.make(*node.op, parts, node.attrs.with("shape", size_of_ranges(at)));
    return b_.make(*node.op, parts, node.attrs);
  }

  // Rows and columns, many of both.
  bool is_square(NodeId n) const {
    const Shape& s = f_.type(n).shape;
    return std::count_if(s.begin(), s.end(), [](const Dim& d) { return d.constant().value_or(0) >= kLong; }) >
           1;
  }
  static bool is_elementwise(const Node& n) { return n.op->elementwise || n.op->name == "stop_gradient"; }
  // Of an operand, what a part of the node reads; none where that is not known.
  Ranges operand_ranges(const Node& node, NodeId q, const Ranges& at) const {
    const Shape& from = f_.type(q).shape;
    const std::string_view op = node.op->name;
    if (is_elementwise(node)) return from.size() == at.size() ? at : Ranges{};
    Ranges out = all_of(from);
    if (op == "broadcast") {
      const std::vector<int64_t> dims = node.attrs.integers("dims");
      for (size_t a = 0; a < from.size(); ++a)
        if (from[a] == node.types[0].shape[static_cast<size_t>(dims[a])])
          out[a] = at[static_cast<size_t>(dims[a])];
    } else if (op == "transpose") {
      const std::vector<int64_t> perm = node.attrs.integers("perm");
      for (size_t a = 0; a < perm.size(); ++a) out[static_cast<size_t>(perm[a])] = at[a];
    } else if (op == "reshape") {
      return of_reshaped(from, node.types[0].shape, at);
    } else {
      return of_reduced(node, q, at);
    }
    return out;
  }
  // Axes of one element come and go.
  static Ranges of_reshaped(const Shape& from, const Shape& to, const Ranges& at) {
    Ranges out;
    size_t t = 0;
    for (const Dim& d : from) {
      if (d.is(1)) {
        out.push_back({Dim(0), d});
        continue;
      }
      while (t < to.size() && to[t].is(1)) ++t;
      if (t == to.size() || !(to[t] == d)) return {};
      out.push_back(at[t++]);
    }
    while (t < to.size() && to[t].is(1)) ++t;
    return t == to.size() ? out : Ranges{};
  }
  Ranges of_reduced(const Node& node, NodeId q, const Ranges& at) const {
    const double none = node.op->name == "reduce_max" ? -std::numeric_limits<double>::infinity() : 0;
    const std::vector<int64_t> axes = node.attrs.integers("axes");
    Ranges out = all_of(f_.type(q).shape);
    const auto reduced = [&](size_t a) {
      return std::find(axes.begin(), axes.end(), static_cast<int64_t>(a)) != axes.end();
    };
    for (size_t a = 0, kept = 0; a < out.size(); ++a)
      if (!reduced(a)) out[a] = at[kept++];
    const Region& r = regions_.of(q);
    for (size_t a = 0; a < out.size(); ++a)
      if (reduced(a) && !r.within.empty() && r.outside == none) out[a].limit = end_of(r, a, out);
    return out;
  }

  NodeId contraction(const Node& node, const Ranges& at) {
    const EinsumSpec s = parse_einsum(node.attrs.text("spec"));
    std::vector<NodeId> parts;
    for (const size_t side : {0, 1}) {
      const std::string& labels = side == 0 ? s.a : s.b;
      const NodeId q = node.operands[side];
      Ranges of = all_of(f_.type(q).shape);
      bool whole = true;
      for (size_t a = 0; a < labels.size(); ++a)
        if (const size_t o = s.out.find(labels[a]); o != std::string::npos) {
          whole = whole && at[o].start.is(0) && at[o].limit == of[a].limit;
          of[a] = at[o];
        }
      parts.push_back(whole ? made_[q] : sliced(q, of));
    }
    return b_.make(*node.op, parts, node.attrs);
  }
  static Shape size_of_ranges(const Ranges& at) {
    Shape s;
    for (const Range& r : at) s.push_back(r.limit - r.start);
    return s;
  }

  Builder& b_;
  const Function& f_;
  const Regions& regions_;
  const std::vector<NodeId>& made_;
  static constexpr int kDeepest = 256;
  int depth_ = 0;
  bool too_deep_ = false;
  std::map<std::string, NodeId> known_;
  std::set<NodeId> anew_;
};

// A contraction with masked scores: rows of the result, the terms of which a row reads some.
struct Masked {
  size_t side = 0, row = 0, column = 0;  // the operand that the scores are, and axes of it
};
std::optional<Masked> masked(const Function& f, const Regions& regions, NodeId i) {
  if (f[i].op->name != "einsum" || !is_plain_contraction(f[i])) return {};
  const EinsumSpec s = parse_einsum(f[i].attrs.text("spec"));
  for (const size_t side : {0, 1}) {
    const std::string &labels = side == 0 ? s.a : s.b, &other = side == 0 ? s.b : s.a;
    const NodeId q = f[i].operands[side];
    const Region& r = regions.of(q);
    if (!r.masked || r.outside != 0) continue;
    for (const Index& e : r.within)
      for (size_t row = 0; row < labels.size() && is_affine(e); ++row)
        for (size_t column = 0; column < labels.size(); ++column) {
          const Dim& rows = f.type(q).shape[row];
          if (e.coefficient_of(static_cast<int>(row)) == Index(1) &&
              e.coefficient_of(static_cast<int>(column)) == Index(-1) && has(s.out, labels[row]) &&
              !has(other, labels[row]) && !has(s.out, labels[column]) && rows.is_constant() &&
              rows.constant_part() >= kLong && rows.constant_part() % chunks_of(rows.constant_part()) == 0)
            return Masked{side, row, column};
        }
  }
  return {};
}

NodeId in_chunks(Builder& b, const Function& f, const Regions& regions, NodeId i, const Masked& m,
                 const std::vector<NodeId>& made, const std::vector<std::set<NodeId>>& readers) {
  const EinsumSpec s = parse_einsum(f[i].attrs.text("spec"));
  const std::string &labels = m.side == 0 ? s.a : s.b, &other = m.side == 0 ? s.b : s.a;
  const NodeId scores = f[i].operands[m.side], values = f[i].operands[1 - m.side];
  const Shape& shape = f.type(scores).shape;
  const int64_t count = chunks_of(shape[m.row].constant_part()), rows = shape[m.row].constant_part() / count;
  Parts parts(b, f, regions, made);
  std::vector<NodeId> chunks;
  for (int64_t k = 0; k < count; ++k) {
    Ranges at = all_of(shape);
    at[m.row] = {Dim(k * rows), Dim((k + 1) * rows)};
    at[m.column].limit = end_of(regions.of(scores), m.column, at);
    Ranges of_values = all_of(f.type(values).shape);
    of_values[other.find(labels[m.column])] = at[m.column];
    std::vector<NodeId> operands{parts.part(scores, at), parts.sliced(values, of_values)};
    if (parts.too_deep()) return kNone;
    if (m.side == 1) std::swap(operands[0], operands[1]);
    chunks.push_back(b.make(*f[i].op, operands, f[i].attrs));
  }
  // Scores that others read are there at any rate.
  for (const NodeId n : parts.scores())
    for (const NodeId reader : readers[n])
      if (reader != i && !parts.anew().count(reader)) return kNone;
  return b.concat(chunks, static_cast<int>(s.out.find(labels[m.row])));
}

Function chunked(const Function& f, const Module& m) {
  Regions regions(f);
  std::map<NodeId, Masked> found;
  for (NodeId i = 0; i < f.nodes.size(); ++i) {
    regions.note(i);
    if (const auto one = masked(f, regions, i)) found.emplace(i, *one);
  }
  if (found.empty()) return f;
  std::vector<std::set<NodeId>> readers(f.nodes.size());
  for (NodeId i = 0; i < f.nodes.size(); ++i)
    for (const NodeId q : f[i].operands) readers[q].insert(i);
  for (const Result& r : f.results) readers[r.node].insert(kNone);
  return rebuild(f, m, [&](Builder& b, NodeId i, const std::vector<NodeId>& made) -> Results {
    const auto it = found.find(i);
    if (it == found.end()) return std::nullopt;
    const NodeId n = in_chunks(b, f, regions, i, it->second, made, readers);
    if (n == kNone) return std::nullopt;
    return std::vector<NodeId>{n};
  });
}

}  // namespace

Module chunk(const Module& m) { return each_function(m, chunked); }

}  // namespace gradc::passes
