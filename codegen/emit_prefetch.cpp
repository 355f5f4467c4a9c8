// What stands behind a reduction reads, for each tile, rows of tensors that the loop before it never touched:
// the weights and moments of an update, values that the forward pass kept. They lie far apart, so that the
// processor does not foresee them; asked for before the reduction, they are there when it ends. It pays where
// memory is slow, as beside busy neighbours. Reductions over rows far apart ask for those some steps ahead.
#include <algorithm>

#include "codegen/kernel_emitter.h"

namespace gradc::codegen {
namespace {

constexpr int64_t kLine = 64;                // bytes
constexpr int64_t kApart = 512;              // bytes; what lies farther apart the processor does not foresee
constexpr int64_t kWorthwhile = 48;          // iterations that hide a line's way
constexpr unsigned kNearest = 3, kNear = 2;  // caches, as LLVM numbers them

// Iterations of the loops, as far as they are constants; symbolic ones count as many.
int64_t iterations(const For& f) {
  const int64_t n = f.extent.is_constant() ? f.extent.constant_part() : kWorthwhile;
  int64_t inner = 1;
  for (const Stmt& s : f.body)
    if (auto* g = std::get_if<std::shared_ptr<const For>>(&s); g && (*g)->kind == LoopKind::Serial)
      inner = std::max(inner, iterations(**g));
  return std::min(n, kWorthwhile) * std::min(inner, kWorthwhile);
}

bool holds_serial(const For& f) {
  return std::any_of(f.body.begin(), f.body.end(), [](const Stmt& s) {
    auto* g = std::get_if<std::shared_ptr<const For>>(&s);
    return g && (*g)->kind == LoopKind::Serial;
  });
}

}  // namespace

bool KernelEmitter::fills_tile(const Stmt& s) const {
  auto* f = std::get_if<std::shared_ptr<const For>>(&s);
  return f && (*f)->kind == LoopKind::Serial && uses_tile(**f) && iterations(**f) >= kWorthwhile;
}

void KernelEmitter::prefetch(const Body& body, size_t from) {
  for (size_t i = from; i < body.size(); ++i) {
    if (auto* f = std::get_if<std::shared_ptr<const For>>(&body[i])) prefetch_rows(**f);
    if (auto* c = std::get_if<std::shared_ptr<const If>>(&body[i]))
      where(**c, [&] { prefetch((*c)->body, 0); });
  }
}

void KernelEmitter::prefetch_rows(const For& rows) {
  if (rows.kind == LoopKind::Vector) return;
  std::vector<const For*> vectors;
  std::function<void(const Body&)> find = [&](const Body& body) {
    for (const Stmt& s : body) {
      if (auto* f = std::get_if<std::shared_ptr<const For>>(&s); f && (*f)->kind == LoopKind::Vector)
        vectors.push_back(f->get());
      if (auto* i = std::get_if<std::shared_ptr<const If>>(&s)) find((*i)->body);
    }
  };
  find(rows.body);
  Lines lines;
  for (const For* v : vectors) collect_lines(*v, rows.var, lines);
  if (lines.empty()) return;
  loop(rows.var, b_.getInt64(0), index_.value(index_.fold(rows.extent)), !rows.extent.is_constant(), [&] {
    for (const auto& [buffer, place] : lines) ask_for(buffer, place, kNearest);
  });
}

void KernelEmitter::ask_for(int buffer, const Index& place, unsigned cache) {
  b_.CreateIntrinsic(llvm::Intrinsic::prefetch, {llvm::PointerType::getUnqual(c_)},
                     {pointer(buffer, place), b_.getInt32(0), b_.getInt32(cache), b_.getInt32(1)});
}

// The lines that a row's loads touch: of what moves with the row, and along the lanes by one element.
void KernelEmitter::collect_lines(const For& lanes, int row, Lines& lines) {
  if (!lanes.extent.is_constant()) return;
  for (const Stmt& s : lanes.body) {
    auto* l = std::get_if<Load>(&s);
    if (!l || !l->guards.empty()) continue;
    const Buffer& b = k_.buffers[l->buffer];
    if (b.space != Space::In && b.space != Space::InOut) continue;
    const Index e = element_offset(l->buffer, l->at);
    const std::optional<Index> step = e.coefficient_of(lanes.var);
    bool known = step && step->is(1) && e.uses_var(row);
    e.substitute([&](int v) {
      known = known && (v == row || v == lanes.var || index_.knows(v));
      return Index::var(v);
    });
    if (!known) continue;
    for (int64_t at = 0; at < lanes.extent.constant_part(); at += kLine / size_of(b.dtype)) {
      const Index place = e.substitute([&](int v) { return v == lanes.var ? Index(at) : Index::var(v); });
      const std::pair<int, Index> line{l->buffer, place};
      if (std::find(lines.begin(), lines.end(), line) == lines.end()) lines.push_back(line);
    }
  }
}

// Innermost loops of reductions over many iterations.
bool KernelEmitter::walks_apart(const For& f) const {
  if (f.kind != LoopKind::Serial || !uses_tile(f)) return false;
  if (f.extent.is_constant() && f.extent.constant_part() < kWorthwhile) return false;
  return !holds_serial(f);
}

// What an iteration of `f` reads when `ahead` has moved on by `steps`, if an element of it is then `apart` or
// more away: places of lines. Of rows that follow one another in `f` only what they do not share.
KernelEmitter::Lines KernelEmitter::lines_ahead(const For& f, int ahead, int64_t steps, int64_t apart) {
  Lines lines;
  std::map<int, int64_t> within;  // extents of the loops inside
  const auto note = [&](const Load& l) {
    const Buffer& b = k_.buffers[l.buffer];
    if ((b.space != Space::In && b.space != Space::InOut) || !l.guards.empty()) return;
    const Index e = element_offset(l.buffer, l.at);
    const std::optional<Index> step = e.coefficient_of(ahead);
    if (!step || !step->is_constant() || step->constant_part() * size_of(b.dtype) < apart) return;
    int64_t last = 0;
    bool known = true;
    const Index first = e.substitute([&](int v) {
      const auto it = within.find(v);
      if (it == within.end()) {
        known = known && (v == f.var || index_.knows(v));
        return v == ahead ? Index::var(v) + Index(steps) : Index::var(v);
      }
      const std::optional<Index> c = e.coefficient_of(v);
      known = known && c && (c->is(0) || c->is(1));
      if (known && c->is(1)) last += it->second - 1;
      return Index(0);
    });
    const std::optional<Index> next = e.coefficient_of(f.var);
    const int64_t fresh = next && ahead != f.var ? next->constant().value_or(0) : 0;
    const int64_t line = kLine / size_of(b.dtype);
    for (int64_t at = fresh > 0 ? std::max<int64_t>(0, last + 1 - fresh) : 0; known && at <= last;
         at += line) {
      const std::pair<int, Index> one{l.buffer, first + Index(at)};
      if (std::find(lines.begin(), lines.end(), one) == lines.end()) lines.push_back(one);
    }
  };
  walk(f.body, [&](const Stmt& s) {
    if (auto* g = std::get_if<std::shared_ptr<const For>>(&s))
      within[(*g)->var] = (*g)->extent.is_constant() ? (*g)->extent.constant_part() : 1;
    if (auto* l = std::get_if<Load>(&s)) note(*l);
  });
  return lines;
}

// What the loop reads `kAhead` iterations later, where each iteration reads elsewhere: rows of a long pitch,
// of which the processor foresees nothing beyond a page. Behind the end nothing is read, only asked for.
void KernelEmitter::prefetch_ahead(const For& f) {
  constexpr int64_t kAhead = 12;  // iterations
  const Lines lines = lines_ahead(f, f.var, kAhead, kApart);
  const bool both =
      std::any_of(lines.begin(), lines.end(), [&](const auto& l) { return l.first != lines[0].first; });
  if (!both) return;
  for (const auto& [buffer, place] : lines) ask_for(buffer, place, kNearest);
}

// Where a sum pauses, what the next block of terms reads, at the place that this one is at: this block stays
// near the core, the next one comes from afar meanwhile.
void KernelEmitter::prefetch_block(const For& f) {
  constexpr int64_t kFar = 4096;  // bytes
  constexpr size_t kFew = 3;      // lines for each iteration
  if (f.kind != LoopKind::Serial || !uses_tile(f) || holds_serial(f)) return;
  for (const For* block : around_) {
    if (block == &f || !pauses(*block)) continue;
    const Lines lines = lines_ahead(f, block->var, 1, kFar);
    if (lines.size() <= kFew)
      for (const auto& [buffer, place] : lines) ask_for(buffer, place, kNear);
  }
}

// Whether a loop takes blocks of a sum's terms: it begins with what comes before the first one.
bool KernelEmitter::pauses(const For& f) const {
  bool fills = false, results = false;
  walk(f.body, [&](const Stmt& s) {
    auto* i = std::get_if<std::shared_ptr<const If>>(&s);
    fills |= i && (*i)->conditions.size() == 1 && (*i)->conditions[0] == Index(0) - Index::var(f.var);
    auto* w = std::get_if<Store>(&s);
    results |= w && k_.buffers[w->buffer].space < Space::Scratch &&
               std::any_of(w->at.begin(), w->at.end(), [&](const Index& e) { return e.uses_var(f.var); });
  });
  return fills && !results;
}

// Copies of rows far apart, which stand before anything else in the loop and move with it.
void KernelEmitter::note_copies(const For& panels) {
  for (const Stmt& s : panels.body) {
    auto* nest = std::get_if<std::shared_ptr<const For>>(&s);
    Copy c{&panels, {}, nullptr, -1, {}};
    for (const For* f = nest ? nest->get() : nullptr; f;) {
      if (f->kind == LoopKind::Vector) c.lanes = f;
      if (f->kind != LoopKind::Serial) break;
      c.loops.push_back(f);
      auto* inner = f->body.size() == 1 ? std::get_if<std::shared_ptr<const For>>(&f->body[0]) : nullptr;
      f = inner ? inner->get() : nullptr;
    }
    if (c.loops.empty() || !c.lanes || !c.lanes->extent.is_constant() || c.lanes->body.size() != 2) return;
    auto* from = std::get_if<Load>(&c.lanes->body[0]);
    auto* to = std::get_if<Store>(&c.lanes->body[1]);
    if (!from || !to || !from->guards.empty() || k_.buffers[from->buffer].space != Space::In ||
        k_.buffers[to->buffer].space != Space::Scratch)
      return;
    c.buffer = from->buffer, c.offset = element_offset(from->buffer, from->at);
    const std::optional<Index> row = c.offset.coefficient_of(c.loops.back()->var);
    const bool apart = row && row->constant().value_or(0) * size_of(k_.buffers[c.buffer].dtype) >= kApart;
    if (apart && c.offset.uses_var(panels.var)) copies_.push_back(std::move(c));
  }
}

// The next panel, while this one serves its tiles: as the sum takes a row of it, a line of that row of the
// next one, in each tile another line.
void KernelEmitter::prefetch_panel() {
  for (const Copy& c : copies_) {
    const size_t n = c.loops.size(), all = around_.size();
    if (all < n + 2 || around_[all - n - 2] != c.panels) continue;
    const For& tiles = *around_[all - n - 1];
    const int64_t line = kLine / size_of(k_.buffers[c.buffer].dtype);
    const int64_t lines = (c.lanes->extent.constant_part() + line - 1) / line;
    bool alike = tiles.extent.is_constant() && tiles.extent.constant_part() >= lines;
    std::map<int, Index> places{{c.panels->var, Index::var(c.panels->var) + 1},
                                {c.lanes->var, Index::var(tiles.var) * line}};
    for (size_t i = 0; i < n; ++i) {
      const For& sum = *around_[all - n + i];
      alike = alike && sum.extent == c.loops[i]->extent;
      places[c.loops[i]->var] = Index::var(sum.var);
    }
    if (!alike) continue;
    const Index place = c.offset.substitute([&](int v) {
      const auto it = places.find(v);
      return it == places.end() ? Index::var(v) : it->second;
    });
    branch(b_.CreateICmpSLT(index_.value(Index::var(tiles.var)), b_.getInt64(static_cast<uint64_t>(lines))),
           [&] { ask_for(c.buffer, place, kNear); });
  }
}

}  // namespace gradc::codegen
