// Rewrites of contractions that may change a rounding, where they save work or memory. They come before
// numerics, over the joint graph of values and cotangents.
#include <numeric>
#include <optional>
#include <tuple>

#include "ir/ops/einsum_spec.h"
#include "ir/ops/window_spec.h"
#include "passes/graph/algebra.h"
#include "passes/graph/expand.h"

namespace gradc::passes {
namespace {

using namespace graph;

NodeId pad(Builder& b, NodeId x, const Shape& low, const Shape& high) {
  const Shape none(low.size(), Dim(0));
  if (low == none && high == none) return x;
  return b.make("pad", {x}, {{"low", low}, {"high", high}, {"interior", none}, {"value", 0.0}});
}

// Windows that do not overlap give each element one place: nothing is summed. kNone where they may overlap.
NodeId spread_apart(Builder& b, NodeId overlap) {
  const WindowSpec w = window_spec(b[overlap].attrs);
  for (size_t i = 0; i < w.axes.size(); ++i)
    if (w.sizes[i] > w.strides[i] || (w.dilations[i] != 1 && w.sizes[i] > 1)) return kNone;
  const Shape to = b.shape(overlap);
  NodeId x = b[overlap].operands[0];
  Shape shape = b.shape(x), low(shape.size(), Dim(0)), high = low;
  for (size_t i = w.axes.size(); i-- > 0;) {
    const size_t u = w.window_axis(i);
    high[u] = w.strides[i] - w.sizes[i];
    shape[u - 1] = shape[u - 1] * w.strides[i];
    shape.erase(shape.begin() + static_cast<long>(u));
  }
  x = b.reshape(pad(b, x, low, high), shape);
  low.resize(to.size()), high.resize(to.size());
  for (size_t a = 0; a < to.size(); ++a) low[a] = 0, high[a] = to[a] - shape[a];
  return pad(b, x, low, high);
}

// The cotangent of a window's source, where the windows were contracted: the overlapping sum of a contraction
// of g with weights is a contraction of the windows of g with the reversed weights, and what would have been
// as large as all windows is never stored. At a stride above 1 it is one such contraction for each remainder
// of a position, since no two of them meet the same weights.
class OverlappedContraction {
 public:
  // Of the sum, the positions from `start` on, as many as the shape `to` has.
  OverlappedContraction(Builder& b, WindowSpec w, Shape start, Shape to)
      : b_(b), w_(std::move(w)), start_(std::move(start)), to_(std::move(to)) {}

  // What stands for overlap_add of a node; kNone where it is no contraction of this form.
  NodeId rewrite(NodeId e) {
    if (b_[e].op->name == "add" && b_[e].operands[0] != b_[e].operands[1]) {
      const NodeId left = rewrite(b_[e].operands[0]);
      if (left == kNone) return kNone;
      const NodeId right = rewrite(b_[e].operands[1]);
      return right == kNone ? kNone : b_.add(left, right);
    }
    const std::vector<int64_t> order = order_of_axes(e);
    if (!order.empty()) e = b_[e].operands[0];
    if (!is_plain_contraction(b_[e])) return kNone;
    EinsumSpec s = parse_einsum(b_[e].attrs.text("spec"));
    if (!order.empty()) s.out = permuted(s.out, order);
    for (bool swapped : {false, true}) {
      const std::string &image = swapped ? s.b : s.a, &weights = swapped ? s.a : s.b;
      if (!fits(s.out, image, weights) || (channels(s.out, image, b_.shape(e)) < kFewest && !lanes_fill()))
        continue;
      labels_ = image, weight_labels_ = weights, out_ = s.out;
      image_ = b_[e].operands[swapped ? 1 : 0], weights_ = b_[e].operands[swapped ? 0 : 1];
      classes_.assign(w_.axes.size(), {});
      return over(0);
    }
    return kNone;
  }

 private:
  // Positions of the source with one remainder by the stride: the taps that reach them, and how.
  struct Class {
    int64_t first = 0, step = 1, taps = 0;  // of the weights: first, first + step, ...
    int64_t dilation = 1;                   // q meets tap t at g[q - offset - t * dilation]
    Dim offset;
    Dim low() const { return offset + (taps - 1) * dilation; }  // positions of g before its first
  };

  // Of a transposed contraction (those of transposed convolutions are).
  std::vector<int64_t> order_of_axes(NodeId e) const {
    return b_[e].op->name == "transpose" ? b_[e].attrs.integers("perm") : std::vector<int64_t>{};
  }
  static std::string permuted(const std::string& labels, const std::vector<int64_t>& order) {
    std::string out;
    for (int64_t i : order) out += labels[static_cast<size_t>(i)];
    return out;
  }

  char place(size_t i) const { return out_[w_.window_axis(i) - 1]; }
  char tap(size_t i) const { return out_[w_.window_axis(i)]; }
  size_t axis(size_t i) const { return static_cast<size_t>(w_.axes[i]); }

  bool fits(const std::string& out, const std::string& image, const std::string& weights) const {
    for (size_t i = 0; i < w_.axes.size(); ++i) {
      const char p = out[w_.window_axis(i) - 1], u = out[w_.window_axis(i)];
      if (!has(image, p) || has(weights, p) || has(image, u) || !has(weights, u)) return false;
    }
    return true;
  }

  // Elements of the result for each position and tap. Few of them leave most lanes of a vector empty, where
  // the taps of one position fill them, or positions that follow one another.
  static constexpr int64_t kFewest = 3;
  int64_t channels(const std::string& out, const std::string& image, const Shape& shape) const {
    int64_t n = 1;
    for (size_t a = 0; a < out.size(); ++a) {
      bool is_tap = false;
      for (size_t i = 0; i < w_.axes.size(); ++i) is_tap |= w_.window_axis(i) == a;
      if (!is_tap && !has(image, out[a])) n *= shape[a].constant().value_or(kFewest);
    }
    return n;
  }
  bool lanes_fill() const {
    constexpr int64_t kLanes = 16;
    const bool side_by_side =
        std::all_of(w_.strides.begin(), w_.strides.end(), [](int64_t s) { return s == 1; });
    return side_by_side && to_[axis(w_.axes.size() - 1)].constant().value_or(kLanes) >= kLanes;
  }

  // Of the positions start + q * stride + remainder. q is counted from the start of what is wanted.
  Class class_of(size_t i, int64_t remainder) const {
    const int64_t s = w_.strides[i], d = w_.dilations[i], g = std::gcd(s, d);
    const Dim from = start_[axis(i)] + remainder;
    Class c;
    c.step = s / g, c.dilation = d / g;
    while (c.first < std::min(w_.sizes[i], s) && !(Dim(c.first * d) - from).mod(s).is(0)) ++c.first;
    if (c.first >= std::min(w_.sizes[i], s)) return c;
    c.taps = (w_.sizes[i] - c.first + c.step - 1) / c.step;
    c.offset = (Dim(c.first * d) - from).floor_div(s);
    return c;
  }

  Dim quotients(size_t i) const { return to_[axis(i)].ceil_div(w_.strides[i]); }

  Dim high(size_t i, const Class& c) const {  // positions of g behind its last
    return quotients(i) - b_.shape(image_)[labels_.find(place(i))] - c.offset;
  }

  // The widest border of g along a window's axis that some remainder asks for: g is padded once for all.
  // Nothing where it is not known which is the widest.
  std::optional<std::pair<Dim, Dim>> border(size_t i) const {
    std::optional<std::pair<Dim, Dim>> widest;
    for (int64_t r = 0; r < w_.strides[i]; ++r) {
      const Class c = class_of(i, r);
      if (c.taps == 0) continue;
      const Dim low = c.low(), behind = high(i, c);
      if (!low.is_constant() || !behind.is_constant()) return std::nullopt;
      if (!widest) widest = {low, behind};
      if (low.constant_part() > widest->first.constant_part()) widest->first = low;
      if (behind.constant_part() > widest->second.constant_part()) widest->second = behind;
    }
    return widest;
  }

  // All remainders along axes i and on, those before it chosen.
  NodeId over(size_t i) {
    if (i == w_.axes.size()) return contract();
    const int64_t s = w_.strides[i];
    std::vector<NodeId> parts;
    for (int64_t r = 0; r < s; ++r) {
      classes_[i] = class_of(i, r);
      parts.push_back(over(i + 1));
    }
    return s == 1 ? parts[0] : interleave(i, parts);
  }

  // Element q of part r is element q * stride + r.
  NodeId interleave(size_t i, std::vector<NodeId> parts) {
    const size_t a = axis(i);
    Shape shape = b_.shape(parts[0]), one = shape;
    one.insert(one.begin() + static_cast<long>(a) + 1, Dim(1));
    for (NodeId& p : parts) p = b_.reshape(p, one);
    shape[a] = shape[a] * w_.strides[i];
    const NodeId whole = b_.reshape(b_.concat(parts, static_cast<int>(a) + 1), shape);
    Shape limit = shape;
    limit[a] = to_[a];
    return limit == shape ? whole : b_.slice(whole, Shape(shape.size(), Dim(0)), limit);
  }

  NodeId contract() {
    WindowSpec w;
    Shape low(labels_.size(), Dim(0)), behind = low, first = low, start(weight_labels_.size(), Dim(0));
    Shape seen = b_.shape(image_);  // by this contraction, of the padded image
    Shape limit = b_.shape(weights_);
    std::vector<int64_t> stride(weight_labels_.size(), 1), reversed;
    std::string image = labels_, out = out_;
    for (size_t i = 0; i < w_.axes.size(); ++i) {
      const Class& c = classes_[i];
      if (c.taps == 0) return nothing();
      out.erase(out.find(tap(i)), 1);
      const size_t at = labels_.find(place(i)), weight = weight_labels_.find(tap(i));
      low[at] = c.low(), behind[at] = high(i, c);
      seen[at] = seen[at] + low[at] + behind[at];
      if (const auto widest = border(i)) {
        first[at] = widest->first - low[at];
        std::tie(low[at], behind[at]) = *widest;
      }
      start[weight] = c.first;
      stride[weight] = c.step;
      reversed.push_back(static_cast<int64_t>(weight));
    }
    // Windows are listed by ascending axis of the image.
    for (size_t at = 0; at < labels_.size(); ++at)
      for (size_t i = 0; i < w_.axes.size(); ++i) {
        if (labels_[at] != place(i)) continue;
        w.axes.push_back(static_cast<int64_t>(at));
        w.sizes.push_back(classes_[i].taps);
        w.strides.push_back(1);
        w.dilations.push_back(classes_[i].dilation);
        image.insert(image.find(place(i)) + 1, 1, tap(i));
      }
    std::sort(reversed.begin(), reversed.end());
    NodeId padded = pad(b_, image_, low, behind);
    if (b_.shape(padded) != seen) {
      Shape end = first;
      for (size_t a = 0; a < end.size(); ++a) end[a] = end[a] + seen[a];
      padded = b_.slice(padded, first, end);
    }
    NodeId kernel =
        b_.make("reverse", {b_.slice(weights_, start, limit, stride)}, {{"axes", ints(reversed)}});
    const std::string order = weight_order(out);
    if (order != weight_labels_) {
      std::vector<int64_t> perm;
      for (char c : order) perm.push_back(static_cast<int64_t>(weight_labels_.find(c)));
      kernel = b_.transpose(kernel, perm);
    }
    return b_.einsum(windows(b_, padded, w), kernel, image + "," + order + "->" + out);
  }

  // The label that is last in the result is last in the weights too, if they have it.
  std::string weight_order(const std::string& out) const {
    std::string order = weight_labels_;
    const size_t at = order.find(out.back());
    if (at == std::string::npos) return order;
    order.erase(at, 1);
    return order + out.back();
  }

  // No tap reaches these positions.
  NodeId nothing() {
    Shape shape = to_;
    for (size_t i = 0; i < w_.axes.size(); ++i) shape[axis(i)] = quotients(i);
    return b_.constant(0, b_.dtype(image_), shape);
  }

  Builder& b_;
  WindowSpec w_;
  Shape start_, to_;
  std::string labels_, weight_labels_, out_;
  NodeId image_ = kNone, weights_ = kNone;
  std::vector<Class> classes_;  // by window axis
};

// An overlapping sum, or a part of one: the source of windows is often a padded tensor, and what falls on the
// padding is cut off again.
NodeId overlap_of(Builder& b, const Function& f, NodeId i, const std::vector<NodeId>& made) {
  const bool part = f[i].op->name == "slice";
  const NodeId sum = part ? f[i].operands[0] : i;
  if (f[sum].op->name != "overlap_add") return kNone;
  const Shape none(f.type(i).shape.size(), Dim(0));
  if (part && f[i].attrs.integers("stride") != std::vector<int64_t>(none.size(), 1)) return kNone;
  const WindowSpec w = window_spec(f[sum].attrs);
  const Shape start = part ? f[i].attrs.shape("start") : none;
  for (size_t a = 0; a < start.size(); ++a)  // only along windows, from a known place on
    if (!start[a].is_constant() ||
        (std::find(w.axes.begin(), w.axes.end(), static_cast<int64_t>(a)) == w.axes.end() &&
         !(f.type(i).shape[a] == f.type(sum).shape[a])))
      return kNone;
  return OverlappedContraction(b, w, start, f.type(i).shape).rewrite(made[f[sum].operands[0]]);
}

// How many operands and results each node is.
std::vector<int> readers(const Function& f) {
  std::vector<int> n(f.nodes.size(), 0);
  for (const Node& node : f.nodes)
    for (const NodeId q : node.operands) ++n[q];
  for (const Result& r : f.results) ++n[r.node];
  return n;
}

// What stands for a contraction, or rows that are added: `n`, made of f's node i.
NodeId better_contraction(Builder& b, const Function& f, NodeId i, NodeId n, const std::vector<int>& read) {
  NodeId better = contract_before_gather(b, f, n);
  if (f[i].op->name != "einsum") return better;
  if (better == kNone) better = rows_instead_of_one_hot(b, n);
  for (size_t side = 0; side < 2 && better == kNone && f[i].operands.size() == 2; ++side)
    if (read[f[i].operands[side]] == 1) better = cheaper_order(b, f, n, side);
  return better;
}

Function rewritten(const Function& f, const Module& m) {
  const std::vector<int> read = readers(f);
  return rebuild(f, m, [&](Builder& b, NodeId i, const std::vector<NodeId>& made) -> Results {
    NodeId better = overlap_of(b, f, i, made);
    if (better == kNone && f[i].op->name == "overlap_add") {
      const NodeId n = copy_node(b, f, i, made);
      better = spread_apart(b, n);
      if (better == kNone) better = n;
    }
    if (better == kNone && (f[i].op->name == "einsum" || f[i].op->name == "scatter_add")) {
      const NodeId n = copy_node(b, f, i, made);
      better = better_contraction(b, f, i, n, read);
      if (better == kNone) better = n;
    }
    if (better == kNone) return std::nullopt;
    if (const std::string* name = f.names.find(i)) b.name(better, *name);
    return std::vector<NodeId>{better};
  });
}

}  // namespace

NodeId ordered(Builder& b, NodeId x, const std::string& from, const std::string& to) {
  std::vector<int64_t> perm;
  for (char c : to) perm.push_back(static_cast<int64_t>(from.find(c)));
  return b.transpose(x, perm);
}

Module algebra(const Module& m) { return each_function(m, rewritten); }

}  // namespace gradc::passes
