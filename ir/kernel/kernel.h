// The kernel IR: loops over buffers, with scalar code in SSA form. Access is by logical index; where an
// element lies in memory is the buffer's layout. One text serves every vector width: a `vector` loop's
// iterations are independent, and code generation deals them to lanes. Passes are functions from kernel to
// kernel.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "ir/index.h"
#include "ir/layout.h"
#include "ir/meaning.h"
#include "ir/scalar.h"
#include "ir/type.h"
#include "support/source.h"

namespace gradc::kernel {

enum class Space : uint8_t {
  In,       // parameter, only read
  Out,      // parameter, only written
  InOut,    // parameter, read and written
  Scratch,  // memory of one thread, constant shape, lives for one iteration of the parallel loop
  Tile,     // registers: constant shape, constant indices once unroll and vector loops are expanded
};

struct Buffer {
  std::string name;
  DType dtype = DType::F32;
  Shape shape;
  Space space = Space::In;
  Layout layout = {};
  int derived_from = -1;  // the parameter of which this one is a copy in another layout
  bool far = false;       // an Out that is read only after much else: stored past the caches, 64-byte aligned
};

using Value = int32_t;  // defined once, visible in the statements after it and in the bodies nested there

struct Compute {
  Value result = -1;
  ScalarOp op = ScalarOp::Const;  // Axis: the value (i64) of `index`; Read does not occur
  DType dtype = DType::F32;
  std::array<Value, 3> args{-1, -1, -1};
  Literal value;
  Index index;
};

struct Load {
  Value result = -1;
  int buffer = 0;
  std::vector<Index> at;
  std::vector<Index> guards;  // any negative: nothing is read, the value is `fill`
  Literal fill;
};

struct Store {
  int buffer = 0;
  std::vector<Index> at;
  Value value = -1;
};

// Makes an integer value usable in indices, as variable `var`.
struct Bind {
  int var = 0;
  Value value = -1;
};

// The fixed tree over the last axis of a tile, strides lanes/2, ..., 1: element l becomes combine(l, l +
// stride).
struct Tree {
  Value result = -1;
  int tile = 0;
  std::vector<Index> at;  // the leading axes
  Combiner combine = Combiner::Add;
};

enum class LoopKind : uint8_t { Serial, Axis, Parallel, Vector, Unroll };

struct For;
struct If;
using Stmt =
    std::variant<Compute, Load, Store, Bind, Tree, std::shared_ptr<const For>, std::shared_ptr<const If>>;
using Body = std::vector<Stmt>;

// `var` runs over 0 .. extent-1. Serial runs ascending. The iterations of all others may run in any order or
// at once: none reads what another writes. Axis is such a loop that no schedule has decided on, only within
// other Axis loops; Parallel is at most one, the outermost and only statement of the kernel. An Unroll extent
// is constant; a Vector body holds no loop but Unroll, no If and no Tree.
struct For {
  int var = 0;
  Index extent;
  LoopKind kind = LoopKind::Serial;
  Body body;
};

// Runs when every condition is >= 0.
struct If {
  std::vector<Index> conditions;
  Body body;
};

struct Kernel {
  std::string name;
  std::vector<Buffer> buffers;  // parameters first, in call order, then scratch and tiles
  std::vector<int> params;      // variables that the caller passes (a step loop's counter)
  Body body;
  int vars = 0;      // all variables are below this
  Value values = 0;  // all values are below this
  bool fma = true;   // whether multiply-adds inside elementary functions have one rounding
  Loc loc;
};

inline Stmt make_for(For f) { return std::make_shared<const For>(std::move(f)); }
inline Stmt make_if(If i) { return std::make_shared<const If>(std::move(i)); }

// The parallel loop, or null when thread 0 runs the kernel alone.
const For* parallel_loop(const Kernel& k);
// Names replaced by positions: equal kernels print equally.
std::string canonical_text(const Kernel& k);

std::string print(const Kernel& k);
// Reads what print gives; throws CompileError with the place of a mistake.
Kernel parse_kernel(std::string_view text, uint32_t file = 0);
// The kernel that starts at byte `at` of a longer text; `at` moves behind it.
Kernel parse_kernel_at(std::string_view text, size_t& at, uint32_t file);
// Invariants are listed at the top of verify.cpp; throws InternalError.
void verify(const Kernel& k);

// Calls `visit` on every statement, outer ones first.
void walk(const Body& body, const std::function<void(const Stmt&)>& visit);
// Every statement but loops and branches, replaced.
Body map_statements(const Body& body, const std::function<Stmt(const Stmt&)>& f);

// A buffer bound to memory, for the interpreter.
struct Memory {
  std::byte* base = nullptr;
  int64_t bytes = 0;
};
// An access to a parameter buffer: the buffer, its first byte from the base, how many, whether it writes.
using Touch = std::function<void(int, int64_t, int64_t, bool)>;

// Runs a kernel, which it does not copy, one scalar at a time for given dimensions. InternalError where an
// index leaves its axis or its buffer, and where scratch or a tile is read before it was written in this
// iteration of the parallel loop.
class Interpreter {
 public:
  struct Options {
    // Whether iterations that may run in any order (parallel, vector, unroll) run from last to first.
    bool descending = false;
  };
  Interpreter(const Kernel& k, const std::map<std::string, int64_t>& dims, Options o);
  Interpreter(const Kernel& k, const std::map<std::string, int64_t>& dims) : Interpreter(k, dims, {}) {}
  ~Interpreter();
  Interpreter(Interpreter&&) noexcept;

  // Iterations [begin, end) of the parallel loop (0, 1 without one). `buffers` binds the parameters, then the
  // scratch buffers.
  void run(std::span<const Memory> buffers, std::span<const int64_t> params, int64_t begin, int64_t end,
           const Touch& touch = {});

 private:
  class Machine;
  std::unique_ptr<Machine> machine_;
};
// The extent of the parallel loop, 1 without one.
int64_t parallel_extent(const Kernel& k, const std::map<std::string, int64_t>& dims,
                        std::span<const int64_t> params);

}  // namespace gradc::kernel
