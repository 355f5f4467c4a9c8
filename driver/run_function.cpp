#include "driver/run_function.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <thread>

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
    const uint32_t generation = b.generation.load(std::memory_order_acquire);
    if (b.arrived.fetch_add(1, std::memory_order_acq_rel) + 1 == b.size) {
      b.arrived.store(0, std::memory_order_relaxed);
      b.generation.fetch_add(1, std::memory_order_release);
      return;
    }
    while (b.generation.load(std::memory_order_acquire) == generation) std::this_thread::yield();
  }
};

struct Region {
  explicit Region(int64_t bytes) : memory(DType::U8, {std::max<int64_t>(64, bytes)}) {}
  Tensor memory;
  std::byte* data() { return memory.data(); }
};

// Copies a row-major tensor to or from a buffer with strides.
void copy_strided(const step::Buffer& b, const std::map<std::string, int64_t>& dims, std::byte* region, Tensor& t, bool in) {
  const std::vector<int64_t> shape = concrete(b.shape, dims);
  const std::vector<int64_t> strides = b.strides.empty() ? std::vector<int64_t>{} : concrete(b.strides, dims);
  const int64_t size = size_of(b.dtype);
  std::byte* base = region + b.offset;
  if (strides.empty()) {
    if (t.bytes() > 0) in ? std::memcpy(base, t.data(), static_cast<size_t>(t.bytes())) : std::memcpy(t.data(), base, static_cast<size_t>(t.bytes()));
    return;
  }
  for (int64_t i = 0; i < t.count(); ++i) {
    int64_t rest = i, at = 0;
    for (size_t d = shape.size(); d-- > 0; rest /= shape[d]) at += rest % shape[d] * strides[d];
    in ? std::memcpy(base + at * size, t.data() + i * size, static_cast<size_t>(size)) : std::memcpy(t.data() + i * size, base + at * size, static_cast<size_t>(size));
  }
}

}  // namespace

void call_entry(gradc_entry_v1 entry, void* state, void* io, void* scratch, const int64_t* table, int threads) {
  TeamBarrier team(static_cast<uint32_t>(threads));
  const gradc_barrier barrier{sizeof(gradc_barrier), TeamBarrier::wait, &team};
  std::vector<std::thread> others;
  for (int t = 1; t < threads; ++t)
    others.emplace_back([&, t] { entry(state, io, scratch, table, static_cast<uint32_t>(t), static_cast<uint32_t>(threads), &barrier); });
  entry(state, io, scratch, table, 0, static_cast<uint32_t>(threads), &barrier);
  for (std::thread& t : others) t.join();
}

CompiledFunction::CompiledFunction(const graph::Module& m, const graph::Function& f, const CompileOptions& o)
    : f_(f), step_(lower_function(m, f, o, {}, 0, &report_)), code_(codegen::jit({&step_, 1}, o.codegen)) {}

std::vector<Tensor> CompiledFunction::run(std::span<const Tensor> args, int threads) const {
  std::vector<const Tensor*> pointers;
  for (const Tensor& t : args) pointers.push_back(&t);
  const std::vector<Type> types = f_.param_types();
  if (types.size() != args.size()) throw CompileError({}, fmt::format("@{} takes {} arguments, not {}", f_.name, types.size(), args.size()));
  const std::map<std::string, int64_t> dims = bind_dims(types, pointers);
  std::vector<int64_t> values;
  for (const step::Dim& d : step_.dims) {
    auto it = dims.find(d.name);
    values.push_back(it == dims.end() ? d.max : it->second);
    if (values.back() > d.max) throw CompileError({}, fmt::format("{} is {}, planned for at most {}", d.name, values.back(), d.max));
  }
  const std::vector<int64_t> table = codegen::make_table(step_, values);
  Region io(step_.io_bytes), scratch(codegen::scratch_bytes(step_, threads)), state(step_.state_bytes);
  for (size_t i = 0; i < args.size(); ++i) {
    Tensor copy = args[i].clone();
    copy_strided(step_.buffers[step_.inputs[i]], dims, io.data(), copy, true);
  }
  call_entry(code_->entry(step_.name), state.data(), io.data(), scratch.data(), table.data(), threads);
  std::vector<Tensor> results;
  size_t output = 0;
  for (const graph::Result& r : f_.results) {
    const bool donated = r.into != graph::kNone;
    const size_t p = static_cast<size_t>(std::find(f_.params.begin(), f_.params.end(), r.into) - f_.params.begin());
    const step::Buffer& b = step_.buffers[donated ? step_.inputs[p] : step_.outputs[output++]];
    Tensor t(b.dtype, concrete(b.shape, dims));
    copy_strided(b, dims, io.data(), t, false);
    results.push_back(std::move(t));
  }
  return results;
}

}  // namespace gradc
