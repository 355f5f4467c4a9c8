#include "passes/kernel/blocks.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "passes/kernel/rewrite.h"

namespace gradc::passes {

using namespace kernel;

int64_t Blocks::row_tiles(const Choice& s) const {
  return s.row_axis < 0 ? 1 : (extent(static_cast<size_t>(s.row_axis)) + s.rows - 1) / s.rows;
}

void Blocks::share_rows(Choice& s, int64_t tiles) const {
  const bool apart = lanes_lie_apart(s);
  const int64_t pays = apart ? 3 : kPays, share = (tiles + o_.machine.cores - 1) / o_.machine.cores;
  if (s.stage && s.row_axis >= 0 && tiles >= pays * pays)
    put_row_blocks(s, tiles, std::min(std::max(tiles / pays, share), 8 * kPays),
                   "threads share rows, each with a panel of its own");
  else
    s.stage = s.columns_outer = s.stage && apart;
}

void Blocks::put_row_blocks(Choice& s, int64_t tiles, int64_t most, std::string why) const {
  int best = -1;
  for (int64_t n = most; 4 * n >= 3 * most; --n) {
    const bool whole = constant(s.row_axis) && extent(s.row_axis) % s.rows == 0 && tiles % n == 0;
    const int worth = 2 * whole + are_fair((tiles + n - 1) / n);
    if (worth > best) best = worth, s.block = n;
  }
  s.row_blocks = s.columns_outer = true;
  s.why.block = std::move(why);
}

void Blocks::choose_block(Choice& s, int64_t panels, int64_t tiles) const {
  const Operands o = bytes_read(s);
  const double room = static_cast<double>(o_.machine.near_bytes);
  if (o.apart) return choose_row_blocks(s, o, panels, tiles);
  if (!s.columns_outer) return;
  double rows = o.tile * static_cast<double>(tiles);
  if (s.panel_first)
    for (size_t a : o.outer) rows *= static_cast<double>(extent(a));
  if (rows <= room || extent(s.vector_axis) % s.columns != 0) return;
  s.block = block_of(panels, 2, 8, room / o.panel);
  s.why.block = "panels that stay near the core";
}

double Blocks::far_bytes() const {
  return static_cast<double>(o_.machine.near_bytes) * (o_.machine.has_close_cache() ? 6 : 2);
}

void Blocks::choose_row_blocks(Choice& s, const Operands& o, int64_t panels, int64_t tiles) const {
  constexpr int64_t kPanels = 3, kManyPanels = 8, kMost = 24, kFewest = 4, kBlocks = 4;
  const double all = o.tile * static_cast<double>(tiles), near = static_cast<double>(o_.machine.near_bytes);
  if (panels < kPanels && o.row_pages && all >= 2 * near && pause_within_pages(s, tiles)) return;
  const bool far = all >= far_bytes() && panels >= kPanels;
  const bool meet = o.few_sets && 8 * all > near && panels >= kManyPanels;
  if (s.panel_first || !(far || meet) || !constant(s.row_axis)) return;
  // Few panels read a block: it is read from far more often than near, and makes room for the next one.
  const auto fit = [&](double share) { return static_cast<int64_t>(share * near / o.tile); };
  int64_t block = std::min({kMost, tiles / kBlocks, fit(panels >= kManyPanels ? 0.75 : 0.3)});
  if (panels >= kManyPanels && pause_for_larger_blocks(s, o, tiles, block)) return;
  // A panel is copied for each block; rows that lie side by side may come from a close cache.
  if (panels >= kManyPanels && o_.machine.has_close_cache())
    block = std::min({kMost, tiles / kBlocks, fit(1.5)});
  // Each block reads all panels.
  if (block < (far ? kFewest : kMost)) return;
  if (panels >= kManyPanels || o.row_pages) {
    if (!bound_terms(s, static_cast<double>(block * s.rows) * static_cast<double>(extent(s.vector_axis))))
      return;
    s.stage_tiles = true;
    s.stage |= o.panel_pages;
  }
  put_row_blocks(s, tiles, block, "rows that stay near the core");
}

bool Blocks::pause_for_larger_blocks(Choice& s, const Operands& o, int64_t tiles, int64_t block) const {
  constexpr int64_t kMost = 32, kTerms = 128, kMany = 8;
  const std::optional<SumParts> sum = parts_of_sum(*nest_.body, k_);
  if (!sum || !o.outer.empty()) return false;
  const auto all = static_cast<double>(std::max<int64_t>(1, planned(sum->loop->extent)));
  const double terms = std::ceil(kTerms * all / terms_);
  const double row = 4.0 * static_cast<double>(sum->tiles.size() * s.rows * extent(s.vector_axis));
  const int64_t larger =
      std::min({kMost, tiles / o_.machine.cores,
                static_cast<int64_t>(static_cast<double>(o_.machine.near_bytes) / 2 / row)});
  if (kMany * terms > all || 2 * larger < 3 * block) return pause_for_more_rows(s, o, tiles, block, all, row);
  s.terms = static_cast<int64_t>(terms), s.stage_tiles = o.row_pages;
  s.why.terms = "rows of so many stay near the core, partial sums in memory";
  put_row_blocks(s, tiles, larger, "rows whose partial sums stay near the core");
  return true;
}

bool Blocks::pause_for_more_rows(Choice& s, const Operands& o, int64_t tiles, int64_t block, double all,
                                 double row) const {
  constexpr int64_t kMost = 32;
  constexpr double kTerms = 512, kBytes = 1 << 22, kNear = 0.75;
  const double parts = std::ceil(terms_ / kTerms), terms = std::ceil(all / parts);
  const double fit = kNear * static_cast<double>(o_.machine.near_bytes) / (o.tile * terms / all);
  const int64_t larger =
      std::min({kMost, tiles / o_.machine.cores, static_cast<int64_t>(std::min(fit, kBytes / row))});
  if (block >= kPays || parts < 2 || 2 * larger < 3 * block) return false;
  s.terms = static_cast<int64_t>(terms), s.stage_tiles = true, s.stage |= o.panel_pages;
  s.why.terms = "more rows of so many stay near the core, partial sums in memory";
  put_row_blocks(s, tiles, larger, "rows that stay near the core");
  return true;
}

bool Blocks::pause_within_pages(Choice& s, int64_t tiles) const {
  constexpr int64_t kTerms = 64, kMost = 64;
  const std::optional<SumParts> sum = parts_of_sum(*nest_.body, k_);
  if (!sum || planned(sum->loop->extent) < 2 * kTerms ||
      terms_ != static_cast<double>(planned(sum->loop->extent)))
    return false;
  const double row = 4.0 * static_cast<double>(sum->tiles.size() * s.rows * extent(s.vector_axis));
  const auto fit = static_cast<int64_t>(static_cast<double>(o_.machine.near_bytes) / 4 / row);
  const int64_t block = std::min({kMost, fit, tiles / o_.machine.cores});
  if (block < 2) return false;
  s.terms = kTerms, s.stage = false;
  s.why.terms = "pages that a core knows, partial sums in memory";
  put_row_blocks(s, tiles, block, "rows whose partial sums stay near the core");
  return true;
}

bool Blocks::bound_terms(Choice& s, double elements) const {
  constexpr double kMost = 4, kElement = 4;
  const For* open = open_sum();
  if (open == nullptr) return true;
  const std::optional<SumParts> sum = parts_of_sum(*nest_.body, k_);
  if (!sum) return false;
  const double kept = kElement * elements * static_cast<double>(sum->tiles.size());
  if (kept > kMost * static_cast<double>(o_.machine.near_bytes)) return false;
  s.terms = std::max<int64_t>(1, planned(open->extent));
  s.why.terms = "as many as are planned, which bounds the copies";
  return true;
}

void Blocks::choose_terms(Choice& s) const {
  constexpr double kFewest = 128;  // that pay for partial sums in memory
  const std::optional<SumParts> sum = parts_of_sum(*nest_.body, k_);
  const double near = static_cast<double>(o_.machine.near_bytes);
  if (!sum || nest_.loops.size() < 3 || deepest_ < 2 || s.panel_first || s.row_axis < 0 || s.vector_axis < 0)
    return;
  double kept = 4.0 * static_cast<double>(sum->tiles.size()), read = 0;
  for (size_t a = 0; a < nest_.loops.size(); ++a) {
    if (!constant(a)) return;
    kept *= static_cast<double>(extent(a));
  }
  for (const Access& a : accesses_)
    if (a.loops == deepest_ && k_.buffers[a.buffer].space != Space::Tile) read += bytes_of(a);
  const auto all = static_cast<double>(std::max<int64_t>(1, planned(sum->loop->extent)));
  const double inner = terms_ / all;
  const double terms = std::max({1.0, std::ceil(kFewest / inner), std::floor(near / 4 / (read / all))});
  if (read <= near || kept > near / 2 || 2 * terms > all) return;
  s.terms = static_cast<int64_t>(terms), s.outside = s.parallel ? 1 : 0;
  s.why.terms = "terms that stay near the core, partial sums in memory";
  if (s.parallel) share_rows_of_terms(s);
}

void Blocks::share_rows_of_terms(Choice& s) const {
  const int64_t tiles = row_tiles(s), pieces = std::min<int64_t>(tiles, o_.machine.cores);
  int64_t longest = 0;
  for (size_t a = 0; a < nest_.loops.size(); ++a)
    if (static_cast<int>(a) != s.row_axis && static_cast<int>(a) != s.vector_axis)
      longest = std::max(longest, extent(a));
  const auto share = [&](int64_t n) {  // of the longest thread
    return static_cast<double>((n + o_.machine.cores - 1) / o_.machine.cores) / static_cast<double>(n);
  };
  if (tiles % pieces != 0 || pieces > longest || share(pieces) > share(longest)) return;
  s.outside = 0, s.block = tiles / pieces, s.row_blocks = s.columns_outer = s.serves_axes = true;
  s.why.block = "threads share rows, each reads a block of terms once";
}

bool Blocks::are_fair(int64_t blocks) const {
  constexpr int64_t kMany = 4;
  return blocks % o_.machine.cores == 0 || blocks >= kMany * o_.machine.cores;
}

int64_t Blocks::block_of(int64_t pieces, int64_t fewest, int64_t most, double fit) const {
  for (int64_t n = std::min(most, pieces / 2); n >= fewest; --n)
    if (pieces % n == 0 && static_cast<double>(n) <= fit && are_fair(pieces / n)) return n;
  return 0;
}

Blocks::Operands Blocks::bytes_read(const Choice& s) const {
  Operands o;
  for (const Access& a : accesses_) {
    const Buffer& b = k_.buffers[a.buffer];
    if (a.loops < deepest_ || b.space == Space::Tile) continue;
    const Index place = near_address(b, *a.at);
    const double bytes = a.times * static_cast<double>(size_of(b.dtype));
    if (place.uses_var(nest_.loops[s.vector_axis]->var)) {
      o.panel += bytes * static_cast<double>(s.columns);
      o.panel_pages |= a.pitch >= kPage / 2;
    } else if (place.uses_var(nest_.loops[s.row_axis]->var)) {
      o.tile += bytes * static_cast<double>(s.rows);
      const bool apart = place.coefficient_of(nest_.loops[s.row_axis]->var) == Index(1);
      o.apart |= apart;
      for (size_t x = 0; x < nest_.loops.size(); ++x)
        if (static_cast<int>(x) != s.row_axis && place.uses_var(nest_.loops[x]->var)) o.outer.insert(x);
      o.row_pages |= apart && a.pitch >= kPage;
      o.few_sets |= apart && a.pitch > 0 && a.pitch % kFewSets == 0;
    }
  }
  return o;
}

bool Blocks::lanes_lie_apart(const Choice& s) const {
  if (s.vector_axis < 0) return false;
  return std::any_of(accesses_.begin(), accesses_.end(), [&](const Access& a) {
    const Buffer& b = k_.buffers[a.buffer];
    if (a.loops < deepest_ || b.space == Space::Tile) return false;
    const std::optional<Index> c =
        near_address(b, *a.at).coefficient_of(nest_.loops[static_cast<size_t>(s.vector_axis)]->var);
    return !c || !(c->is(0) || c->is(1));
  });
}
}  // namespace gradc::passes
