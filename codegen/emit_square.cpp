// Blocks of a matrix, no larger than a square of vectors, on their way to its transposed, where nothing else
// happens to them.
#include "codegen/emit_scalar.h"
#include "codegen/kernel_emitter.h"

namespace gradc::codegen {

// The load and the store that are all that the rows do, an element each.
std::optional<std::pair<const Load*, const Store*>> KernelEmitter::plain_copy(const For& f) const {
  if (f.kind != LoopKind::Vector || f.body.size() != 2) return std::nullopt;
  auto* l = std::get_if<Load>(&f.body[0]);
  auto* w = std::get_if<Store>(&f.body[1]);
  if (!l || !w || w->value != l->result || !l->guards.empty() || l->buffer == w->buffer) return std::nullopt;
  const Buffer &from = k_.buffers[l->buffer], &to = k_.buffers[w->buffer];
  if (to.dtype != from.dtype || to.far || from.space == Space::Tile || to.space == Space::Tile)
    return std::nullopt;
  return std::pair(l, w);
}

// Of the first row, and how far it is from each to the next; nothing where that is not the same.
std::optional<KernelEmitter::Walk> KernelEmitter::walk_of_rows(int buffer, const std::vector<Index>& at,
                                                               const For& rows) {
  std::optional<Walk> walk;
  for (int64_t r = 0; r < rows.extent.constant_part(); ++r) {
    index_.set_constant(rows.var, r);
    const std::optional<Index> here = side_by_side(element_offset(buffer, at));
    if (r == 0 && here) walk = Walk{*here, Index(0)};
    if (r == 1 && here && walk) walk->step = *here - walk->first;
    if (!here || (walk && *here != walk->first + walk->step * r)) walk.reset();
    if (!walk) break;
  }
  index_.clear_constant(rows.var);
  return walk;
}

// Of the first lane's rows, which lie side by side, and how far it is to the next lane's.
KernelEmitter::Walk KernelEmitter::walk_of_lanes(int buffer, const std::vector<Index>& at, const For& rows) {
  index_.set_constant(rows.var, 0);
  const Index e = element_offset(buffer, at);
  index_.clear_constant(rows.var);
  return {at_lane(e, 0), *stride(e)};
}

bool KernelEmitter::copy_squares(const For& rows) {
  auto* f = rows.body.size() == 1 ? std::get_if<std::shared_ptr<const For>>(&rows.body[0]) : nullptr;
  if (!f || !fills_block(rows)) return false;
  const auto copy = plain_copy(**f);
  const Index extent = index_.fold((*f)->extent);
  if (!copy || !in_sight(**f, extent)) return false;
  struct Square {
    Walk from, to;
    int64_t in, out;
  };
  const auto& [l, w] = *copy;
  const int64_t n = rows.extent.constant_part();
  std::vector<Square> squares;
  for (const Lanes& lanes : chunks_of(**f, extent)) {
    lanes_ = lanes;
    const bool apart = lies_transposed(l->buffer, l->at, rows);
    std::optional<Walk> beside;
    if (apart != lies_transposed(w->buffer, w->at, rows))
      beside = apart ? walk_of_rows(w->buffer, w->at, rows) : walk_of_rows(l->buffer, l->at, rows);
    if (beside && apart) squares.push_back({walk_of_lanes(l->buffer, l->at, rows), *beside, lanes.active, n});
    if (beside && !apart)
      squares.push_back({*beside, walk_of_lanes(w->buffer, w->at, rows), n, lanes.active});
    lanes_.reset();
    if (!beside) return false;
  }
  for (const auto& [from, to, in, out] : squares)
    transpose(memory_type(c_, k_.buffers[l->buffer].dtype), static_cast<int>(in), static_cast<int>(out),
              {pointer(l->buffer, from.first), index_.value(from.step)},
              {pointer(w->buffer, to.first), index_.value(to.step)});
  forget();
  return true;
}

}  // namespace gradc::codegen
