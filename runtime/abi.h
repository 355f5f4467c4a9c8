// The C ABI of compiled code. Append-only: a struct starts with its size, a symbol carries its version.
// Compiled entry points allocate nothing, keep no globals, do no I/O and throw nothing.
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GRADC_ABI_VERSION 1

// What the threads of one call wait on together. wait() returns once all `nthreads` threads have called it.
typedef struct gradc_barrier {
  uint32_t struct_size;
  void (*wait)(void* context, uint32_t tid);
  void* context;
} gradc_barrier;

// One compiled entry point (init, train_step, eval_step, predict, ...), called by every thread of a team with
// the same arguments but its own tid in [0, nthreads). The results do not depend on nthreads.
//   state, io, scratch  caller-owned regions, 64-byte aligned, of at least the sizes in the Program
//   table               the entry's symbolic dimensions, in the Program's order, then the byte offset of each
//                       of its buffers within its region
//   barrier             may be null when nthreads is 1
typedef void (*gradc_entry_v1)(void* state, void* io, void* scratch, const int64_t* table, uint32_t tid,
                               uint32_t nthreads, const gradc_barrier* barrier);

#ifdef __cplusplus
}
#endif
