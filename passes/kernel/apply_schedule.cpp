// Writes the loops that a schedule's steps result in: splits, reorders and distributes those of a naive
// kernel.
#include <algorithm>

#include "passes/kernel/rewrite.h"
#include "passes/kernel/schedule.h"
#include "support/check.h"

namespace gradc::passes {
namespace {

using namespace kernel;

constexpr int64_t kMaxPanelBytes = 1 << 20;

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
    if (s_.vector_axis < 0 && s_.row_axis < 0) {
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

  // The axes that stay whole, around `body`.
  Body wrapped(Body body) const {
    for (size_t i = s_.outer.size(); i-- > 0;) {
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
      k_.body =
          wrapped(s_.divide ? stretches(v) : Body{make_for({v.var, v.extent, LoopKind::Vector, inner_})});
      return;
    }
    const int piece = k_.vars++, lane = k_.vars++;
    const Index base = Index::var(piece) * s_.columns;
    Body body = substitute(inner_, v.var, base + Index::var(lane));
    body = {make_for({lane, Index::min(s_.columns, v.extent - base), LoopKind::Vector, body})};
    k_.body = wrapped({make_for({piece, v.extent.ceil_div(s_.columns), LoopKind::Serial, body})});
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

  // --- register tiles ------------------------------------------------------------------------------------
  void tile() {
    const bool has_rows = s_.row_axis >= 0, has_columns = s_.vector_axis >= 0;
    const int row_tile = has_rows ? k_.vars++ : -1, panel = has_columns ? k_.vars++ : -1;
    Body body = s_.row_blocks  ? over_row_blocks(row_tile, panel)
                : s_.block > 0 ? over_blocks(row_tile, panel)
                : has_columns  ? over_panels(row_tile, panel)
                               : over_rows(inner_, row_tile, no_loop(), {});
    k_.body = s_.panel_first ? std::move(body) : wrapped(std::move(body));
  }
  static TileLoop no_loop() { return {}; }

  // `for block { for panel { stage } for rows { for panel { tile } } }`: the rows are read once for a block.
  Body over_blocks(int row_tile, int panel) {
    const Loop& v = loops_[s_.vector_axis];
    const int block = k_.vars++;
    const Index at = Index::var(block) * s_.block + Index::var(panel);
    Body staged = inner_, all;
    if (s_.stage) {
      const Body copy = stage(staged, at, panel, s_.columns);
      if (!copy.empty()) all = renumber({make_for({panel, s_.block, LoopKind::Serial, copy})}, k_);
    }
    auto tiles = [&](const TileLoop& rows) {
      std::map<int, int> expanded;
      Body tile = sink(renumber(staged, k_), rows, columns(at, s_.columns), k_, expanded);
      return renumber({make_for({panel, s_.block, LoopKind::Serial, std::move(tile)})}, k_);
    };
    Body body = row_variants(row_tile, tiles);
    if (s_.panel_first) body = renumber(wrapped(std::move(body)), k_);
    all.insert(all.end(), body.begin(), body.end());
    return {make_for(
        {block, v.extent.constant_part() / (s_.columns * s_.block), LoopKind::Serial, std::move(all)})};
  }

  // `for block { for panel { stage; for rows of the block { tile } } }`: a panel is read once for a block.
  Body over_row_blocks(int row_tile, int panel) {
    const Loop &v = loops_[s_.vector_axis], &l = loops_[s_.row_axis];
    const int block = k_.vars++;
    Body staged = inner_, all;
    if (s_.stage) all = stage(staged, Index::var(panel), -1, s_.columns);
    const TileLoop rows = full_rows(Index::var(block) * s_.block + Index::var(row_tile));
    std::map<int, int> expanded;
    Body tile = sink(renumber(staged, k_), rows, columns(Index::var(panel), s_.columns), k_, expanded);
    all.push_back(make_for({row_tile, s_.block, LoopKind::Serial, std::move(tile)}));
    all = {make_for({panel, v.extent.constant_part() / s_.columns, LoopKind::Serial, std::move(all)})};
    all = renumber(all, k_);
    return {make_for({block, *l.extent.exact_div(s_.rows * s_.block), LoopKind::Serial, std::move(all)})};
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
    if (s_.stage) copy = stage(staged, Index::var(panel), -1, width);
    Body body = over_rows(staged, row_tile, columns(Index::var(panel), width), {});
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

  Body over_rows(const Body& inner, int row_tile, const TileLoop& columns, const std::map<int, int>&) {
    auto tiles = [&](const TileLoop& rows) {
      std::map<int, int> expanded;
      return sink(renumber(inner, k_), rows, columns, k_, expanded);
    };
    return row_variants(row_tile, tiles);
  }

  // Full tiles, and where the extent does not divide, the rest: an edge tile with clamped loads and
  // predicated stores where nobody knows how many rows that is.
  template <class F>
  Body row_variants(int row_tile, F&& tiles) {
    if (s_.row_axis < 0) return tiles(no_loop());
    const Loop& l = loops_[s_.row_axis];
    const TileLoop rows = full_rows(Index::var(row_tile));
    const Index base = Index::var(row_tile) * s_.rows;
    const bool divides = l.extent.exact_div(s_.rows).has_value();
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
      edge.clamped = Index::min(rows.position, l.extent - 1);
      edge.valid = l.extent - 1 - rows.position;
      body.push_back(make_if({{Index(0) - missing}, tiles(rows)}));
      body.push_back(make_if({{missing - 1}, tiles(edge)}));
    }
    return {renumber({make_for({row_tile, l.extent.ceil_div(s_.rows), LoopKind::Serial, std::move(body)})},
                     k_)[0]};
  }

  // --- staging -------------------------------------------------------------------------------------------
  // Copies what the tile's columns read, over all iterations of the reduction loops around the load, into
  // scratch [loops..., columns], of which there is one for each panel of a block, numbered by the variable
  // `slot` if that is not -1; rewrites the loads in `body`. Returns the copy.
  Body stage(Body& body, const Index& panel, int slot, int64_t width) {
    Body copies;
    std::vector<const For*> around;
    slot_ = slot;
    body = stage_in(body, around, panel, width, copies);
    return copies;
  }

  Body stage_in(const Body& body, std::vector<const For*>& around, const Index& panel, int64_t width,
                Body& copies) {
    Body out;
    for (const Stmt& s : body) {
      if (auto* f = std::get_if<std::shared_ptr<const For>>(&s)) {
        around.push_back(f->get());
        out.push_back(make_for(
            {(*f)->var, (*f)->extent, (*f)->kind, stage_in((*f)->body, around, panel, width, copies)}));
        around.pop_back();
      } else if (auto* l = std::get_if<Load>(&s); l && stageable(*l, around, width)) {
        out.push_back(stage_load(*l, around, panel, width, copies));
      } else {
        out.push_back(s);
      }
    }
    return out;
  }

  bool stageable(const Load& l, const std::vector<const For*>& around, int64_t width) const {
    const Buffer& b = k_.buffers[l.buffer];
    if (around.empty() || b.space != Space::In || !l.guards.empty()) return false;
    const Index a = address(b, l.at);
    if (!a.uses_var(loops_[s_.vector_axis].var)) return false;
    if (s_.row_axis >= 0 && a.uses_var(loops_[s_.row_axis].var)) return false;
    for (size_t o : s_.outer)
      if (s_.panel_first && a.uses_var(loops_[o].var)) return false;
    int64_t bytes = (slot_ >= 0 ? s_.block : 1) * width * size_of(b.dtype);
    std::vector<int> known;
    for (const For* f : around) {
      if (!f->extent.is_constant() || !a.uses_var(f->var)) return false;
      bytes *= f->extent.constant_part();
      known.push_back(f->var);
    }
    for (const Loop& o : loops_) known.push_back(o.var);
    known.insert(known.end(), k_.params.begin(), k_.params.end());
    bool closed = true;  // every variable is a loop: nothing bound inside the body
    for (const Index& e : l.at)
      e.substitute([&](int v) {
        closed &= std::find(known.begin(), known.end(), v) != known.end();
        return Index::var(v);
      });
    return closed && bytes <= kMaxPanelBytes;
  }

  Stmt stage_load(const Load& l, const std::vector<const For*>& around, const Index& panel, int64_t width,
                  Body& copies) {
    const DType t = k_.buffers[l.buffer].dtype;
    Shape shape;
    if (slot_ >= 0) shape.push_back(s_.block);
    for (const For* f : around) shape.push_back(f->extent);
    shape.push_back(s_.columns);
    k_.buffers.push_back({fmt::format("p{}", k_.buffers.size()), t, shape, Space::Scratch, {}});
    const int scratch = static_cast<int>(k_.buffers.size()) - 1;
    const int v = loops_[s_.vector_axis].var;
    std::vector<Index> from, to;
    if (slot_ >= 0) from.push_back(Index::var(slot_));
    for (const For* f : around) from.push_back(Index::var(f->var));
    to = from;
    from.push_back(Index::var(v) - panel * s_.columns);
    const int lane = k_.vars++;
    to.push_back(Index::var(lane));
    Load source{k_.values++, l.buffer, l.at, {}, {}};
    for (Index& e : source.at)
      e = e.substitute([&](int x) { return x == v ? panel * s_.columns + Index::var(lane) : Index::var(x); });
    Body copy{source, Store{scratch, to, source.result}};
    copy = {make_for({lane, width, LoopKind::Vector, copy})};
    const bool blocks = s_.stage_rows > 1 && lies_transposed(l, v, around.back()->var);
    for (size_t i = around.size(); i-- > 0;)
      copy = blocks && i + 1 == around.size()
                 ? in_blocks(*around[i], copy)
                 : Body{make_for({around[i]->var, around[i]->extent, LoopKind::Serial, copy})};
    copy = renumber(copy, k_);
    copies.insert(copies.end(), copy.begin(), copy.end());
    return Load{l.result, scratch, from, {}, {}};
  }

  // Whether the load's lanes lie apart and what the next iteration reads follows, lane by lane.
  bool lies_transposed(const Load& l, int lanes, int loop) const {
    const Index a = address(k_.buffers[l.buffer], l.at);
    const std::optional<Index> step = a.coefficient_of(lanes);
    return step && !step->is(1) && !step->is(0) && a.coefficient_of(loop) == Index(1);
  }
  // A loop whose iterations are unrolled in blocks, which code generation transposes.
  Body in_blocks(const For& f, const Body& body) {
    const int64_t rows = s_.stage_rows, whole = f.extent.constant_part() / rows;
    const auto unrolled = [&](const Index& first, int64_t count) {
      const int row = k_.vars++;
      return make_for({row, count, LoopKind::Unroll, substitute(body, f.var, first + Index::var(row))});
    };
    Body out;
    const int block = k_.vars++;
    if (whole > 0)
      out.push_back(make_for({block, whole, LoopKind::Serial, {unrolled(Index::var(block) * rows, rows)}}));
    if (const int64_t rest = f.extent.constant_part() % rows; rest > 0)
      out.push_back(unrolled(whole * rows, rest));
    return renumber(out, k_);
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
  int slot_ = -1;  // the variable that numbers staged panels
};

}  // namespace

Kernel apply_schedule(const Kernel& k, const Schedule& s) {
  const LoopForm form = replay(k, s);
  return Scheduler(k, form).run();
}

}  // namespace gradc::passes
