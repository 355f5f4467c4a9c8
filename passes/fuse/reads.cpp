#include "passes/fuse/reads.h"

#include <algorithm>

#include "ir/graph/node_kind.h"
#include "passes/fuse/donation.h"
#include "support/check.h"

namespace gradc::passes {
namespace {

constexpr size_t kMaxInlineReads = 32;  // a free node that gathers from more places has a buffer of its own
constexpr int kMaxInlineWeight = 64;
constexpr int64_t kManyOperations = int64_t{1} << 40;  // values that double go beyond any number

bool is_cheap(ScalarOp op) {
  using enum ScalarOp;
  for (ScalarOp c : {Read, Const, Axis, Convert, Eq, Ne, Lt, Le, Gt, Ge, And, Or, Not, Select})
    if (op == c) return true;
  return false;
}

// Takes a cycle or so for a vector.
bool is_quick(ScalarOp op) {
  using enum ScalarOp;
  for (ScalarOp c : {Neg, Abs, Add, Sub, Mul, Max, Min, Fma})
    if (op == c) return true;
  return is_cheap(op);
}

// An algorithm that takes some ten cycles for a vector: less than to store and load one that left the caches.
bool is_function(ScalarOp op) {
  using enum ScalarOp;
  for (ScalarOp c : {Erf, Tanh, Sigmoid})
    if (op == c) return true;
  return false;
}

}  // namespace

double planned_count(const std::vector<Dim>& axes) {
  double n = 1;
  for (const Dim& d : axes)
    n *= static_cast<double>(
        d.evaluate([](int) -> int64_t { return 0; }, [](const std::string&) -> int64_t { return 64; }));
  return n;
}

bool only_moves(const Meaning& m) {
  using enum ScalarOp;
  return std::all_of(m.body.begin(), m.body.end(), [](const ScalarNode& s) {
    return s.op == Read || s.op == Const || s.op == Axis || s.op == Convert;
  });
}

bool pads_little(const graph::Function& f, NodeId n) {
  constexpr double kMost = 2;
  if (f[n].operands.size() != 1 || f[n].types.size() != 1) return false;
  const Shape &from = f.type(f[n].operands[0]).shape, &to = f.type(n).shape;
  if (from.size() != to.size() || from == to || planned_count(to) > kMost * planned_count(from)) return false;
  if (!graph::has_meaning(f[n])) return false;
  const Meaning m = graph::meaning_of(f, n);
  if (m.combine != Combiner::None || m.reads.size() != 1 || m.reads[0].guards.empty() || !only_moves(m))
    return false;
  // Padding that is negative cuts elements off.
  const auto adds = [](const Index& amount) { return amount.is_constant() && amount.constant_part() >= 0; };
  for (size_t a = 0; a < to.size(); ++a) {
    const Index low = Index::var(static_cast<int>(a)) - m.reads[0].at[a];
    if (!adds(low) || !adds(to[a] - from[a] - low)) return false;
  }
  return true;
}

ReadTable::ReadTable(const graph::Function& f) : f_(f) {
  const size_t n = f.nodes.size();
  meanings_.resize(n);
  inline_.assign(n, false);
  weight_.assign(n, 1);
  reads_.resize(n);
  std::vector<bool> kept(n, false);  // needs a buffer: a result, or read by a node without a meaning
  for (const graph::Result& r : f.results) kept[r.node] = true;
  for (NodeId i = 0; i < n; ++i)
    if (!graph::has_meaning(f[i]))
      for (NodeId q : f[i].operands) kept[q] = true;
  graph::Meanings known(f);
  for (NodeId i = 0; i < n; ++i)
    if (graph::has_meaning(f[i])) meanings_[i] = known.of(i);
  const std::vector<double> times = times_read();
  const std::vector<bool> far = read_far_behind();
  for (NodeId i = 0; i < n; ++i) {
    compute(i);
    inline_[i] =
        !kept[i] && (is_free(i, times[i]) || (far[i] && times[i] <= 1 && replaces_its_source(i, true)));
  }
}

ReadTable::ReadTable(const graph::Function& f, std::vector<bool> in_place)
    : f_(f), inline_(std::move(in_place)) {
  const size_t n = f.nodes.size();
  meanings_.resize(n);
  weight_.assign(n, 1);
  reads_.resize(n);
  graph::Meanings known(f);
  for (NodeId i = 0; i < n; ++i) {
    if (graph::has_meaning(f[i])) meanings_[i] = known.of(i);
    compute(i);
    if (!inline_[i]) meanings_[i].reset();
  }
}

// How often a reduction reads each element, through nodes that only move them; 1 where none does.
std::vector<double> ReadTable::times_read() const {
  std::vector<double> times(meanings_.size(), 0);
  for (NodeId i = static_cast<NodeId>(meanings_.size()); i-- > 0;) {
    if (!meanings_[i]) continue;
    const Meaning& m = *meanings_[i];
    const bool reduces = m.combine != Combiner::None;
    if (!reduces && (times[i] == 0 || m.reads.size() != 1 || !only_moves(m))) continue;
    const double reads = planned_count(m.axes) * (reduces ? 1 : times[i]);
    // Padding and cutting off change little.
    constexpr double kSeveral = 2;
    if (!reduces && times[i] == 1 && reads < kSeveral * planned_count(f_.type(f_[i].operands[0]).shape))
      continue;
    for (NodeId q : f_[i].operands)
      times[q] = std::max(times[q], reads / std::max(1.0, planned_count(f_.type(q).shape)));
  }
  for (double& t : times) t = std::max(t, 1.0);
  return times;
}

// Values that are first read near and last behind several contractions, as those are that the backward pass
// reads, and whose source is read there by others, too. What is made of a value by a few operations reads it
// where it stands itself.
std::vector<bool> ReadTable::read_far_behind() const {
  constexpr int kFar = 4;
  const size_t n = meanings_.size();
  std::vector<int> contractions(n + 1, 0);
  std::vector<NodeId> first(n, graph::kNone), last(n, 0), by(n, graph::kNone), last_by_others(n, 0);
  const auto is_light = [&](NodeId i) {
    return meanings_[i] && meanings_[i]->combine == Combiner::None &&
           std::all_of(meanings_[i]->body.begin(), meanings_[i]->body.end(),
                       [](const ScalarNode& s) { return is_quick(s.op); });
  };
  for (NodeId i = 0; i < n; ++i) {
    const Meaning* m = meanings_[i].get();
    const bool joins = m ? m->combine != Combiner::None && m->reads.size() >= 2 : !f_[i].operands.empty();
    contractions[i + 1] = contractions[i] + joins;
  }
  for (NodeId i = static_cast<NodeId>(n); i-- > 0;)
    for (NodeId q : f_[i].operands) {
      first[q] = std::min(first[q], i);
      const NodeId at = is_light(i) ? std::max(i, last[i]) : i;
      if (at > last[q]) {
        if (by[q] != i) last_by_others[q] = last[q];
        last[q] = at, by[q] = i;
      } else if (by[q] != i) {
        last_by_others[q] = std::max(last_by_others[q], at);
      }
    }
  // The value that it is made of, by way of values that nothing else reads, and is read far behind by others.
  const auto source_stays = [&](NodeId i) {
    constexpr int kSteps = 8;  // of few operations
    NodeId q = i;
    for (int step = 0; step < kSteps && !f_[q].operands.empty(); ++step) {
      const NodeId child = q;
      for (NodeId o : f_[q].operands)
        if (q == child || planned_count(f_.type(o).shape) > planned_count(f_.type(q).shape)) q = o;
      const NodeId others = by[q] == child ? last_by_others[q] : last[q];
      if (contractions[others] - contractions[first[i]] >= kFar) return true;
      if (!is_light(q)) return false;
    }
    return false;
  };
  std::vector<bool> far(n, false);
  for (NodeId i = 0; i < n; ++i)
    far[i] =
        first[i] != graph::kNone && contractions[last[i]] - contractions[first[i]] >= kFar && source_stays(i);
  return far;
}

// Whether neighbours along the last axis lie apart in what a move reads.
bool ReadTable::scatters(NodeId n) const {
  const Meaning& m = *meanings_[n];
  if (m.outputs == 0 || m.reads.size() != 1 || m.reads[0].at.empty()) return false;
  const int last = m.outputs - 1;
  return !m.reads[0].at.back().uses_var(last) &&
         std::any_of(m.reads[0].at.begin(), m.reads[0].at.end(),
                     [&](const Index& e) { return e.uses_var(last); });
}

bool ReadTable::narrows(NodeId n) const {
  return f_[n].operands.size() == 1 && size_of(f_.type(f_[n].operands[0]).dtype) > size_of(f_.type(n).dtype);
}

// Free nodes only move or name elements: their body is one read, one constant or one axis. What a contraction
// reads often is stored where each read would ask whether there is an element (padding), would be far from
// the last, or would round what is wider (tables made in f64).
bool ReadTable::is_free(NodeId n, double times) const {
  constexpr double kOften = 32, kLanes = 16, kScattered = 7;  // of what lanes are to run along
  if (!meanings_[n] || meanings_[n]->combine != Combiner::None) return false;
  const Meaning& m = *meanings_[n];
  if (reads_[n].size() > kMaxInlineReads || weight_[n] > kMaxInlineWeight) return false;
  if (times > 1 && m.reads.size() == 1 && !m.reads[0].guards.empty()) return false;
  if (times >= kOften && (scatters(n) || narrows(n))) return false;
  if (times >= kScattered && scatters(n) && planned_count({m.axes.back()}) >= kLanes) return false;
  if (times <= 1 && (grows_cheaply(n) || replaces_its_source(n))) return true;
  if (!only_moves(m)) return false;
  if (m.body.back().op == ScalarOp::Convert && m.reads.size() == 1) return m.body.size() == 2;
  return m.reads.size() <= 1;
}

// Comparisons of broadcast values, such as masks and one-hot rows, and what is the same in every element,
// such as a rate: larger than all that they are made of, so that storing one costs more than making it again.
bool ReadTable::grows_cheaply(NodeId n) const {
  const Meaning& m = *meanings_[n];
  const bool uniform = std::all_of(reads_[n].begin(), reads_[n].end(),
                                   [&](const ResolvedRead& r) { return f_.type(r.node).shape.empty(); });
  if (f_.type(n).dtype != DType::Bool && !uniform) return false;
  double read = 0;
  for (const ResolvedRead& r : reads_[n]) read += planned_count(f_.type(r.node).shape);
  return std::all_of(m.body.begin(), m.body.end(),
                     [&](const ScalarNode& s) { return uniform ? is_quick(s.op) : is_cheap(s.op); }) &&
         read < planned_count(m.axes);
}

// A few operations on one value of its size and on small ones: whoever needs both would load two tensors
// where one and the operations do, and whoever needs this one alone loads the other in its place.
// `far`: what is read far behind would have left the caches, so that an elementary function pays, too, of
// what would have been read from there at any rate.
bool ReadTable::replaces_its_source(NodeId n, bool far) const {
  const int few = far ? 12 : 6;
  constexpr double kSmall = 1.0 / 8, kLarge = 1 << 18;
  if (!meanings_[n] || meanings_[n]->combine != Combiner::None) return false;
  const Meaning& m = *meanings_[n];
  if (weight_[n] > few || m.reads.empty()) return false;
  if (!std::all_of(m.body.begin(), m.body.end(),
                   [&](const ScalarNode& s) { return is_quick(s.op) || (far && is_function(s.op)); }))
    return false;
  const double size = planned_count(m.axes);
  if (far && size < kLarge) return false;
  int large = 0;
  double small = 0;
  for (const ResolvedRead& r : reads_[n]) {
    const Type& t = f_.type(r.node);
    const double elements = planned_count(t.shape);
    if (elements <= kSmall * size)
      small += elements;
    else if (elements > size || size_of(t.dtype) > size_of(f_.type(n).dtype) ||
             !is_identity(r.at, m.axes.size()))
      return false;
    else
      ++large;
  }
  return large == 1 && small <= kSmall * size;
}

void ReadTable::compute(NodeId n) {
  std::vector<ResolvedRead>& out = reads_[n];
  if (!meanings_[n]) {
    for (NodeId q : f_[n].operands)
      out.push_back(
          {q, std::vector<Index>(static_cast<size_t>(f_[q].types[0].rank()), Index::var(kUnknownVar))});
    return;
  }
  const Meaning& m = *meanings_[n];
  const int axes = static_cast<int>(m.axes.size());
  for (const Read& r : m.reads) {
    std::vector<Index> at;
    at.reserve(r.at.size());
    for (const Index& e : r.at)
      at.push_back(e.max_var() < axes ? e : e.substitute([&](int v) {
        return Index::var(v < axes ? v : kUnknownVar);
      }));
    const NodeId q = f_[n].operands[r.operand];
    if (inline_[q]) {
      compose(n, q, at, out);
      weight_[n] = std::min(kManyOperations, weight_[n] + weight_[q]);
    } else {
      add(out, {q, std::move(at)});
    }
  }
}

// The reads of q, standing at `at`, as reads of n.
void ReadTable::compose(NodeId n, NodeId q, const std::vector<Index>& at,
                        std::vector<ResolvedRead>& out) const {
  const std::vector<Dim>& axes = meanings_[n]->axes;
  auto extent = [&](int v) { return v < static_cast<int>(axes.size()) ? axes[v] : Index(int64_t{1} << 40); };
  auto bind = [&](int v) { return v < static_cast<int>(at.size()) ? at[v] : Index::var(kUnknownVar); };
  for (const ResolvedRead& r : reads_[q]) {
    std::vector<Index> moved;
    for (const Index& e : r.at) moved.push_back(simplify(e.substitute(bind), extent));
    add(out, {r.node, std::move(moved)});
  }
}

void ReadTable::add(std::vector<ResolvedRead>& list, ResolvedRead r) const {
  for (const ResolvedRead& old : list)
    if (old.node == r.node && old.at == r.at) return;
  list.push_back(std::move(r));
}

void ReadTable::inline_into(NodeId p, NodeId consumer) {
  inline_[p] = true;
  weight_[consumer] = std::min(kManyOperations, weight_[consumer] + weight_[p]);
  std::vector<ResolvedRead> old = std::move(reads_[consumer]);
  reads_[consumer].clear();
  for (ResolvedRead& r : old) {
    if (r.node == p)
      compose(consumer, p, r.at, reads_[consumer]);
    else
      add(reads_[consumer], std::move(r));
  }
}

}  // namespace gradc::passes
