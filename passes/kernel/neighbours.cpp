#include "passes/kernel/neighbours.h"

#include <algorithm>
#include <numeric>

#include "passes/kernel/rewrite.h"
#include "support/check.h"

namespace gradc::passes {
namespace {

using namespace kernel;

class Search {
 public:
  Search(const Kernel& k, const LoopForm& from, const ScheduleOptions& o)
      : k_(k), from_(from), lanes_(o.machine.lanes), registers_(o.machine.vector_registers) {
    const Nest nest = nest_of(k);
    for (const For* f : nest.loops) extents_.push_back(planned(f->extent, o));
    if (const std::optional<SumParts> sum = parts_of_sum(*nest.body, k))
      terms_ = planned(sum->loop->extent, o);
    walk(*nest.body, [&](const Stmt& s) { sums_ |= std::holds_alternative<std::shared_ptr<const For>>(s); });
    for (const Buffer& b : k.buffers) {
      accumulators_ += b.space == Space::Tile;
      if (sums_ && b.space == Space::Tile && size_of(b.dtype) == 8) lanes_ = std::max(1, lanes_ / 2);
    }
  }

  Neighbours run() {
    tiles();
    staging();
    blocks();
    terms();
    order();
    axes();
    rows_in_turn();
    return std::move(found_);
  }

 private:
  // Ends that move with a variable are taken where it is 0.
  static int64_t planned(const Index& extent, const ScheduleOptions& o) {
    const auto dim = [&](const std::string& d) {
      const auto it = o.plan.find(d);
      return it == o.plan.end() ? int64_t{64} : it->second;
    };
    return std::max<int64_t>(1, extent.evaluate([](int) { return int64_t{0}; }, dim));
  }
  int64_t extent(int axis) const { return extents_[static_cast<size_t>(axis)]; }
  int axes_count() const { return static_cast<int>(extents_.size()); }
  static int64_t pieces(int64_t extent, int64_t size) {
    return (extent + size - 1) / std::max<int64_t>(1, size);
  }

  void add(LoopForm f) {
    tidy(f);
    try {
      f = replay(k_, write_schedule(k_, f));
    } catch (const InternalError&) {
      ++found_.refused;
      return;
    }
    if (f != from_ && std::find(found_.allowed.begin(), found_.allowed.end(), f) == found_.allowed.end())
      found_.allowed.push_back(std::move(f));
  }

  // What goes without saying once another decision has changed.
  void tidy(LoopForm& f) const {
    if (f.row_axis >= 0) f.rows = std::min(f.rows, extent(f.row_axis));
    if (f.vector_axis >= 0) f.columns = std::min(f.columns, extent(f.vector_axis));
    const bool both = f.row_axis >= 0 && f.vector_axis >= 0 && f.columns > 0;
    if (!both) f.block = 0, f.panel_first = false;
    if (f.block > 0 && !f.row_blocks && pieces(extent(f.vector_axis), f.columns) % f.block != 0) f.block = 0;
    if (f.block == 0) f.row_blocks = false;
    if (!f.row_blocks) f.stage_tiles = false;
    if (!f.stage && !f.stage_all) f.stage_rows = 0;
    if (f.stage || f.panel_first) f.columns_outer = true;
    if (f.terms > 0 && f.block > 0 && !f.row_blocks) f.outside = f.outer.size();
  }

  static constexpr int64_t kHidden = 8;  // accumulators that hide the latency of a multiply-add

  // --- decisions -----------------------------------------------------------------------------------------
  struct Tile {
    int64_t rows, columns;
  };
  // The most rows that registers hold beside the vectors that are loaded.
  int64_t most_rows(int64_t vectors) const {
    return std::max<int64_t>(1, (registers_ - vectors - 1) / (vectors * std::max(1, accumulators_)));
  }
  // Sizes for two axes, -1 for none: all that differ in the tiles that they make, or a few of them.
  std::vector<Tile> sizes(int row, int column, bool all) const {
    std::vector<Tile> out;
    if (!sums_) {  // pieces of an axis for threads, or blocks that are transposed
      if (row < 0) return {{1, 0}, {1, int64_t{4} * lanes_}, {1, 1024}};
      for (const int64_t r : {lanes_ / 2, lanes_, 2 * lanes_})
        for (const int64_t c : {lanes_ / 2, lanes_}) out.push_back({r, c});
      return out;
    }
    if (column < 0) return {{2, 0}, {4, 0}, {8, 0}};
    for (int64_t vectors = row < 0 ? 8 : 4; vectors >= 1; vectors -= all ? 1 : (vectors + 1) / 2) {
      if (row < 0) out.push_back({1, vectors * lanes_});
      for (int64_t r = row < 0 ? 0 : most_rows(vectors), before = 0; r >= 1; --r) {
        const int64_t tiles = pieces(extent(row), r);
        // The fewest rows that make so many tiles; a tile of few accumulators waits for each.
        const bool few = r * vectors < kHidden && r < most_rows(vectors) && tiles > 1;
        if (r > 1 && (few || pieces(extent(row), r - 1) == tiles)) continue;
        if (!all && before > 0 && 2 * r > before) continue;
        out.push_back({before = r, vectors * lanes_});
      }
    }
    return out;
  }

  void tiles() {
    if ((from_.row_axis < 0 && from_.vector_axis < 0) || from_.interleave) return;
    for (const Tile& t : sizes(from_.row_axis, from_.vector_axis, true)) {
      LoopForm f = from_;
      f.rows = t.rows, f.columns = t.columns;
      add(f);
    }
  }

  void staging() {
    if (!sums_) {
      LoopForm f = from_;
      f.divide = !f.divide;
      return add(f);
    }
    for (const auto& [stage, rows] : {std::pair{false, 0}, {true, 0}, {true, lanes_}}) {
      LoopForm f = from_;
      f.stage = stage, f.stage_rows = rows;
      add(f);
    }
    if (!from_.row_blocks) return;
    LoopForm f = from_;
    f.stage_tiles = !f.stage_tiles;
    add(f);
  }

  void blocks() {
    LoopForm f = from_;
    f.block = 0;
    add(f);
    if (from_.row_axis < 0 || from_.columns == 0) return;
    for (const bool rows : {false, true}) {
      const int64_t all = rows ? pieces(extent(from_.row_axis), from_.rows)
                               : pieces(extent(from_.vector_axis), from_.columns);
      int64_t before = 1;
      for (int64_t n = 2; n <= std::min<int64_t>(all, 64); ++n) {
        if ((!rows && all % n != 0) || n < 2 * before) continue;
        f.block = before = n, f.row_blocks = rows;
        f.stage_tiles = false;
        add(f);
        f.stage_tiles = rows;
        add(f);
      }
    }
  }

  // Sums that pause, between any two of the loops that stay whole.
  void terms() {
    LoopForm f = from_;
    f.terms = 0, f.outside = 0;
    add(f);
    for (f.terms = 1; 2 * f.terms <= terms_; f.terms *= 4)
      for (f.outside = 0; f.outside <= from_.outer.size(); ++f.outside) add(f);
  }

  void order() {
    for (size_t i = 1; i < from_.outer.size(); ++i) {
      LoopForm f = from_;
      std::rotate(f.outer.begin(), f.outer.begin() + static_cast<long>(i),
                  f.outer.begin() + static_cast<long>(i) + 1);
      add(f);
      f = from_;
      std::swap(f.outer[i - 1], f.outer[i]);
      add(f);
    }
    LoopForm f = from_;
    f.columns_outer = !f.columns_outer;
    if (!f.columns_outer) f.stage = false;
    add(f);
    f = from_;
    f.panel_first = !f.panel_first;
    add(f);
  }

  // Every pair of axes, each with a few tiles, staged or not.
  void axes() {
    for (int v = -1; v < axes_count(); ++v)
      for (int r = -1; r < axes_count(); ++r) {
        if (v == r || (v == from_.vector_axis && r == from_.row_axis)) continue;
        if ((v >= 0 && extent(v) < 2) || (r >= 0 && extent(r) < 2)) continue;
        LoopForm f;
        f.vector_axis = v, f.row_axis = r, f.parallel = from_.parallel;
        f.outer = others(v, r);
        for (const Tile& t : sizes(r, v, false))
          for (const bool stage : {false, true}) {
            f.rows = t.rows, f.columns = t.columns, f.stage = stage && sums_;
            add(f);
          }
      }
  }
  void rows_in_turn() {
    if (!from_.interleave && (from_.row_axis >= 0 || from_.vector_axis >= 0)) return;
    for (int r = -1; r < axes_count(); ++r)
      for (const int64_t rows : {2, 4, 8}) {
        LoopForm f;
        f.parallel = from_.parallel, f.interleave = r >= 0;
        f.row_axis = r, f.rows = r < 0 ? 1 : rows;
        for (size_t a = 0; a < extents_.size(); ++a)
          if (static_cast<int>(a) != r) f.outer.push_back(a);
        add(f);
        for (const int64_t pieces : {4, 8}) {
          f.block = pieces, f.distribute = true;
          if (f.interleave) add(f);
        }
      }
  }
  std::vector<size_t> others(int a, int b) const {
    std::vector<size_t> all(extents_.size());
    std::iota(all.begin(), all.end(), size_t{0});
    std::erase_if(all, [&](size_t x) { return static_cast<int>(x) == a || static_cast<int>(x) == b; });
    std::stable_sort(all.begin(), all.end(), [&](size_t x, size_t y) { return extents_[x] > extents_[y]; });
    return all;
  }

  const Kernel& k_;
  const LoopForm& from_;
  int lanes_, registers_, accumulators_ = 0;
  bool sums_ = false;  // whether there are loops inside the axes
  int64_t terms_ = 0;  // of a sum that may pause
  std::vector<int64_t> extents_;
  Neighbours found_;
};

}  // namespace

Neighbours neighbours(const Kernel& k, const LoopForm& form, const ScheduleOptions& o) {
  return Search(k, form, o).run();
}

std::string describe(const Kernel& k, const LoopForm& f) {
  const auto name = [&](int axis) { return axis_name(k, static_cast<size_t>(axis)); };
  std::string text;
  if (f.row_axis >= 0 && f.vector_axis >= 0)
    text = fmt::format("tile {}x{} of {}, {}", f.rows, f.columns, name(f.row_axis), name(f.vector_axis));
  else if (f.row_axis >= 0)
    text = fmt::format("{} rows of {}{}", f.rows, name(f.row_axis), f.interleave ? " in turn" : "");
  else if (f.vector_axis >= 0)
    text = fmt::format("lanes {}{}", name(f.vector_axis),
                       f.columns > 0 ? fmt::format(" in pieces of {}", f.columns) : "");
  else
    text = "loops";
  std::string outer;
  for (const size_t a : f.outer) outer += (outer.empty() ? "" : ",") + axis_name(k, a);
  if (!outer.empty()) text += " in " + outer;
  if (f.distribute) text += "; stage by stage";
  if (f.stage) text += f.stage_rows > 0 ? fmt::format("; staged by {}", f.stage_rows) : "; staged";
  if (f.stage_tiles) text += "; tiles staged";
  if (f.panel_first) text += "; panels first";
  if (!f.columns_outer) text += "; rows outside";
  if (f.block > 0)
    text += fmt::format("; {} {} a block", f.block, f.row_blocks || f.distribute ? "tiles" : "panels");
  if (f.terms > 0) text += fmt::format("; {} terms a block inside {} loops", f.terms, f.outside);
  if (f.divide) text += "; divided";
  return text;
}

}  // namespace gradc::passes
