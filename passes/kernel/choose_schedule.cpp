// The policy: the steps for one kernel, with their numbers and reasons, from its accesses, its extents at
// planned dimensions and the machine.
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "passes/kernel/blocks.h"
#include "passes/kernel/rewrite.h"
#include "passes/kernel/schedule.h"
#include "passes/kernel/stage.h"

namespace gradc::passes {
namespace {

using namespace kernel;

class Chooser : public Blocks {
 public:
  using Blocks::Blocks;

  Schedule run() {
    Choice c;
    c.parallel = total_work() >= static_cast<double>(o_.machine.parallel_threshold) && !nest_.loops.empty();
    if (nest_.loops.empty() || has_vector_ || has_branch_ || rows_) {
      c.why.what = nest_.loops.empty() ? "scalars" : "rows";
      if (!nest_.loops.empty()) choose_rows_in_turn(c);
    } else if (has_serial_) {
      choose_tile(c);
    } else {
      choose_elementwise(c);
    }
    order_outer(c);
    if (c.stage) c.stage_rows = stage_blocks(c);
    c.why.parallel = fmt::format("{:.0f} operations", total_work());
    return write_schedule(k_, c, c.why);
  }

 private:
  // Rows that are short wait for their sums and what follows them: several take turns, where threads have
  // enough pieces then. What comes from memory or goes there is stored in pieces that a core can hold back.
  void choose_rows_in_turn(Choice& c) const {
    constexpr double kLong = 1024, kHeldBack = 2048;  // elements; bytes
    constexpr int64_t kRows = 4;
    bool waits = false;
    walk(*nest_.body, [&](const Stmt& s) { waits |= std::holds_alternative<Tree>(s); });
    const int64_t all = extent(nest_.loops.size() - 1), pieces = (all + kRows - 1) / kRows;
    if (!waits || terms_ > kLong || all < kRows || (c.parallel && pieces < o_.machine.cores)) return;
    if (kRows * 4 * terms_ > kHeldBack && bytes_of_all_accesses() > 4 * far_bytes()) return;
    c.row_axis = static_cast<int>(nest_.loops.size()) - 1;
    c.rows = kRows, c.interleave = true;
    c.why.rows = "rows that are short";
    c.why.what = fmt::format("rows, {} in turn", kRows);
    choose_stages(c, all);
  }

  // Blocks of rows go through the stages where rows wait often for what they read and write, and where that
  // stays within reach: of two first-level caches, and of those that follow, as rows that come from memory
  // are to keep coming.
  void choose_stages(Choice& c, int64_t rows) const {
    constexpr double kReach = 1 << 16, kOften = 1200;  // bytes of a block; of a row for each sum it waits for
    double one = bytes_of_all_accesses(), all = 1;
    if (one > 4 * far_bytes()) return;
    for (size_t a = 0; a < nest_.loops.size(); ++a) all *= static_cast<double>(extent(a));
    one /= all;
    for (const Buffer& b : k_.buffers) {
      double bytes = b.space == Space::Scratch ? static_cast<double>(size_of(b.dtype)) : 0;
      for (const Index& e : b.shape) bytes *= static_cast<double>(planned(e));
      one += bytes;
    }
    if (one > kOften * sums_that_loops_follow()) return;
    for (const int64_t groups : {8, 4}) {
      const int64_t size = groups * c.rows, blocks = (rows + size - 1) / size;
      if (static_cast<double>(size) * one > kReach || rows < size ||
          (c.parallel && blocks < o_.machine.cores))
        continue;
      c.block = groups, c.distribute = true;
      c.why.block = "a stage for all of them before the next";
      c.why.what = fmt::format("rows, {} stage by stage", size);
      return;
    }
  }
  int sums_that_loops_follow() const {
    int sums = 0, behind = 0;
    for (const Stmt& s : *nest_.body) {
      behind += std::holds_alternative<Tree>(s);
      if (std::holds_alternative<std::shared_ptr<const For>>(s)) sums += std::exchange(behind, 0);
    }
    return sums;
  }

  // The axis whose lanes read side by side, full vectors, the innermost of equals.
  int best_vector_axis() const {
    int best = -1;
    const auto key = [&](int a) {
      const int64_t n = extent(static_cast<size_t>(a)), lanes = o_.machine.lanes;
      const Strided bad = strided_accesses(static_cast<size_t>(a));
      return std::make_tuple(n < lanes && n <= 2, bad.fixed, bad.inner, bad.outer, 3 * n <= 2 * lanes,
                             n < lanes, -a);
    };
    for (int a = 0; a < static_cast<int>(nest_.loops.size()); ++a)
      if (!ragged_.count(static_cast<size_t>(a)) && (best < 0 || key(a) < key(best))) best = a;
    return best;
  }
  // The axis along which the lanes of a sum take the least, the innermost of about equals.
  int cheapest_lanes() const {
    constexpr double kClearly = 0.97;
    int best = -1;
    const auto key = [&](int a) {
      const auto axis = static_cast<size_t>(a);
      return std::make_tuple(extent(axis) <= std::min<int64_t>(2, o_.machine.lanes - 1),
                             strided_accesses(axis).fixed);
    };
    for (int a = static_cast<int>(nest_.loops.size()) - 1; a >= 0; --a) {
      const auto axis = static_cast<size_t>(a);
      if (!constant(axis) || ragged_.count(axis)) continue;
      if (best < 0 || key(a) < key(best) ||
          (key(a) == key(best) && cost_of_lanes(axis) < kClearly * cost_of_lanes(static_cast<size_t>(best))))
        best = a;
    }
    return best;
  }

  void choose_elementwise(Choice& s) const {
    s.vector_axis = best_vector_axis();
    s.why.lanes = "most accesses are contiguous or uniform along it";
    s.why.what = "elementwise";
    if (choose_blocks_to_transpose(s) || choose_short_rows(s)) return;
    if (nest_.loops.size() > 1 || !s.parallel) {
      s.divide = pays_to_divide(static_cast<size_t>(s.vector_axis));
      return;
    }
    s.columns = 1024;
    s.why.columns = "threads share pieces of the only axis";
  }

  // Guards cost more than what they guard (those of a concatenation, or of the cotangent of slices): few
  // stretches in which they stay the same, none shorter than a vector.
  bool pays_to_divide(size_t axis) const {
    constexpr size_t kMost = 8;
    if (!constant(axis)) return false;
    std::vector<int64_t> ends = guard_changes(*nest_.body, nest_.loops[axis]->var, extent(axis));
    if (ends.empty() || ends.size() >= kMost) return false;
    ends.push_back(extent(axis));
    int64_t from = 0;
    for (const int64_t end : ends)
      if (end - std::exchange(from, end) < o_.machine.lanes) return false;
    return true;
  }

  // Where what lies apart along the lanes lies side by side along another axis: blocks of that axis times
  // lanes, which are transposed in registers.
  bool choose_blocks_to_transpose(Choice& s) const {
    const auto v = static_cast<size_t>(s.vector_axis);
    for (size_t r = nest_.loops.size(); r-- > 0 && s.row_axis < 0;)
      if (blocks_of(v, r)) s.row_axis = static_cast<int>(r);
    // The other way round: what a guard forbids to read by lanes may be forbidden by rows.
    const bool guarded =
        std::any_of(accesses_.begin(), accesses_.end(), [](const Access& a) { return a.guarded; });
    for (size_t r = nest_.loops.size(); r-- > 0 && guarded && s.row_axis < 0;)
      if (blocks_of(r, v)) s.row_axis = s.vector_axis, s.vector_axis = static_cast<int>(r);
    if (s.row_axis < 0) return false;
    s.rows = std::min<int64_t>(o_.machine.lanes, extent(static_cast<size_t>(s.row_axis)));
    s.columns = std::min<int64_t>(o_.machine.lanes, extent(static_cast<size_t>(s.vector_axis)));
    s.why.rows = s.why.columns = "a block that is transposed in registers";
    s.columns_outer = false;
    s.why.what = fmt::format("blocks of {}x{}, transposed", s.rows, s.columns);
    return true;
  }

  bool blocks_of(size_t lanes, size_t rows) const {
    constexpr int64_t kFewest = 4;
    return lanes != rows && constant(lanes) && extent(lanes) >= kFewest && extent(rows) >= kFewest &&
           transposes(lanes, rows);
  }

  // Rows of one vector or less: several at a time, which share what is computed of places and constants.
  bool choose_short_rows(Choice& s) const {
    constexpr int64_t kFewest = 4, kMost = 16;
    const auto v = static_cast<size_t>(s.vector_axis);
    if (nest_.loops.size() < 3 || !constant(v) || extent(v) > o_.machine.lanes) return false;
    const size_t r = nest_.loops.size() - (v + 1 == nest_.loops.size() ? 2 : 1);
    const Strided apart = strided_accesses(v);
    if (!constant(r) || extent(r) < kFewest || apart.inner + apart.outer > 0 ||
        std::any_of(accesses_.begin(), accesses_.end(), [](const Access& a) { return a.guarded; }))
      return false;
    s.row_axis = static_cast<int>(r);
    s.rows = best_rows(kMost, extent(r), 1), s.columns = extent(v), s.columns_outer = false;
    s.why.rows = "short rows, which share what is computed of places";
    s.why.columns = "all lanes";
    s.why.what = fmt::format("{} rows at a time", s.rows);
    return true;
  }

  // A register tile: columns in vectors along the axis that operands share contiguously, rows unrolled along
  // another axis, as many as the accumulators leave room for.
  void choose_tile(Choice& s) const {
    const Machine& m = o_.machine;
    s.vector_axis = cheapest_lanes();
    s.why.lanes = "multiply-adds and what is moved for them take the least along it";
    if (s.vector_axis >= 0 && choose_whole_panels(s)) return;
    if (s.vector_axis >= 0 && extent(s.vector_axis) < 2) s.vector_axis = -1;
    const auto better = [&](size_t a, size_t b) {
      if (shares_loads(a) != shares_loads(b)) return shares_loads(a);
      if (s.vector_axis >= 0) {  // a vector that all rows share saves more than a number that all lanes do
        const auto lanes = static_cast<size_t>(s.vector_axis);
        const int of_a = loads_of_rows_and_lanes(a, lanes), of_b = loads_of_rows_and_lanes(b, lanes);
        if (of_a != of_b) return of_a < of_b;
      }
      if (suits_rows(a) != suits_rows(b)) return suits_rows(a);
      return pages_apart(a) != pages_apart(b) ? pages_apart(b) : extent(a) > extent(b);
    };
    for (size_t a = nest_.loops.size(); a-- > 0;)
      if (static_cast<int>(a) != s.vector_axis && extent(a) > 1 && !ragged_.count(a) &&
          (s.row_axis < 0 || better(a, static_cast<size_t>(s.row_axis))))
        s.row_axis = static_cast<int>(a);
    // Rows that share nothing only hide latency, which four vectors do too, and read far apart.
    if (s.row_axis >= 0 && s.vector_axis >= 0 && !shares_loads(static_cast<size_t>(s.row_axis)) &&
        extent(s.vector_axis) >= int64_t{4} * m.lanes)
      s.row_axis = -1;
    if (s.vector_axis < 0 && s.row_axis < 0) {
      s.why.what = "one element";
      return;
    }
    if (lanes_suit_rows(s)) {
      std::swap(s.row_axis, s.vector_axis);
      s.why.lanes = "lines that lie far apart are read once along it, for all columns";
    }
    const int64_t lanes = wide_ ? std::max(1, m.lanes / 2) : m.lanes;
    int64_t vectors = s.row_axis < 0 ? 4 : 2;
    if (s.vector_axis >= 0) {
      const int64_t all = (extent(s.vector_axis) + lanes - 1) / lanes;
      vectors = all <= vectors || serves_whole_rows(s, all) ? all : has_room_for_three(s, all) ? 3 : vectors;
      s.columns = std::min(vectors * lanes, extent(s.vector_axis));
      s.why.columns = fmt::format("{} vectors of {} lanes", vectors, lanes);
    }
    s.rows = rows_of(s, vectors);
    s.why.rows = "the rows that registers hold";
    if (o_.force_rows > 0 && s.row_axis >= 0) s.rows = o_.force_rows, s.why.rows = "asked for";
    if (o_.force_columns > 0 && s.vector_axis >= 0) {
      s.columns = std::min(o_.force_columns, extent(s.vector_axis));
      s.why.columns = "asked for";
    }
    const int64_t panels =
        s.vector_axis < 0 ? 1 : (extent(s.vector_axis) + s.columns - 1) / std::max<int64_t>(1, s.columns);
    const int64_t tiles = row_tiles(s);
    s.stage = s.vector_axis >= 0 && open_sum() == nullptr && (tiles >= 3 || lanes_lie_apart(s)) &&
              panel_wants_staging(s);
    s.columns_outer = s.stage || panels >= 4 || panels >= tiles;
    s.panel_first =
        s.stage && nest_.loops.size() > 2 && (panels >= 4 || !s.parallel) && same_panel_everywhere(s);
    // The outermost loop is what threads share: one panel would leave all but one of them idle.
    if (s.parallel && panels == 1 && tiles > 1 && nest_.loops.size() == 2) share_rows(s, tiles);
    if (s.row_axis >= 0 && s.vector_axis >= 0 && s.block == 0) choose_block(s, panels, tiles);
    if (s.block == 0 && !s.stage) choose_terms(s);
    if (s.block == 0 && !s.stage && s.terms == 0 && tiles >= 4 && streams_results(s, panels))
      s.columns_outer = false, s.by_results = true;
    s.why.what = fmt::format(
        "tile {}x{}{}{}{}", s.rows, s.columns, s.stage ? ", staged panel" : "",
        s.block > 0 ? fmt::format(", blocks of {} {}", s.block, s.row_blocks ? "tiles" : "panels") : "",
        s.terms > 0 ? ", sums in blocks" : "");
  }

  // Where every constant axis leaves most lanes empty and windows come back to what they read, lanes along
  // another axis (images of a batch), for which all that a panel reads is copied, transposed.
  bool choose_whole_panels(Choice& s) const {
    const auto narrow = static_cast<size_t>(s.vector_axis);
    const int64_t lanes = o_.machine.lanes, rows = extent(narrow);
    if (nest_.loops.size() < 3 || accumulators_ != 1 || wide_ || 2 * rows > lanes || o_.force_rows > 0 ||
        o_.force_columns > 0)
      return false;
    for (size_t a = 0; a < nest_.loops.size(); ++a) {
      if (a == narrow || ragged_.count(a) || extent(a) < 2 * lanes || !whole_panels_pay(a, narrow, lanes))
        continue;
      const bool two = whole_panels_pay(a, narrow, 2 * lanes);
      s.vector_axis = static_cast<int>(a), s.row_axis = static_cast<int>(narrow);
      s.why.lanes = "no constant axis fills them";
      s.rows = rows, s.columns = two ? 2 * lanes : lanes;
      s.stage_all = s.panel_first = true, s.stage_rows = lanes;
      s.why.what = fmt::format("tile {}x{}, panels of all that windows read", s.rows, s.columns);
      s.why.rows = "too few for lanes";
      s.why.columns = fmt::format("{} vectors of {} lanes, side by side in copies", 1 + two, lanes);
      return true;
    }
    return false;
  }
  // With lanes along `axis` and rows along another one, in panels of so many columns.
  bool whole_panels_pay(size_t axis, size_t rows, int64_t columns) const {
    constexpr double kPays = 16;  // multiply-adds for each element that is copied
    const int lane = nest_.loops[axis]->var, row = nest_.loops[rows]->var;
    const int64_t threads = (extent(axis) + columns - 1) / columns;
    if (2 * threads < o_.machine.cores) return false;
    double sums = static_cast<double>(columns);
    for (size_t a = 0; a < nest_.loops.size(); ++a)
      if (a != axis) sums *= static_cast<double>(extent(a));
    int64_t bytes = 0;
    double pays = std::numeric_limits<double>::infinity();
    for (const Access& a : accesses_) {
      const Buffer& b = k_.buffers[a.buffer];
      if (a.loops == 0 || b.space == Space::Tile) continue;
      const Index place = near_address(b, *a.at);
      if (!place.uses_var(lane)) continue;
      const auto copied = bytes_of_all(k_, a.buffer, *a.at, lane, columns);
      if (!copied || a.unstaged || place.uses_var(row)) return false;
      bytes += *copied;
      pays = std::min(pays,
                      a.times * sums * static_cast<double>(size_of(b.dtype)) / static_cast<double>(*copied));
    }
    return bytes > 0 && bytes <= 2 * o_.machine.near_bytes && pays >= kPays;
  }

  // Whether the rows would have the lanes with profit: where both are read side by side along a long sum, as
  // in the gradient of a weight, and there are more rows than columns. Then what lies farther apart from term
  // to term is read in whole lines, once, and a panel of it serves all columns. Results are transposed for
  // it.
  bool lanes_suit_rows(const Choice& s) const {
    constexpr int64_t kMost = 384;  // columns, of which blocks of copied rows make less otherwise
    constexpr double kPays = 64;    // terms of a sum for each access that is transposed
    if (s.row_axis < 0 || s.vector_axis < 0 || nest_.loops.size() != 2) return false;
    const auto row = static_cast<size_t>(s.row_axis), lanes = static_cast<size_t>(s.vector_axis);
    if (!constant(row) || extent(row) <= extent(lanes) || extent(lanes) <= int64_t{2} * o_.machine.lanes ||
        extent(lanes) > kMost)
      return false;
    const Strided along = strided_accesses(row);
    // Pages far apart are fetched anew by each panel, and cost less than columns that are few and ragged.
    constexpr int64_t kFew = 5;  // vectors
    const bool few = extent(lanes) <= kFew * o_.machine.lanes;
    if (along.inner != 0 || terms_ < kPays * (1 + along.outer) || (!few && far_rows_are_pages(row, kFewSets)))
      return false;
    // Panels of a sum whose length nobody knows are not copied.
    return open_sum() == nullptr || bytes_side_by_side(row) <= static_cast<double>(o_.machine.near_bytes);
  }

  // Whether what follows the sum (an optimiser's update) moves more than the sum reads, which then goes by
  // the rows of memory, while all panels stay near.
  bool streams_results(const Choice& s, int64_t panels) const {
    if (s.row_axis < 0 || s.vector_axis < 0 || nest_.loops.size() != 2) return false;
    double followed = 0, read = 0;
    for (const Access& a : accesses_) {
      const Buffer& b = k_.buffers[a.buffer];
      if (b.space == Space::Tile) continue;
      (a.loops < deepest_ ? followed : read) += bytes_of(a);
      if (!b.layout.blocks().empty()) return false;  // panels are the order of memory
    }
    const double near = static_cast<double>(o_.machine.near_bytes);
    return followed > read && followed > near && bytes_read(s).panel * static_cast<double>(panels) <= near;
  }
  // Rows of a tile of so many vectors that registers hold.
  int64_t rows_of(const Choice& s, int64_t vectors) const {
    if (s.row_axis < 0) return 1;
    const auto axis = static_cast<size_t>(s.row_axis);
    const bool columns = s.vector_axis >= 0;
    const int64_t budget = o_.machine.vector_registers - (columns ? vectors + 1 : 2);
    const int64_t accumulators = vectors * std::max(1, accumulators_);
    int64_t most = budget / (columns ? accumulators : std::max(1, accumulators_));
    if (!columns) most = std::min<int64_t>(most, 8);
    // Rows that share nothing hide latency and read far apart, often in one set of a cache.
    if (columns && !shares_loads(axis)) most = std::min(most, std::max<int64_t>(1, 4 / vectors));
    // What is stored apart is transposed in squares, which short sums wait for.
    constexpr double kShort = 256;
    const int64_t square = o_.machine.lanes;
    if (columns && most > square && extent(axis) > square && terms_ < kShort &&
        strided_accesses(static_cast<size_t>(s.vector_axis)).outer > 0)
      return square;
    return best_rows(std::max<int64_t>(1, most), extent(axis), accumulators);
  }
  // Whether one panel of all vectors reads rows once and has about as many accumulators, which hide the
  // latency of multiply-adds, as tiles of two vectors.
  bool serves_whole_rows(const Choice& s, int64_t vectors) const {
    constexpr int64_t kMost = 5, kHidden = 12, kTwoPanels = 4;
    if (s.row_axis < 0 || vectors > kMost || !lie_together(static_cast<size_t>(s.vector_axis), vectors))
      return false;
    const auto axis = static_cast<size_t>(s.row_axis);
    // Blocks of them are copied, for several panels.
    if (vectors > kTwoPanels && far_rows_are_pages(axis)) return false;
    if (!shares_loads(axis)) return false;
    const int64_t rows = rows_of(s, vectors), all = extent(axis);
    // Few rows ask for more of a panel than comes in time from behind the nearest cache, and what is copied
    // lies closer in narrow ones.
    constexpr double kNearest = 1 << 15;  // bytes
    const double panel = 4 * terms_ * static_cast<double>(extent(static_cast<size_t>(s.vector_axis)));
    if (panel > kNearest && rows < all && rows < (lanes_lie_apart(s) ? 7 : 4)) return false;
    const int64_t tiles = (all + rows - 1) / rows, computed = tiles * rows;
    // What is shared by threads is panels, or blocks of rows, each with a copy of the panel.
    if (s.parallel && nest_.loops.size() == 2 && tiles < kPays * kPays && lanes_lie_apart(s)) return false;
    return rows * vectors >= kHidden && 5 * rows * vectors >= 8 * rows_of(s, 2) &&
           100 * computed <= 105 * all;
  }

  // Whether there is room for a third vector, of which there are many, beside as many rows; or in a tile of
  // fewer, as large, so large that the panel it reads is not what it waits for.
  bool has_room_for_three(const Choice& s, int64_t vectors) const {
    constexpr int64_t kFew = 6, kMany = 16, kLarge = 24;
    if (s.row_axis < 0 || vectors < kFew || (vectors % 3 == 1 && vectors < kMany)) return false;
    if (!lie_together(static_cast<size_t>(s.vector_axis), 3)) return false;
    if (lanes_lie_apart(s) && vectors % 3 != 0) return false;  // blocks of copied panels leave no rest
    const int64_t two = rows_of(s, 2), three = rows_of(s, 3);
    // Where rows lie side by side, each panel reads anew a line for each term and tile.
    const bool apart =
        bytes_side_by_side(static_cast<size_t>(s.row_axis)) > static_cast<double>(o_.machine.near_bytes);
    return three > 1 && (three == two || 3 * three >= (apart ? kLarge : std::max(2 * two, kLarge))) &&
           shares_loads(static_cast<size_t>(s.row_axis));
  }

  // The most rows that waste the least in the last tile; nearly as many when all tiles are then full, which
  // saves the code for the last.
  static int64_t best_rows(int64_t most, int64_t extent, int64_t vectors) {
    const auto cost = [&](int64_t rows) {
      const int64_t tiles = (extent + rows - 1) / rows;
      return tiles * (rows + 1);  // a tile has a fixed cost of about one row
    };
    int64_t best = most, full = 0;
    for (int64_t r = most; r >= std::max<int64_t>(1, (most + 1) / 2); --r) {
      if (cost(r) < cost(best)) best = r;
      if (full == 0 && extent % r == 0) full = r;
    }
    constexpr double kNearly = 1.06;
    constexpr int64_t kHidden = 12;  // accumulators that hide the latency of two multiply-adds a cycle
    if (full * vectors >= (vectors > 2 ? 2 : 1) * kHidden &&
        static_cast<double>(cost(full)) <= kNearly * static_cast<double>(cost(best)))
      best = full;
    return std::max<int64_t>(1, std::min(best, std::max<int64_t>(1, extent)));
  }

  // The axes that stay whole, the longest outermost: it is the one that threads share.
  void order_outer(Choice& c) const {
    const bool tiled = c.row_axis >= 0 && c.columns > 0;
    for (size_t a = 0; a < nest_.loops.size(); ++a)
      if (static_cast<int>(a) != c.row_axis && static_cast<int>(a) != c.vector_axis) c.outer.push_back(a);
    // What is read once is read in the order of memory where threads can share that.
    constexpr int64_t kPieces = 2;  // for each core
    const bool in_order = c.interleave || (!has_serial_ && !c.outer.empty() &&
                                           extent(c.outer[0]) >= kPieces * o_.machine.cores);
    if ((c.vector_axis >= 0 || c.row_axis >= 0) && !in_order)
      std::stable_sort(c.outer.begin(), c.outer.end(),
                       [&](size_t a, size_t b) { return extent(a) > extent(b); });
    if (c.terms > 0 && c.block > 0 && !c.serves_axes) c.outside = c.outer.size();
    c.why.order =
        sentence(c.outer.size() > 1 && !in_order ? "the longest axis outermost" : "",
                 !tiled            ? "lanes innermost"
                 : c.panel_first   ? "a panel serves all that is outside of rows, too"
                 : c.block > 0     ? (c.row_blocks ? "a panel is read once for the rows of a block"
                                                   : "rows are read once for the panels of a block")
                 : c.columns_outer ? "a panel serves all rows"
                 : c.by_results    ? "what follows the sum moves more than it reads: the order of memory"
                                   : "few panels, so that threads share rows");
  }
  static std::string sentence(const std::string& a, const std::string& b) {
    return a.empty() || b.empty() ? a + b : a + "; " + b;
  }

  // Strided panels, and rows whose pitch maps to few cache sets or makes vectors straddle lines, are copied
  // once and read many times.
  bool wants_staging(const Choice& s, const Access& access) const {
    const int var = nest_.loops[s.vector_axis]->var;
    const int row = s.row_axis < 0 ? -1 : nest_.loops[s.row_axis]->var;
    const Buffer& b = k_.buffers[access.buffer];
    if (b.space != Space::In && b.space != Space::InOut) return false;
    const Index a = near_address(b, *access.at);
    if (!a.uses_var(var) || (row >= 0 && a.uses_var(row))) return false;
    const std::optional<Index> c = a.coefficient_of(var);
    if (!c) return false;
    if (!c->is(1)) return !c->is(0);
    if (access.pitch <= 0) return false;
    constexpr int64_t kLine = 64, kManyTiles = 16, kTiles = 8;
    // Bytes in pages of 4 KB: many of the some 2,000 pages that a core knows, and more than it knows.
    constexpr double kManyPages = 4e6, kUnknownPages = 12e6;
    const int64_t bytes = access.pitch, pitch = bytes / size_of(b.dtype);
    // Vectors that straddle lines: twice the loads, hidden while there are few.
    const bool many = s.columns > int64_t{2} * o_.machine.lanes && row_tiles(s) >= kManyTiles;
    const double reach = access.times * static_cast<double>(bytes);
    // While the lines of the panel stay near, its first tile has fetched them for the few that follow.
    const double lines = access.times * static_cast<double>(s.columns * size_of(b.dtype) + kLine);
    const bool apart = pitch >= 2 * s.columns &&
                       (row_tiles(s) > kTiles || lines >= static_cast<double>(o_.machine.near_bytes));
    if (bytes % kLine != 0 && (apart || many)) return true;
    // Copying waits for memory, which multiply-adds hide: it takes tiles to pay for that.
    return reach >= kUnknownPages || (row_tiles(s) >= kTiles && bytes % kFewSets == 0) ||
           (row_tiles(s) >= kManyTiles && reach >= kManyPages);
  }
  bool panel_wants_staging(const Choice& s) const {
    return std::any_of(accesses_.begin(), accesses_.end(),
                       [&](const Access& a) { return wants_staging(s, a); });
  }
  // Elements of a block that is transposed on its way, where what is staged lies apart along the lanes.
  int64_t stage_blocks(const Choice& s) const {
    const int var = nest_.loops[static_cast<size_t>(s.vector_axis)]->var;
    const bool apart = std::any_of(accesses_.begin(), accesses_.end(), [&](const Access& a) {
      return wants_staging(s, a) && near_address(k_.buffers[a.buffer], *a.at).coefficient_of(var) != Index(1);
    });
    return apart ? o_.machine.lanes : 0;
  }
  // Whether no axis that stays whole changes what is staged.
  bool same_panel_everywhere(const Choice& s) const {
    for (const Access& access : accesses_) {
      if (access.loops < deepest_ || !wants_staging(s, access)) continue;
      const Index a = near_address(k_.buffers[access.buffer], *access.at);
      for (size_t o = 0; o < nest_.loops.size(); ++o)
        if (static_cast<int>(o) != s.vector_axis && static_cast<int>(o) != s.row_axis &&
            a.uses_var(nest_.loops[o]->var))
          return false;
    }
    return true;
  }
};

}  // namespace

Schedule choose_schedule(const Kernel& k, const ScheduleOptions& o) { return Chooser(k, o).run(); }

}  // namespace gradc::passes
