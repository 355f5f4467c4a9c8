// Chooses a schedule for a naive kernel and carries it out: which axis goes to vector lanes, register tile,
// staged panels, the parallel loop. Schedules move no rounding: a reduction's order is left as it stands.
#pragma once

#include <map>
#include <string>

#include "ir/kernel/kernel.h"
#include "support/machine.h"

namespace gradc::passes {

// The numbers of one kernel's schedule, with the reasons in `why`; 0 or -1 where they do not apply.
struct Schedule {
  int vector_axis = -1;  // which outer loop becomes the innermost vector loop
  int row_axis = -1;     // which outer loop is unrolled over the rows of the register tile
  int64_t rows = 1;      // of the register tile
  int64_t columns = 0;   // of the register tile, in elements
  bool columns_outer = true;
  bool stage = false;  // copy the panel that a tile's columns read into thread scratch first
  int64_t chunk = 0;   // elements of a parallel piece of a vector loop
  bool parallel = false;
  double work = 0;  // scalar operations at planned dimensions
  std::string why;
};

struct ScheduleOptions {
  Machine machine;
  std::map<std::string, int64_t> plan;  // planned values of the dimensions
  int64_t force_rows = 0, force_columns = 0;
};

// The axis loops around a kernel's body, outermost first, and what is inside them.
struct Nest {
  std::vector<const kernel::For*> loops;
  const kernel::Body* body;
};
Nest nest_of(const kernel::Kernel& k);

Schedule choose_schedule(const kernel::Kernel& k, const ScheduleOptions& o);
// Without axis loops, or where nothing was chosen for them, the kernel stays as it is.
kernel::Kernel apply_schedule(const kernel::Kernel& k, const Schedule& s, const ScheduleOptions& o);

}  // namespace gradc::passes
