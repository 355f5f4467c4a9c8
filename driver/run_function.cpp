#include "driver/run_function.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstring>
#include <thread>

#include "driver/memory_gaps.h"
#include "ir/kernel/flat_index.h"
#include "runtime/memory.h"
#include "support/check.h"
#include "support/diagnostic.h"

namespace gradc {
namespace {

// A counting barrier for short-lived teams; threads beyond the cores yield.
struct TeamBarrier {
  explicit TeamBarrier(uint32_t n) : size(n) {}
  uint32_t size;
  std::atomic<uint32_t> arrived{0}, generation{0};

  static void wait(void* context, uint32_t) {
    auto& b = *static_cast<TeamBarrier*>(context);
    if (b.size == 1) return;
    const uint32_t generation = b.generation.load(std::memory_order_acquire);
    if (b.arrived.fetch_add(1, std::memory_order_acq_rel) + 1 == b.size) {
      b.arrived.store(0, std::memory_order_relaxed);
      b.generation.fetch_add(1, std::memory_order_release);
      return;
    }
    for (int spins = 0; b.generation.load(std::memory_order_acquire) == generation; ++spins) {
      if (spins > 20000) std::this_thread::yield();
    }
  }
};

using runtime::Region;

// Copies a row-major tensor to or from a buffer.
void copy_tensor(const step::Buffer& b, const std::map<std::string, int64_t>& dims, std::byte* region,
                 Tensor& t, bool in) {
  const auto copy = [&](std::byte* place, std::byte* element, int64_t bytes) {
    if (bytes > 0) std::memcpy(in ? place : element, in ? element : place, static_cast<size_t>(bytes));
  };
  std::byte* base = region + b.offset;
  if (b.layout.is_plain()) return copy(base, t.data(), t.bytes());
  const int64_t size = size_of(b.dtype);
  int64_t i = 0;
  for (const int64_t at : kernel::places(b.layout, b.shape, dims))
    copy(base + at * size, t.data() + i++ * size, size);
}

// The regions of a call, with its arguments in place.
struct Call {
  Call(const graph::Function& f, const step::Step& s, std::span<const Tensor> args)
      : f(f), s(s), io(s.io_bytes), state(s.state_bytes) {
    std::vector<const Tensor*> pointers;
    for (const Tensor& t : args) pointers.push_back(&t);
    const std::vector<Type> types = f.param_types();
    if (types.size() != args.size())
      throw CompileError({},
                         fmt::format("@{} takes {} arguments, not {}", f.name, types.size(), args.size()));
    dims = bind_dims(types, pointers);
    for (const step::Dim& d : s.dims) {
      auto it = dims.emplace(d.name, d.max).first;
      if (it->second > d.max)
        throw CompileError({}, fmt::format("{} is {}, planned for at most {}", d.name, it->second, d.max));
    }
    require_rows();
    std::memset(io.data(), 0xFF, static_cast<size_t>(io.size()));  // what nobody writes is NaN
    for (size_t i = 0; i < args.size(); ++i) {
      Tensor copy = args[i].clone();
      copy_tensor(s.buffers[s.inputs[i]], dims, io.data(), copy, true);
    }
  }

  // Compiled code takes a table that rows are read of to have one.
  void require_rows() const {
    for (const graph::Node& n : f.nodes) {
      if (n.op->name != "gather") continue;
      const Type& table = f.type(n.operands[0]);
      const std::vector<int64_t> rows = concrete({table.shape[0]}, dims),
                                 read = concrete(n.type().shape, dims);
      if (rows[0] == 0 && std::find(read.begin(), read.end(), 0) == read.end())
        throw CompileError(
            {}, fmt::format("gather: {} has no rows where {} is 0", table.str(), table.shape[0].str()));
    }
  }

  std::vector<int64_t> table() const {
    std::vector<int64_t> values;
    for (const step::Dim& d : s.dims) values.push_back(dims.at(d.name));
    return codegen::make_table(s, values);
  }

  std::vector<Tensor> results() {
    std::vector<Tensor> out;
    size_t output = 0;
    for (const graph::Result& r : f.results) {
      const bool donated = r.into != graph::kNone;
      const size_t p =
          static_cast<size_t>(std::find(f.params.begin(), f.params.end(), r.into) - f.params.begin());
      const step::Buffer& b = s.buffers[donated ? s.inputs[p] : s.outputs[output++]];
      Tensor t(b.dtype, concrete(b.shape, dims));
      copy_tensor(b, dims, io.data(), t, false);
      out.push_back(std::move(t));
    }
    return out;
  }

  const graph::Function& f;
  const step::Step& s;
  Region io, state;
  std::map<std::string, int64_t> dims;
};

}  // namespace

void call_entry(gradc_entry_v1 entry, void* state, void* io, void* scratch, const int64_t* table,
                int threads) {
  TeamBarrier team(static_cast<uint32_t>(threads));
  const gradc_barrier barrier{sizeof(gradc_barrier), TeamBarrier::wait, &team};
  std::vector<std::thread> others;
  for (int t = 1; t < threads; ++t)
    others.emplace_back([&, t] {
      entry(state, io, scratch, table, static_cast<uint32_t>(t), static_cast<uint32_t>(threads), &barrier);
    });
  entry(state, io, scratch, table, 0, static_cast<uint32_t>(threads), &barrier);
  for (std::thread& t : others) t.join();
}

CompiledFunction::CompiledFunction(const graph::Module& m, const graph::Function& f, const CompileOptions& o)
    : f_(f), step_(lower_function(m, f, o, {}, &report_)), code_(codegen::jit({&step_, 1}, o.codegen)) {}

CompiledFunction::CompiledFunction(const graph::Function& f, step::Step s, const CompileOptions& o)
    : f_(f), step_(std::move(s)), code_(codegen::jit({&step_, 1}, o.codegen)) {}

std::vector<double> CompiledFunction::measure(std::span<const Tensor> args, int threads, int rounds) const {
  Call call(f_, step_, args);
  const std::vector<int64_t> table = call.table();
  Region scratch(codegen::scratch_bytes(step_, threads));
  const gradc_entry_v1 entry = code_->entry(step_.name);
  std::vector<double> ms;
  TeamBarrier team(static_cast<uint32_t>(threads));
  const gradc_barrier barrier{sizeof(gradc_barrier), TeamBarrier::wait, &team};
  // Every thread makes every call; they meet after each, and thread 0 keeps the time: of several calls where
  // one takes so little that to ask for the time would count.
  constexpr double kSampleMs = 0.005;
  constexpr int kWarm = 10;
  int calls = 1;
  auto work = [&](uint32_t tid) {
    for (int r = -kWarm; r < rounds; ++r) {
      TeamBarrier::wait(&team, tid);
      const auto from = std::chrono::steady_clock::now();
      for (int c = 0; c < calls; ++c) {
        entry(call.state.data(), call.io.data(), scratch.data(), table.data(), tid,
              static_cast<uint32_t>(threads), &barrier);
        TeamBarrier::wait(&team, tid);
      }
      const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - from;
      if (tid == 0 && r >= 0) ms.push_back(took.count() / calls);
      if (r == -1) {
        TeamBarrier::wait(&team, tid);
        if (tid == 0) calls = static_cast<int>(std::ceil(kSampleMs / std::max(took.count(), 1e-5)));
      }
    }
  };
  std::vector<std::thread> others;
  for (int t = 1; t < threads; ++t) others.emplace_back(work, static_cast<uint32_t>(t));
  work(0);
  for (std::thread& t : others) t.join();
  std::sort(ms.begin(), ms.end());
  return ms;
}

std::vector<Tensor> CompiledFunction::run(std::span<const Tensor> args, int threads) const {
  Call call(f_, step_, args);
  Region scratch(codegen::scratch_bytes(step_, threads));
  const std::vector<int64_t> table = call.table();
  {
    const MemoryGaps gaps(step_, call.dims, call.io.data(), scratch.data(), threads);
    call_entry(code_->entry(step_.name), call.state.data(), call.io.data(), scratch.data(), table.data(),
               threads);
  }
  return call.results();
}

std::vector<Tensor> interpret_step(const graph::Function& f, const step::Step& s,
                                   std::span<const Tensor> args, step::RunOptions o) {
  Call call(f, s, args);
  o.dims = call.dims;
  step::interpret(s, call.state.data(), call.io.data(), o);
  return call.results();
}

}  // namespace gradc
