// Runs kernels one scalar at a time. Indices are flattened once; scalars are computed by the strips of the
// graph interpreter, one element long, so that both perform the same operations. What is checked besides:
// every index lies within its axis, and local memory is written before it is read.
#include <algorithm>
#include <cstring>

#include "ir/interp/scalar_strips.h"
#include "ir/kernel/flat_index.h"
#include "ir/kernel/kernel.h"
#include "support/check.h"

namespace gradc::kernel {
namespace {

using Dims = std::map<std::string, int64_t>;

// One value of any element type, as it lies in memory.
struct Slot {
  alignas(8) std::byte bytes[8] = {};
};

struct Code;

struct ConstantOp {
  Value result;
  Slot value;
};
struct AxisOp {
  Value result;
  FlatIndex index;
};
struct ComputeOp {
  Value result;
  ScalarOp op;
  DType dtype, operand;
  std::array<Value, 3> args;
};
struct LoadOp {
  Value result;
  int buffer;
  std::vector<FlatIndex> at, guards;
  Slot fill;
};
struct StoreOp {
  Value value;
  int buffer;
  std::vector<FlatIndex> at;
};
struct BindOp {
  int var;
  Value value;
};
struct TreeOp {
  Value result;
  int tile;
  std::vector<FlatIndex> at;
  ScalarOp joins;
};
struct LoopOp {
  int var;
  FlatIndex extent;
  LoopKind kind;
  std::unique_ptr<Code> body;
};
struct IfOp {
  std::vector<FlatIndex> conditions;
  std::unique_ptr<Code> body;
};
using Op = std::variant<ConstantOp, AxisOp, ComputeOp, LoadOp, StoreOp, BindOp, TreeOp, LoopOp, IfOp>;
struct Code {
  std::vector<Op> ops;
};

// A buffer at these dimensions; tiles have memory of their own.
struct Room {
  std::vector<int64_t> shape;
  FlatIndex address;  // of an element, over its indices
  int64_t size = 0;   // bytes of an element
  bool local = false;
  Memory memory;
  std::vector<std::byte> own;
  std::vector<uint32_t> written;  // by element of a local buffer: the iteration that wrote it last
};

Slot slot_of(DType t, const Literal& l) {
  Slot s;
  interp::fill_strip(t, l, s.bytes, 1);
  return s;
}

class Translator {
 public:
  Translator(const Kernel& k, const Dims& dims) : k_(k), dims_(dims), types_(static_cast<size_t>(k.values)) {}

  std::unique_ptr<Code> body(const Body& b) {
    auto code = std::make_unique<Code>();
    for (const Stmt& s : b) code->ops.push_back(std::visit([&](const auto& x) { return op(x); }, s));
    return code;
  }
  FlatIndex flat(const Index& e) const { return {e, dims_}; }

 private:
  std::vector<FlatIndex> flat(const std::vector<Index>& es) const {
    std::vector<FlatIndex> out;
    for (const Index& e : es) out.emplace_back(e, dims_);
    return out;
  }
  DType& type(Value v) { return types_[static_cast<size_t>(v)]; }

  Op op(const Compute& c) {
    type(c.result) = c.dtype;
    if (c.op == ScalarOp::Const) return ConstantOp{c.result, slot_of(c.dtype, c.value)};
    if (c.op == ScalarOp::Axis) return AxisOp{c.result, flat(c.index)};
    return ComputeOp{c.result, c.op, c.dtype, type(c.args[c.op == ScalarOp::Select ? 1 : 0]), c.args};
  }
  Op op(const Load& l) {
    const DType t = k_.buffers[l.buffer].dtype;
    type(l.result) = t;
    return LoadOp{l.result, l.buffer, flat(l.at), flat(l.guards), slot_of(t, l.fill)};
  }
  Op op(const Store& s) { return StoreOp{s.value, s.buffer, flat(s.at)}; }
  Op op(const Bind& b) { return BindOp{b.var, b.value}; }
  Op op(const Tree& t) {
    type(t.result) = k_.buffers[t.tile].dtype;
    std::vector<FlatIndex> at = flat(t.at);
    at.emplace_back();  // the lane, which evaluation replaces
    return TreeOp{t.result, t.tile, std::move(at), joining(t.combine)};
  }
  Op op(const std::shared_ptr<const For>& f) {
    return LoopOp{f->var, flat(f->extent), f->kind, body(f->body)};
  }
  Op op(const std::shared_ptr<const If>& i) { return IfOp{flat(i->conditions), body(i->body)}; }

  const Kernel& k_;
  const Dims& dims_;
  std::vector<DType> types_;
};

}  // namespace

class Interpreter::Machine {
 public:
  Machine(const Kernel& k, const Dims& dims, Options o)
      : k_(k), o_(o), vars_(static_cast<size_t>(k.vars)), values_(static_cast<size_t>(k.values)) {
    verify(k_);
    for (const Buffer& b : k_.buffers) rooms_.push_back(room(b, dims));
    code_ = Translator(k_, dims).body(k_.body);
  }

  void run(std::span<const Memory> buffers, std::span<const int64_t> params, int64_t begin, int64_t end,
           const Touch& touch) {
    touch_ = touch ? &touch : nullptr;
    size_t b = 0;
    for (size_t i = 0; i < rooms_.size(); ++i) {
      if (k_.buffers[i].space == Space::Tile) continue;
      GRADC_CHECK(b < buffers.size(), "@{} is given {} buffers", k_.name, buffers.size());
      rooms_[i].memory = buffers[b++];
    }
    GRADC_CHECK(params.size() == k_.params.size(), "@{} is given {} parameters", k_.name, params.size());
    for (size_t p = 0; p < params.size(); ++p) vars_[static_cast<size_t>(k_.params[p])] = params[p];
    if (parallel_loop(k_)) {
      run_range(std::get<LoopOp>(code_->ops[0]), begin, end);
    } else {
      ++iteration_;
      run(*code_);
    }
  }

 private:
  static Room room(const Buffer& b, const Dims& dims) {
    Room r;
    r.size = size_of(b.dtype);
    r.local = b.space == Space::Scratch || b.space == Space::Tile;
    std::vector<Index> at;
    for (const Dim& d : b.shape) {
      at.push_back(Index::var(static_cast<int>(at.size())));
      r.shape.push_back(FlatIndex(d, dims)({}));
    }
    r.address = {b.layout.address(b.shape, at), dims};
    const int64_t count = FlatIndex(b.layout.size(b.shape), dims)({});
    if (r.local) r.written.assign(static_cast<size_t>(count), 0);
    if (b.space == Space::Tile) {
      r.own.resize(static_cast<size_t>(count * r.size));
      r.memory = {r.own.data(), count * r.size};
    }
    return r;
  }

  // --- statements -----------------------------------------------------------------------------------------
  void run(const Code& c) {
    for (const Op& op : c.ops) std::visit([&](const auto& x) { execute(x); }, op);
  }
  template <class F>
  void each(int64_t begin, int64_t end, bool any_order, F&& visit) {
    if (any_order && o_.descending)
      for (int64_t i = end; i-- > begin;) visit(i);
    else
      for (int64_t i = begin; i < end; ++i) visit(i);
  }
  void run_range(const LoopOp& l, int64_t begin, int64_t end) {
    const int64_t extent = l.extent(vars_);
    GRADC_CHECK(begin >= 0 && end <= extent, "@{}: iterations {} to {} of {}", k_.name, begin, end, extent);
    each(begin, end, true, [&](int64_t i) {
      ++iteration_;
      vars_[static_cast<size_t>(l.var)] = i;
      run(*l.body);
    });
  }
  void execute(const LoopOp& l) {
    each(0, l.extent(vars_), l.kind != LoopKind::Serial, [&](int64_t i) {
      vars_[static_cast<size_t>(l.var)] = i;
      run(*l.body);
    });
  }
  void execute(const IfOp& i) {
    if (holds(i.conditions)) run(*i.body);
  }
  bool holds(const std::vector<FlatIndex>& all) const {
    return std::all_of(all.begin(), all.end(), [&](const FlatIndex& e) { return e(vars_) >= 0; });
  }

  Slot& value(Value v) { return values_[static_cast<size_t>(v)]; }
  void execute(const ConstantOp& c) { value(c.result) = c.value; }
  void execute(const AxisOp& a) {
    const int64_t v = a.index(vars_);
    std::memcpy(value(a.result).bytes, &v, sizeof v);
  }
  void execute(const BindOp& b) {
    std::memcpy(&vars_[static_cast<size_t>(b.var)], value(b.value).bytes, sizeof(int64_t));
  }
  void execute(const ComputeOp& c) {
    const std::byte* args[3] = {};
    for (int i = 0; i < def_of(c.op).arity; ++i) args[i] = value(c.args[i]).bytes;
    interp::eval_strip(c.op, c.dtype, c.operand, args[0], args[1], args[2], value(c.result).bytes, 1, k_.fma);
  }

  // --- memory ---------------------------------------------------------------------------------------------
  // The element's number in the buffer's memory.
  int64_t element(int buffer, const std::vector<FlatIndex>& at) {
    const Room& r = rooms_[static_cast<size_t>(buffer)];
    at_.clear();
    for (size_t a = 0; a < at.size(); ++a) {
      const int64_t i = at[a](vars_);
      GRADC_CHECK(i >= 0 && i < r.shape[a], "@{}: index {} of {} on axis {} of %{}", k_.name, i, r.shape[a],
                  a, k_.buffers[buffer].name);
      at_.push_back(i);
    }
    const int64_t offset = r.address(at_);
    GRADC_CHECK((offset + 1) * r.size <= r.memory.bytes, "@{}: element {} is beyond the {} bytes of %{}",
                k_.name, offset, r.memory.bytes, k_.buffers[buffer].name);
    return offset;
  }
  const std::byte* read(int buffer, int64_t element) {
    Room& r = rooms_[static_cast<size_t>(buffer)];
    if (r.local)
      GRADC_CHECK(r.written[static_cast<size_t>(element)] == iteration_,
                  "@{}: element {} of %{} is read before it is written", k_.name, element,
                  k_.buffers[buffer].name);
    else if (touch_)
      (*touch_)(buffer, element * r.size, r.size, false);
    return r.memory.base + element * r.size;
  }
  void execute(const LoadOp& l) {
    if (!holds(l.guards)) {
      value(l.result) = l.fill;
      return;
    }
    const std::byte* from = read(l.buffer, element(l.buffer, l.at));
    std::memcpy(value(l.result).bytes, from, static_cast<size_t>(rooms_[static_cast<size_t>(l.buffer)].size));
  }
  void execute(const StoreOp& s) {
    Room& r = rooms_[static_cast<size_t>(s.buffer)];
    const int64_t to = element(s.buffer, s.at);
    if (r.local)
      r.written[static_cast<size_t>(to)] = iteration_;
    else if (touch_)
      (*touch_)(s.buffer, to * r.size, r.size, true);
    std::memcpy(r.memory.base + to * r.size, value(s.value).bytes, static_cast<size_t>(r.size));
  }
  // Strides n/2, ..., 1: element l joins l + stride.
  void execute(const TreeOp& t) {
    const Room& r = rooms_[static_cast<size_t>(t.tile)];
    const DType type = k_.buffers[t.tile].dtype;
    const int64_t n = r.shape.back(), first = element(t.tile, t.at);
    GRADC_CHECK(n > 0 && (n & (n - 1)) == 0, "@{}: a tree over {} elements", k_.name, n);
    std::vector<std::byte> lanes;
    for (int64_t l = 0; l < n; ++l) {
      const std::byte* from = read(t.tile, first + l);  // tiles are plain
      lanes.insert(lanes.end(), from, from + r.size);
    }
    for (int64_t stride = n / 2; stride > 0; stride /= 2)
      interp::eval_strip(t.joins, type, type, lanes.data(), lanes.data() + stride * r.size, nullptr,
                         lanes.data(), static_cast<int>(stride), k_.fma);
    std::memcpy(value(t.result).bytes, lanes.data(), static_cast<size_t>(r.size));
  }

  const Kernel& k_;
  Options o_;
  std::vector<int64_t> vars_, at_;
  std::vector<Slot> values_;
  std::vector<Room> rooms_;
  std::unique_ptr<Code> code_;
  const Touch* touch_ = nullptr;
  uint32_t iteration_ = 0;
};

Interpreter::Interpreter(const Kernel& k, const std::map<std::string, int64_t>& dims, Options o)
    : machine_(std::make_unique<Machine>(k, dims, o)) {}
Interpreter::~Interpreter() = default;
Interpreter::Interpreter(Interpreter&&) noexcept = default;

void Interpreter::run(std::span<const Memory> buffers, std::span<const int64_t> params, int64_t begin,
                      int64_t end, const Touch& touch) {
  machine_->run(buffers, params, begin, end, touch);
}

}  // namespace gradc::kernel
