// The step IR: which kernels run on which buffers in which order, with barriers, and where buffers lie. Every
// thread executes the whole step; a kernel's parallel iterations are dealt to threads by a formula of
// (extent, tid, nthreads), the same each time. Emitted as one function per step.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "ir/kernel/kernel.h"
#include "ir/kernel/schedule.h"

namespace gradc::step {

// Thread: a copy for each thread, which lives for one iteration of a `tasks` loop.
enum class Region : uint8_t { State, Io, Scratch, Thread };

struct Buffer {
  std::string name;
  DType dtype = DType::F32;
  Shape shape;
  Layout layout = {};
  Region region = Region::Scratch;
  int64_t offset = -1;    // bytes within the region at the planned maximum; -1 before memory is planned
  int derived_from = -1;  // the buffer of which this one is a copy in another layout
};

struct Dim {
  std::string name;
  int64_t max = 0;
  int64_t plan = 64;  // the value that schedules assume
  bool operator==(const Dim&) const = default;
};

struct Run {
  int kernel = 0;
  std::vector<int> buffers;   // one for each parameter buffer of the kernel
  std::vector<Index> params;  // one for each kernel parameter, over step loop variables
};
struct Barrier {};
struct For;
struct If;
using Stmt = std::variant<Run, Barrier, std::shared_ptr<const For>, std::shared_ptr<const If>>;
using Body = std::vector<Stmt>;

// `var` runs over 0 .. extent-1, as long as the bool buffer `condition`, if there is one, holds before an
// iteration; every thread reads it. The iterations of `tasks` are independent and dealt to threads as those
// of a parallel kernel are; one thread runs the kernels of an iteration, some of them in loops of its own.
struct For {
  int var = 0;
  Index extent;
  Body body;
  int condition = -1;
  bool tasks = false;
};
// Chooses by a bool buffer with one element, which every thread reads.
struct If {
  int condition = 0;
  Body then_body, else_body;
};

// A loop or a branch with its bodies replaced; other statements as they are.
Stmt map_bodies(const Stmt& s, const std::function<Body(const Body&)>& f);
// Every run, in the order of the text; the body with each replaced.
void each_run(const Body& b, const std::function<void(const Run&)>& visit);
Body map_runs(const Body& b, const std::function<Run(const Run&)>& f);

struct Step {
  std::string name;
  std::vector<Dim> dims;
  std::vector<Buffer> buffers;
  std::vector<kernel::Kernel> kernels;  // no two equal
  std::vector<kernel::Schedule>
      schedules;  // by kernel, while they are planned and not carried out; else empty
  Body body;
  int vars = 0;
  int64_t state_bytes = 0, io_bytes = 0, scratch_bytes = 0;  // at the planned maximum, after memory planning
  int64_t thread_bytes = 0;                                  // of one thread's buffers, likewise
  std::vector<int> inputs, outputs;  // io buffers, in order; a buffer's name is its key
};

// Where a kernel's scratch buffers lie in the calling thread's scratch, and the bytes that one thread needs.
struct ThreadScratch {
  std::vector<int64_t> offsets;  // one for each Scratch buffer of the kernel, in order; 64-byte aligned
  int64_t bytes = 0;
};
ThreadScratch thread_scratch(const kernel::Kernel& k);
int64_t kernel_scratch_bytes(const Step& s);  // the maximum over its kernels
int64_t thread_area_bytes(const Step& s);     // that, then the thread's buffers

// Iterations [begin, end) of an extent for one thread: contiguous, as even as possible, the first ones
// larger.
struct Range {
  int64_t begin, end;
};
Range range_of(int64_t extent, int64_t tid, int64_t nthreads);

// The bytes of a buffer, layout and dtype included, for given dimensions.
int64_t bytes_of(const Buffer& b, const std::map<std::string, int64_t>& dims);

std::string print(const Step& s);
// Reads what print gives; throws CompileError with the place of a mistake.
Step parse_step(std::string_view text, uint32_t file = 0);
// Of several, one behind the other.
std::vector<Step> parse_steps(std::string_view text, uint32_t file = 0);
// Invariants are listed at the top of verify.cpp; throws InternalError.
void verify(const Step& s);

// Runs the step over the caller's state and io regions as `threads` threads would, with poisoned scratch of
// its own. Between barriers threads run one after another, in an order drawn from `order_seed` (0: ascending;
// odd: loops whose iterations are independent run backwards).
struct RunOptions {
  std::map<std::string, int64_t> dims;
  int threads = 1;
  uint64_t order_seed = 0;
  // InternalError, naming kernels, buffer and threads, where two threads touch a byte between two barriers
  // and one of them writes; and where scratch is read that was last written as another buffer, or never.
  bool check_races = true;
};
void interpret(const Step& s, std::byte* state, std::byte* io, const RunOptions& o);

}  // namespace gradc::step
