// Chooses a schedule for a naive kernel and carries it out: which axis goes to vector lanes, register tile,
// staged panels, the parallel loop. Schedules move no rounding: a reduction's order is left as it stands.
#pragma once

#include <map>
#include <string>

#include "ir/kernel/kernel.h"
#include "ir/kernel/schedule.h"
#include "support/machine.h"

namespace gradc::passes {

struct ScheduleOptions {
  Machine machine;
  std::map<std::string, int64_t> plan;  // planned values of the dimensions
  int64_t force_rows = 0, force_columns = 0;
  int64_t segments = 0;  // into which the forward pass is cut to save memory; 0 and 1: it is not
};

// The axis loops around a kernel's body, outermost first, and what is inside them.
struct Nest {
  std::vector<const kernel::For*> loops;
  const kernel::Body* body;
};
Nest nest_of(const kernel::Kernel& k);
// What a schedule calls the axis loop at `depth`.
std::string axis_name(const kernel::Kernel& k, size_t depth);

// What the steps of a schedule make of the axis loops; code is written for it once they are all known.
struct LoopForm {
  std::vector<size_t> outer;  // axes that stay whole around what follows, outermost first
  int vector_axis = -1;       // the axis that vector lanes run along, innermost
  int64_t columns = 0;        // its piece in a register tile or in a parallel piece; 0: all of it
  int row_axis = -1;          // the axis that is unrolled over the rows of a register tile
  int64_t rows = 1;           // of the register tile
  bool columns_outer = true;  // pieces of columns around those of rows
  bool panel_first = false;   // pieces of columns around the axes that stay whole, too
  int64_t block = 0;          // so many pieces of columns share each piece of rows before the next; 0: one
  bool row_blocks = false;    // so many pieces of rows share each piece of columns instead
  int64_t terms = 0;          // the sum pauses after so many iterations of its outermost loop; 0: it does not
  size_t outside = 0;         // whole axes around the blocks of terms (and of rows or columns around those)
  bool interleave = false;    // the statements of several rows in turn, instead of a register tile of them
  bool distribute = false;    // and stage by stage for `block` such pieces, numbers with the rows as lanes
  bool divide = false;        // the vector loop into one for each stretch in which its guards stay the same
  bool stage = false;         // what a piece of columns reads is copied into thread scratch first
  int64_t stage_rows = 0;     // so many elements at a time that lie side by side though the lanes lie apart
  bool stage_tiles = false;   // and what the rows of a block read
  bool stage_all = false;     // all that a piece of columns may read is copied, for the axes inside of it
  bool parallel = false;      // the outermost loop
  bool operator==(const LoopForm&) const = default;
};

kernel::Schedule choose_schedule(const kernel::Kernel& k, const ScheduleOptions& o);
// Scalar operations of a naive kernel at planned dimensions.
double planned_work(const kernel::Kernel& k, const ScheduleOptions& o);

// Why a form is as it is, told with the steps that make it; empty where nobody asks.
struct Reasons {
  std::string what, lanes, rows, columns, block, terms, order, parallel;
};
// The steps that make a form of the axis loops. Whether the kernel allows them is for `replay` to say.
kernel::Schedule write_schedule(const kernel::Kernel& k, const LoopForm& form, const Reasons& why = {});

// Replays the steps, each with its check: InternalError names the step that the kernel does not allow.
LoopForm replay(const kernel::Kernel& k, const kernel::Schedule& s);
// The kernel as its schedule says; without steps its axis loops run one after another.
kernel::Kernel apply_schedule(const kernel::Kernel& k, const kernel::Schedule& s);

}  // namespace gradc::passes
