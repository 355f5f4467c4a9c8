// Copies of what the pieces of one axis read, made before they are read many times.
#pragma once

#include <optional>
#include <vector>

#include "ir/kernel/kernel.h"

namespace gradc::passes {

// Pieces of an axis, whose copies lie one behind the other in scratch.
struct StagedPieces {
  int var = -1;             // of the axis, in the body
  Index number;             // of the piece: its elements are number * size + lane
  int64_t size = 1;         // of a full piece
  int64_t width = 1;        // of these
  int slot = -1;            // the variable that numbers them in scratch; -1: there is one
  int64_t slots = 1;        // so many at most
  Index count = 1;          // so many here
  Index rest = 0;           // and this of one more
  bool neighbours = false;  // elements of pieces that follow one another do so too: copied together
  int64_t transpose = 0;  // elements of a block that is transposed on its way, where lanes lie apart; 0: none
  std::vector<int> apart;   // variables that change what is read while a copy stands: such reads stay
  std::vector<int> known;   // variables that have their values where copies are made
  std::vector<int> places;  // scratch of copies that no longer stand, in the order of their loads
};

// The copies of all that the pieces read over all iterations of the serial loops around a load, which then
// reads scratch [slot, loops..., size]; empty where nothing can be staged.
kernel::Body stage(kernel::Body& body, const StagedPieces& p, kernel::Kernel& k);

// The copies of all of what the pieces may read along the other axes of a buffer, where the loops around do
// not come back to the same terms: windows on an image. A load then reads scratch [other axes..., size].
kernel::Body stage_all(kernel::Body& body, const StagedPieces& p, kernel::Kernel& k);
// Bytes of such a copy of what a load without guards reads; nothing where it cannot be made.
std::optional<int64_t> bytes_of_all(const kernel::Kernel& k, int buffer, const std::vector<Index>& at,
                                    int var, int64_t size);

// The largest value of an extent, where it is constant or at most one.
std::optional<int64_t> largest(const Index& extent);

}  // namespace gradc::passes
