// A plain description of the processor that schedules are made for. Passes read it; the driver fills it from
// the code generator's target. No result depends on it, only speed does.
#pragma once

#include <cstdint>

namespace gradc {

// Of one core, billions a second: f32 operations, 2 a multiply-add, and bytes from near it and from memory.
struct Rates {
  double gops = 112, near_gbs = 60, far_gbs = 12;
};

struct Machine {
  int lanes = 8;  // f32 elements of a vector
  int vector_registers = 16;
  int64_t near_bytes = 1 << 19;  // what a core keeps near it while it reads on: half of an L2
  int cores = 8;                 // that a kernel should have enough pieces for
  // Work of a kernel, in scalar operations, below which a second thread costs more than it brings.
  int64_t parallel_threshold = 30000;
  Rates rates;  // for predictions alone

  // Behind a small near cache stands a close one that cores share.
  bool has_close_cache() const { return near_bytes < 1 << 20; }
};

}  // namespace gradc
