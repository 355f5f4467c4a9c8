#include "passes/extend/mask.h"

#include <cstring>
#include <vector>

#include "ir/graph/builder.h"
#include "ir/interp/interpret.h"
#include "passes/extend/places.h"

namespace gradc::passes {
namespace {

using namespace graph;

constexpr int64_t kMostElements = 1 << 24;  // of a mask that is computed

// The operand's axis at the index of `axis`; -1 where none is, nothing where it is read otherwise.
std::optional<int> axis_of(const Read& r, int axis) {
  int found = -1;
  if (axis < 0) return found;
  for (size_t a = 0; a < r.at.size(); ++a) {
    if (!r.at[a].uses_var(axis)) continue;
    if (found >= 0 || r.at[a].as_var() != axis) return std::nullopt;
    found = static_cast<int>(a);
  }
  return found;
}

bool moves_alone(const Meaning& m) {
  return m.combine == Combiner::None && m.reads.size() == 1 && m.reads[0].guards.empty() &&
         m.body.size() == 1 && m.body[0].op == ScalarOp::Read;
}
bool is_uniform(const Meaning& m) {
  return m.reads.empty() && m.body.size() == 1 && m.body[0].op == ScalarOp::Const;
}

// A function of nothing that gives the node; nothing where that needs a parameter.
std::optional<Function> alone(const Function& f, const Module& m, NodeId n) {
  std::vector<bool> live(n + 1, false);
  live[n] = true;
  for (NodeId i = n + 1; i-- > 0;) {
    if (!live[i]) continue;
    if (!has_meaning(f[i]) || element_count(f.type(i).shape).constant_part() > kMostElements)
      return std::nullopt;
    for (NodeId q : f[i].operands) live[q] = true;
  }
  Builder b("mask", &m);
  std::vector<NodeId> made(n + 1, kNone);
  for (NodeId i = 0; i <= n; ++i)
    if (live[i]) made[i] = copy_node(b, f, i, made);
  b.result(made[n]);
  Function out = b.finish();
  out.notes = f.notes;
  return out;
}

}  // namespace

std::optional<Literal> Masks::behind(NodeId n, int row, int axis, int64_t last) {
  if (!has_meaning(f_[n])) return std::nullopt;
  const Meaning m = without_unit_axes(meaning_of(f_, n));
  if (is_uniform(m)) return m.body[0].value;
  if (moves_alone(m)) {
    const auto r = axis_of(m.reads[0], row), a = axis_of(m.reads[0], axis);
    if (r && a) return behind(f_[n].operands[0], *r, *a, last);
  }
  const std::tuple key(n, row, axis, last);
  const auto it = known_.find(key);
  return it != known_.end() ? it->second : known_[key] = evaluate(n, row, axis, last);
}

std::optional<Literal> Masks::evaluate(NodeId n, int row, int axis, int64_t last) const {
  if (row < 0 || axis < 0) return std::nullopt;  // then what holds behind the first place holds everywhere
  const auto function = alone(f_, m_, n);
  if (!function) return std::nullopt;
  const std::vector<Tensor> values = interpret(m_, *function, {});
  const Tensor& t = values[0];
  int64_t row_step = 1, axis_step = 1;
  for (size_t a = t.shape().size(); a-- > 0;) {
    if (static_cast<int>(a) > row) row_step *= t.shape()[a];
    if (static_cast<int>(a) > axis) axis_step *= t.shape()[a];
  }
  const int64_t rows = t.shape()[static_cast<size_t>(row)], ends = t.shape()[static_cast<size_t>(axis)];
  int64_t first = -1;
  const auto bytes = static_cast<size_t>(size_of(t.dtype()));
  for (int64_t i = 0; i < t.count(); ++i) {
    const int64_t place = i / row_step % rows;
    if (place >= places_ || i / axis_step % ends + last <= place) continue;
    if (first < 0) first = i;
    if (std::memcmp(t.data() + first * static_cast<int64_t>(bytes),
                    t.data() + i * static_cast<int64_t>(bytes), bytes) != 0)
      return std::nullopt;
  }
  if (first < 0) return std::nullopt;
  if (t.dtype() == DType::I64) return Literal{0, t.as<int64_t>()[static_cast<size_t>(first)]};
  return is_float(t.dtype()) ? Literal{t.at(first), 0} : Literal{0, static_cast<int64_t>(t.at(first))};
}

}  // namespace gradc::passes
