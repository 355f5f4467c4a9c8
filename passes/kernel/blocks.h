// The part of the policy of schedules that says what is read together: blocks of tiles and panels, copies of
// them, and sums that pause.
#pragma once

#include <set>
#include <string>

#include "passes/kernel/survey.h"

namespace gradc::passes {

// A form, and the reasons for it.
struct Choice : LoopForm {
  Reasons why;
  bool by_results = false;   // rows outermost for what follows the sum
  bool serves_axes = false;  // what a block of terms reads serves all axes
};

class Blocks : public Survey {
 public:
  using Survey::Survey;

 protected:
  int64_t row_tiles(const Choice& s) const;
  static constexpr int64_t kPays = 8;  // tiles that pay for a copy of the panel
  // Blocks of rows, each with a copy of the panel if it is staged and many tiles pay for that. Fewer do where
  // lanes lie apart, which costs more than a second thread brings.
  void share_rows(Choice& s, int64_t tiles) const;
  // So much does not come in time, a line for each step of a sum: behind a small near cache is a close one
  // that cores share, behind a large one (a megabyte and more at hand) it is slower.
  double far_bytes() const;
  struct Operands {
    double panel = 0, tile = 0;  // bytes that the innermost loops read for one
    bool apart = false;          // whether a tile has a line for each step of the reduction
    bool few_sets = false;       // and those lines meet in few sets of a cache
    bool panel_pages = false;    // whether few steps of a panel share a page
    bool row_pages = false;      // and those of the rows
    std::set<size_t> outer;      // axes that stay whole which rows depend on
  };
  // Operands that do not stay near the core, read for several pieces of the other axis at a time, as many as
  // stay there themselves, in blocks that threads can share. Rows that follow one another along the reduction
  // stream past panels; others have a line for each step of it.
  void choose_block(Choice& s, int64_t panels, int64_t tiles) const;
  // Where a sum reads more than stays near the core, again for each tile (weight gradients of convolutions),
  // it pauses after as many terms as stay there, while partial sums do so too.
  void choose_terms(Choice& s) const;
  Operands bytes_read(const Choice& s) const;  // by the innermost loops
  // Whether what the innermost loops read lies apart along the lanes.
  bool lanes_lie_apart(const Choice& s) const;

 private:
  // Blocks of so many tiles, or a little less where threads then have equal shares, or no tile is left over:
  // that saves the code for it.
  void put_row_blocks(Choice& s, int64_t tiles, int64_t most, std::string why) const;
  // Rows whose lines lie apart, and that do not stay near the core or meet in few sets of a cache: a block of
  // tiles at a time, copied side by side where many panels read the copies or each line is a page of its own.
  void choose_row_blocks(Choice& s, const Operands& o, int64_t panels, int64_t tiles) const;
  // Where rows of all terms leave room for few tiles, and panels are read for each block, sums pause: then
  // what a block keeps is its partial sums.
  bool pause_for_larger_blocks(Choice& s, const Operands& o, int64_t tiles, int64_t block) const;
  // The same with partial sums that do not stay near, `row` bytes a tile, which long pauses pay for.
  bool pause_for_more_rows(Choice& s, const Operands& o, int64_t tiles, int64_t block, double all,
                           double row) const;
  // Rows of which each term is on pages of its own, and whose blocks few panels read: terms whose pages a
  // core knows, of as many rows as leave their partial sums near.
  bool pause_within_pages(Choice& s, int64_t tiles) const;
  // Copies of sums over a length that is not constant are made for as many terms as are planned at a time.
  // The partial sums of a block, so many elements, take memory, which is bounded too.
  bool bound_terms(Choice& s, double elements) const;
  // What a block of terms reads serves all axes, if threads can share the rows instead of one of those.
  void share_rows_of_terms(Choice& s) const;
  // Whether threads have about equal shares of so many blocks.
  bool are_fair(int64_t blocks) const;
  // The largest number of pieces of a block that divides them and leaves threads their shares; 0: none.
  int64_t block_of(int64_t pieces, int64_t fewest, int64_t most, double fit) const;
};

}  // namespace gradc::passes
