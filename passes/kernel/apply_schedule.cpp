// Writes the loops that a schedule's steps result in: splits, reorders and distributes those of a naive
// kernel.
#include <algorithm>

#include "passes/kernel/rewrite.h"
#include "passes/kernel/rows_in_turn.h"
#include "passes/kernel/schedule.h"
#include "passes/kernel/stage.h"
#include "support/check.h"

namespace gradc::passes {
namespace {

using namespace kernel;

struct Loop {
  int var;
  Index extent;
};

class Scheduler {
 public:
  Scheduler(const Kernel& k, const LoopForm& form) : k_(k), s_(form) {
    const Nest nest = nest_of(k);
    for (const For* f : nest.loops) loops_.push_back({f->var, f->extent});
    inner_ = *nest.body;
  }

  Kernel run() {
    if (loops_.empty()) return std::move(k_);
    inner_ = without_repeats(shared_in_front(inner_));
    if (s_.interleave) {
      k_.body = wrapped(s_.distribute ? distributed() : interleaved());
    } else if (s_.vector_axis < 0 && s_.row_axis < 0) {
      k_.body = wrapped(inner_);
    } else if (s_.row_axis < 0 && !has_loop()) {
      elementwise();
    } else {
      tile();
    }
    if (s_.parallel) mark_outermost();
    drop_unused_tiles();
    return std::move(k_);
  }

 private:
  bool has_loop() const {
    bool any = false;
    walk(inner_, [&](const Stmt& s) { any |= std::holds_alternative<std::shared_ptr<const For>>(s); });
    return any;
  }

  // The axes that stay whole, from one to the last, around `body`.
  Body wrapped(Body body, size_t from = 0, size_t to = SIZE_MAX) const {
    for (size_t i = std::min(to, s_.outer.size()); i-- > from;) {
      const Loop& l = loops_[s_.outer[i]];
      body = {make_for({l.var, l.extent, LoopKind::Serial, std::move(body)})};
    }
    return body;
  }
  void mark_outermost() {
    For f = *std::get<std::shared_ptr<const For>>(k_.body[0]);
    f.kind = LoopKind::Parallel;
    k_.body = {make_for(std::move(f))};
  }

  void elementwise() {
    const Loop& v = loops_[s_.vector_axis];
    if (s_.columns == 0) {
      k_.body = wrapped(s_.divide ? stretches(v) : over_lanes(v));
      return;
    }
    const int piece = k_.vars++, lane = k_.vars++;
    const Index base = Index::var(piece) * s_.columns;
    Body body = substitute(inner_, v.var, base + Index::var(lane));
    body = {make_for({lane, Index::min(s_.columns, v.extent - base), LoopKind::Vector, body})};
    k_.body = wrapped({make_for({piece, v.extent.ceil_div(s_.columns), LoopKind::Serial, body})});
  }

  // What all lanes share is read and computed in front of them, within the loop that threads share.
  Body over_lanes(const Loop& v) {
    const Body lanes{make_for({v.var, v.extent, LoopKind::Vector, inner_})};
    return s_.outer.empty() ? lanes : shared_in_front(lanes);
  }
  // The same of all vector loops, and of what is around them.
  Body shared_in_front(const Body& body) const {
    Body out;
    for (const Stmt& s : body) {
      auto* f = std::get_if<std::shared_ptr<const For>>(&s);
      if (f && holds_vector(**f) && (*f)->extent.constant().value_or(0) > 0) {
        Body inside = shared_in_front((*f)->body), front = take_invariant(inside, (*f)->var, k_);
        out.insert(out.end(), front.begin(), front.end());
        out.push_back(make_for({(*f)->var, (*f)->extent, (*f)->kind, std::move(inside)}));
      } else {
        out.push_back(s);
      }
    }
    return out;
  }
  static bool holds_vector(const For& f) {
    return f.kind == LoopKind::Vector || std::any_of(f.body.begin(), f.body.end(), [](const Stmt& s) {
             auto* g = std::get_if<std::shared_ptr<const For>>(&s);
             return g && holds_vector(**g);
           });
  }

  // One loop for each stretch of the axis in which guards along it stay the same.
  Body stretches(const Loop& v) {
    const int64_t extent = v.extent.constant_part();
    std::vector<int64_t> ends = guard_changes(inner_, v.var, extent);
    ends.push_back(extent);
    Body out;
    int64_t from = 0;
    for (const int64_t end : ends) {
      Body body = within(inner_, v.var, from, end - from, k_);
      body = renumber({make_for({v.var, end - from, LoopKind::Vector, std::move(body)})}, k_);
      out.insert(out.end(), body.begin(), body.end());
      from = end;
    }
    return out;
  }

  // --- rows in turn --------------------------------------------------------------------------------------
  // `for piece { each statement for each of its rows }`; rows that are left over one after another.
  Body interleaved() {
    const Loop& l = loops_[s_.row_axis];
    const int piece = k_.vars++, row = k_.vars++;
    const Index first = Index::var(piece) * s_.rows;
    Body full = interleave(inner_, l.var, first, s_.rows, k_);
    const auto pieces = [&](Body body) {
      return Body{make_for({piece, l.extent.ceil_div(s_.rows), LoopKind::Serial, std::move(body)})};
    };
    if (l.extent.exact_div(s_.rows)) return pieces(std::move(full));
    const Index missing = first + s_.rows - l.extent;  // > 0 in the last piece
    Body rest = substitute(inner_, l.var, first + Index::var(row));
    rest = {make_for({row, l.extent - first, LoopKind::Serial, std::move(rest)})};
    Body body{make_if({{Index(0) - missing}, std::move(full)})};
    body.push_back(make_if({{missing - 1}, renumber(rest, k_)}));
    return pieces(std::move(body));
  }

  // `for block { for each stage { for the rows of the block } }`.
  Body distributed() {
    const Loop& l = loops_[s_.row_axis];
    const int block = k_.vars++;
    const int64_t size = s_.rows * s_.block;
    BlockOfRows rows{l.var, Index::var(block) * size, s_.rows, s_.block, 0, size};
    if (!l.extent.exact_div(size)) {
      const Index count = Index::min(size, l.extent - rows.first);
      rows.groups = count.floor_div(s_.rows);
      if (!l.extent.exact_div(s_.rows)) rows.rest = count - rows.groups * s_.rows;
    }
    return {make_for({block, l.extent.ceil_div(size), LoopKind::Serial, distribute(inner_, rows, k_)})};
  }

  // --- register tiles ------------------------------------------------------------------------------------
  void tile() {
    const bool has_rows = s_.row_axis >= 0, has_columns = s_.vector_axis >= 0;
    const int row_tile = has_rows ? k_.vars++ : -1, panel = has_columns ? k_.vars++ : -1;
    if (s_.stage_all) {
      k_.body = over_whole_panels(panel);
    } else if (s_.panel_first) {
      k_.body = s_.block > 0 ? over_blocks(row_tile, panel) : over_panels(row_tile, panel);
    } else if (s_.block > 0) {
      k_.body = wrapped(s_.row_blocks ? over_row_blocks(row_tile, panel) : over_blocks(row_tile, panel), 0,
                        around_blocks());
    } else {
      const auto pieces = [&] {
        return wrapped(has_columns ? over_panels(row_tile, panel) : over_rows(inner_, row_tile, no_loop()),
                       s_.outside);
      };
      k_.body = wrapped(summed(kept_axes(s_.outside), pieces), 0, s_.outside);
    }
  }
  static TileLoop no_loop() { return {}; }
  // How many whole axes stand around blocks: all, but where the sum pauses in each block.
  size_t around_blocks() const { return s_.terms > 0 ? s_.outside : s_.outer.size(); }

  // --- sums in blocks of terms -----------------------------------------------------------------------------
  // An axis of the partial sums that stay in memory from block to block.
  struct KeptAxis {
    Index at;
    int64_t extent;
  };
  // All but the first `outside` whole axes; lanes innermost.
  std::vector<KeptAxis> kept_axes(size_t outside) const {
    std::vector<KeptAxis> kept;
    for (size_t i = std::min(outside, s_.outer.size()); i < s_.outer.size(); ++i) keep(kept, s_.outer[i]);
    if (s_.row_axis >= 0) keep(kept, static_cast<size_t>(s_.row_axis));
    if (s_.vector_axis >= 0) keep(kept, static_cast<size_t>(s_.vector_axis));
    return kept;
  }
  void keep(std::vector<KeptAxis>& kept, size_t axis) const {
    if (s_.terms > 0) kept.push_back({Index::var(loops_[axis].var), *largest(loops_[axis].extent)});
  }

  // What `build` makes of the body, for each block of the sum's terms: what comes before the sum in the first
  // one, what comes after it in the last one, and between blocks partial sums wait in scratch. A chain that
  // pauses rounds as one that does not.
  template <class Build>
  Body summed(const std::vector<KeptAxis>& axes, Build&& build) {
    if (s_.terms == 0) return build();
    const Body whole = inner_;
    const SumParts sum = *parts_of_sum(inner_, k_);
    auto [fill, keep] = through_memory(sum.tiles, axes);
    const int block = k_.vars++, term = k_.vars++;
    const Index at = Index::var(block), first = at * s_.terms, extent = sum.loop->extent;
    const Index blocks = Index::max(1, extent.ceil_div(s_.terms)), last = at - blocks + 1;
    const Index count = extent.exact_div(s_.terms) ? Index(s_.terms) : Index::min(s_.terms, extent - first);
    inner_ = sum.constants;
    inner_.push_back(make_if({{Index(0) - at}, sum.before}));
    inner_.push_back(make_if({{at - 1}, std::move(fill)}));
    inner_.push_back(make_for({term, count, LoopKind::Serial,
                               substitute(sum.loop->body, sum.loop->var, first + Index::var(term))}));
    inner_.push_back(make_if({{Index(-1) - last}, std::move(keep)}));
    inner_.push_back(make_if({{last}, sum.after}));
    known_.push_back(block);
    Body out = renumber({make_for({block, blocks, LoopKind::Serial, build()})}, k_);
    known_.pop_back();
    inner_ = whole;
    return out;
  }

  // What fills accumulators from memory, and what keeps them there.
  std::pair<Body, Body> through_memory(const std::vector<int>& tiles, const std::vector<KeptAxis>& axes) {
    std::pair<Body, Body> out;
    Shape shape;
    std::vector<Index> at;
    for (const KeptAxis& a : axes) shape.push_back(a.extent), at.push_back(a.at);
    for (const int tile : tiles) {
      const int memory = static_cast<int>(k_.buffers.size());
      k_.buffers.push_back({fmt::format("a{}", memory), k_.buffers[tile].dtype, shape, Space::Scratch, {}});
      const Value in = k_.values++, back = k_.values++;
      out.first.push_back(Load{in, memory, at, {}, {}});
      out.first.push_back(Store{tile, {}, in});
      out.second.push_back(Load{back, tile, {}, {}, {}});
      out.second.push_back(Store{memory, at, back});
    }
    return out;
  }

  // --- blocks ----------------------------------------------------------------------------------------------
  // `for block { for panel { stage } for rows { for panel { tile } } }`: the rows are read once for a block.
  Body over_blocks(int row_tile, int panel) {
    const Loop v = loops_[s_.vector_axis];
    const int block = k_.vars++;
    const int64_t size = s_.columns * s_.block;
    const Index at = Index::var(block) * s_.block + Index::var(panel);
    auto inside = [&] {
      Body staged = inner_, all;
      if (s_.stage) all = staged_panels(staged, at, panel, s_.columns);
      auto tiles = [&](const TileLoop& rows) {
        std::map<int, int> expanded;
        Body tile = sink(renumber(staged, k_), rows, columns(at, s_.columns), k_, expanded);
        return renumber({make_for({panel, s_.block, LoopKind::Serial, std::move(tile)})}, k_);
      };
      Body body = row_variants(row_tile, tiles);
      if (s_.panel_first) body = renumber(wrapped(std::move(body)), k_);
      all.insert(all.end(), body.begin(), body.end());
      return all;
    };
    std::vector<KeptAxis> kept = kept_axes(SIZE_MAX);
    if (s_.terms > 0) kept.back() = {Index::var(v.var) - Index::var(block) * size, size};
    Body all = summed(kept, inside);
    return {make_for({block, v.extent.constant_part() / size, LoopKind::Serial, std::move(all)})};
  }

  // `for block { for panel { stage; for rows of the block { tile } } }`: a panel is read once for a block.
  // Where the sum pauses whole axes may stand inside: what a block of terms reads is then read once for them,
  // too.
  Body over_row_blocks(int row_tile, int panel) {
    Loop& l = loops_[s_.row_axis];
    const Loop whole = l;
    const int block = k_.vars++, row = k_.vars++;
    const int64_t size = s_.rows * s_.block;
    const Index first = Index::var(block) * size;
    l = {row, whole.extent.exact_div(size) ? Index(size) : Index::min(size, whole.extent - first)};
    if (whole.extent.is_constant()) rest_of_rows_ = whole.extent.constant_part() % s_.rows;
    inner_ = substitute(inner_, whole.var, first + Index::var(row));
    known_.push_back(block);
    Body all = summed(kept_axes(around_blocks()), [&] {
      if (!s_.stage_tiles) return wrapped(over_panels(row_tile, panel), around_blocks());
      const Body unstaged = inner_;
      Body body = staged_tiles(inner_, row_tile);
      const Body panels = over_panels(row_tile, panel);
      body.insert(body.end(), panels.begin(), panels.end());
      inner_ = unstaged;
      return wrapped(body, around_blocks());
    });
    return {make_for({block, whole.extent.ceil_div(size), LoopKind::Serial, renumber(all, k_)})};
  }

  // --- copies ----------------------------------------------------------------------------------------------
  StagedPieces pieces_of(int axis, int other, int64_t size) const {
    StagedPieces p;
    p.var = loops_[static_cast<size_t>(axis)].var;
    p.size = size, p.width = size;
    if (other >= 0) p.apart.push_back(loops_[static_cast<size_t>(other)].var);
    for (const Loop& o : loops_) p.known.push_back(o.var);
    p.known.insert(p.known.end(), k_.params.begin(), k_.params.end());
    p.known.insert(p.known.end(), known_.begin(), known_.end());
    return p;
  }
  // Of what the columns of one panel read, or of those of a block, which `slot` numbers.
  Body staged_panels(Body& body, const Index& panel, int slot, int64_t width) {
    StagedPieces p = pieces_of(s_.vector_axis, s_.row_axis, s_.columns);
    p.number = panel, p.width = width, p.transpose = s_.stage_rows;
    if (slot < 0) p.places = panel_copies_;
    if (slot >= 0) p.slot = slot, p.slots = s_.block, p.count = s_.block;
    for (size_t o : s_.outer)
      if (s_.panel_first) p.apart.push_back(loops_[o].var);
    return stage(body, p, k_);
  }
  // Of what the rows of the tiles of a block read.
  Body staged_tiles(Body& body, int row_tile) {
    StagedPieces p = pieces_of(s_.row_axis, s_.vector_axis, s_.rows);
    const Index& extent = loops_[s_.row_axis].extent;
    p.number = Index::var(row_tile), p.slot = row_tile, p.slots = s_.block;
    p.count = extent.floor_div(s_.rows), p.rest = extent - p.count * s_.rows;
    p.neighbours = true;
    return stage(body, p, k_);
  }

  TileLoop full_rows(const Index& tile) {
    TileLoop rows;
    rows.var = loops_[s_.row_axis].var;
    rows.inner = k_.vars++;
    rows.extent = s_.rows;
    rows.position = rows.clamped = tile * s_.rows + Index::var(rows.inner);
    return rows;
  }

  // `for panel { stage; for rows { tiles } }`, or rows outermost.
  Body over_panels(int row_tile, int panel) {
    const Loop& v = loops_[s_.vector_axis];
    const int64_t n = v.extent.constant_part(), whole = n / s_.columns, rest = n % s_.columns;
    Body body;
    if (s_.columns_outer) {
      panel_copies_.clear();
      auto variant = [&](int64_t width) { return panel_body(row_tile, panel, width); };
      body = panel_variants(panel, whole, rest, variant);
      return {make_for({panel, whole + (rest > 0), LoopKind::Serial, std::move(body)})};
    }
    return over_rows_outer(row_tile, panel, whole, rest);
  }

  template <class F>
  Body panel_variants(int panel, int64_t whole, int64_t rest, F&& variant) {
    if (rest == 0) return variant(s_.columns);
    if (whole == 0) return variant(rest);
    const Index last = Index::var(panel) - Index(whole);  // >= 0 in the last panel
    Body body{make_if({{Index(-1) - last}, variant(s_.columns)})};
    body.push_back(make_if({{last}, variant(rest)}));
    return body;
  }

  // `for panel { stage; for the axes inside { tile } }`, of all rows of the other axis. What is left of the
  // lanes' axis, whose length nobody may know, becomes rows, and the rows become lanes.
  Body over_whole_panels(int panel) {
    const Loop &v = loops_[s_.vector_axis], &l = loops_[s_.row_axis];
    const Index at = Index::var(panel), first = at * s_.columns;
    const auto tiles = [&](const Body& inner, const TileLoop& rows, const TileLoop& columns) {
      std::map<int, int> expanded;
      return sink(renumber(inner, k_), rows, columns, k_, expanded);
    };
    Body staged = inner_;
    StagedPieces p = pieces_of(s_.vector_axis, s_.row_axis, s_.columns);
    p.number = at, p.transpose = s_.stage_rows;
    Body full = stage_all(staged, p, k_);
    const Body tile =
        renumber(wrapped(tiles(staged, piece_of(l, Index(0), s_.rows), columns(at, s_.columns))), k_);
    full.insert(full.end(), tile.begin(), tile.end());
    if (v.extent.exact_div(s_.columns))
      return {make_for({panel, v.extent.floor_div(s_.columns), LoopKind::Serial, std::move(full)})};
    constexpr int64_t kRows = 8;  // of a tile of the rest, beside one or two vectors
    const int some = k_.vars++;
    TileLoop rows = piece_of(v, first + Index::var(some) * kRows, kRows);
    rows.clamped = Index::min(rows.position, v.extent - 1);
    rows.valid = Index::min(v.extent - 1 - rows.position, Index(kRows - 1) - Index::var(rows.inner));
    Body rest = wrapped({make_for({some, (v.extent - first).ceil_div(kRows), LoopKind::Serial,
                                   tiles(inner_, rows, piece_of(l, Index(0), s_.rows))})});
    const Index missing = first + s_.columns - v.extent;  // > 0 in the last panel
    Body body{make_if({{Index(0) - missing}, std::move(full)})};
    body.push_back(make_if({{missing - 1}, renumber(rest, k_)}));
    return {make_for({panel, v.extent.ceil_div(s_.columns), LoopKind::Serial, std::move(body)})};
  }
  TileLoop piece_of(const Loop& l, const Index& first, int64_t size) {
    TileLoop t;
    t.var = l.var;
    t.inner = k_.vars++;
    t.extent = size;
    t.position = t.clamped = first + Index::var(t.inner);
    return t;
  }

  TileLoop columns(const Index& panel, int64_t width) {
    TileLoop c;
    c.var = loops_[s_.vector_axis].var;
    c.inner = k_.vars++;
    c.extent = width;
    c.position = c.clamped = panel * s_.columns + Index::var(c.inner);
    return c;
  }

  Body panel_body(int row_tile, int panel, int64_t width) {
    Body staged = inner_, copy;
    const auto before = static_cast<int>(k_.buffers.size());
    if (s_.stage) copy = staged_panels(staged, Index::var(panel), -1, width);
    // The other of a full panel and the last has its copies in the same places, so that they stay near.
    for (int b = before; b < static_cast<int>(k_.buffers.size()); ++b) panel_copies_.push_back(b);
    Body body = over_rows(staged, row_tile, columns(Index::var(panel), width));
    if (s_.panel_first) body = renumber(wrapped(std::move(body)), k_);
    copy.insert(copy.end(), body.begin(), body.end());
    return copy;
  }

  Body over_rows_outer(int row_tile, int panel, int64_t whole, int64_t rest) {
    auto tiles = [&](const TileLoop& rows) {
      auto variant = [&](int64_t width) {
        std::map<int, int> expanded;
        return sink(renumber(inner_, k_), rows, columns(Index::var(panel), width), k_, expanded);
      };
      Body body = panel_variants(panel, whole, rest, variant);
      return Body{renumber({make_for({panel, whole + (rest > 0), LoopKind::Serial, std::move(body)})}, k_)};
    };
    return row_variants(row_tile, tiles);
  }

  Body over_rows(const Body& inner, int row_tile, const TileLoop& columns) {
    auto tiles = [&](const TileLoop& rows) {
      std::map<int, int> expanded;
      return sink(renumber(inner, k_), rows, columns, k_, expanded);
    };
    return row_variants(row_tile, tiles);
  }

  // Full tiles, and where the extent does not divide, the rest: an edge tile with clamped loads and
  // predicated stores where nobody knows how many rows that is. In blocks of full tiles it is what is left of
  // the whole axis.
  template <class F>
  Body row_variants(int row_tile, F&& tiles) {
    if (s_.row_axis < 0) return tiles(no_loop());
    const Loop& l = loops_[s_.row_axis];
    const TileLoop rows = full_rows(Index::var(row_tile));
    const Index base = Index::var(row_tile) * s_.rows;
    const bool divides = l.extent.exact_div(s_.rows) || rest_of_rows_ == 0;
    Body body;
    if (divides) {
      body = tiles(rows);
    } else if (l.extent.is_constant()) {
      TileLoop last = rows;
      last.extent = l.extent.constant_part() % s_.rows;
      const Index whole =
          Index::var(row_tile) - Index(l.extent.constant_part() / s_.rows);  // >= 0 in the last
      body.push_back(make_if({{Index(-1) - whole}, tiles(rows)}));
      body.push_back(make_if({{whole}, tiles(last)}));
    } else {
      const Index missing = base + Index(s_.rows) - l.extent;  // > 0 in the edge tile
      TileLoop edge = rows;
      if (rest_of_rows_)
        edge.extent = *rest_of_rows_;
      else
        edge.clamped = Index::min(rows.position, l.extent - 1), edge.valid = l.extent - 1 - rows.position;
      body.push_back(make_if({{Index(0) - missing}, tiles(rows)}));
      body.push_back(make_if({{missing - 1}, tiles(edge)}));
    }
    return {renumber({make_for({row_tile, l.extent.ceil_div(s_.rows), LoopKind::Serial, std::move(body)})},
                     k_)[0]};
  }

  // Tiles that expansion replaced are gone from the text.
  void drop_unused_tiles() {
    std::vector<bool> used(k_.buffers.size(), false);
    walk(k_.body, [&](const Stmt& s) {
      if (auto* l = std::get_if<Load>(&s)) used[l->buffer] = true;
      if (auto* w = std::get_if<Store>(&s)) used[w->buffer] = true;
      if (auto* t = std::get_if<Tree>(&s)) used[t->tile] = true;
    });
    std::vector<int> number(k_.buffers.size(), -1);
    std::vector<Buffer> kept;
    for (size_t b = 0; b < k_.buffers.size(); ++b) {
      const bool parameter = k_.buffers[b].space != Space::Tile && k_.buffers[b].space != Space::Scratch;
      if (!used[b] && !parameter) continue;
      number[b] = static_cast<int>(kept.size());
      kept.push_back(k_.buffers[b]);
    }
    k_.buffers = std::move(kept);
    k_.body = renumber_buffers(k_.body, number);
  }
  static Body renumber_buffers(const Body& body, const std::vector<int>& number) {
    Body out;
    for (Stmt s : body) {
      if (auto* f = std::get_if<std::shared_ptr<const For>>(&s)) {
        s = make_for({(*f)->var, (*f)->extent, (*f)->kind, renumber_buffers((*f)->body, number)});
      } else if (auto* i = std::get_if<std::shared_ptr<const If>>(&s)) {
        s = make_if({(*i)->conditions, renumber_buffers((*i)->body, number)});
      } else if (auto* l = std::get_if<Load>(&s)) {
        l->buffer = number[l->buffer];
      } else if (auto* w = std::get_if<Store>(&s)) {
        w->buffer = number[w->buffer];
      } else if (auto* t = std::get_if<Tree>(&s)) {
        t->tile = number[t->tile];
      }
      out.push_back(std::move(s));
    }
    return out;
  }

  Kernel k_;
  const LoopForm& s_;
  std::vector<Loop> loops_;
  Body inner_;
  std::vector<int> known_;  // variables of the loops around blocks
  std::vector<int> panel_copies_;
  std::optional<int64_t> rest_of_rows_;  // in blocks of an axis whose extent is constant
};

}  // namespace

Kernel apply_schedule(const Kernel& k, const Schedule& s) {
  const LoopForm form = replay(k, s);
  return Scheduler(k, form).run();
}

}  // namespace gradc::passes
