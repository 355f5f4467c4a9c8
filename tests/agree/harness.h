// The agreement harness: one function of IR text, compiled once, run at several batch sizes and thread counts
// on the caller's arguments, and compared bit for bit with the graph interpreter, as is the step interpreter,
// which looks for races and for reads of what nobody wrote.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <thread>

#include "driver/run_function.h"
#include "ir/interp/interpret.h"
#include "passes/pipeline.h"

namespace gradc::test {

struct Variant {
  int lanes = 0;
  std::vector<std::string> without;
  std::string cpu;
  bool always_parallel = false;  // small kernels too
};

inline CompileOptions options_of(const Variant& v) {
  CompileOptions o;
  o.codegen.target.lanes = v.lanes;
  o.codegen.target.cpu = v.cpu;
  o.without = v.without;
  o.parallel_threshold = v.always_parallel ? 1 : 0;
  return o;
}

inline Tensor random_tensor(DType t, const std::vector<int64_t>& shape, uint64_t seed) {
  Tensor x(t, shape);
  uint64_t s = seed * 0x9E3779B97F4A7C15ULL + 1;
  for (int64_t i = 0; i < x.count(); ++i) {
    s = s * 6364136223846793005ULL + 1442695040888963407ULL;
    const double u = static_cast<double>(s >> 11) * 0x1p-53;
    x.set(i, is_float(t) ? 2 * u - 1 : static_cast<double>(static_cast<int64_t>(u * 10)));
  }
  return x;
}

inline std::vector<Tensor> random_arguments(const graph::Function& f,
                                            const std::map<std::string, int64_t>& dims, uint64_t seed) {
  std::vector<Tensor> args;
  for (const Type& t : f.param_types())
    args.push_back(random_tensor(t.dtype, concrete(t.shape, dims), seed++));
  return args;
}

inline void expect_equal(const std::vector<Tensor>& want, const std::vector<Tensor>& got,
                         const std::string& where) {
  for (size_t r = 0; r < want.size(); ++r) {
    std::string why;
    ASSERT_TRUE(bit_equal(want[r], got[r], &why)) << "result " << r << " " << where << ": " << why;
  }
}

// Runs `updates` times, feeding donated results back, by all engines; every result must agree at every
// update.
inline void expect_agreement(const std::string& text, const std::string& name,
                             const std::vector<int64_t>& batches, const Variant& v,
                             const std::vector<int>& threads = {1, 2, 3, 7}, int updates = 1) {
  const graph::Module m = passes::run_graph_passes(graph::parse(text));
  const graph::Function& f = m.at(name);
  const CompiledFunction compiled(m, f, options_of(v));
  for (int64_t batch : batches) {
    std::map<std::string, int64_t> dims;
    for (const auto& [d, info] : f.dims) dims[d] = batch;
    for (int n : threads) {
      std::vector<Tensor> args = random_arguments(f, dims, 11), same = random_arguments(f, dims, 11);
      for (int u = 0; u < updates; ++u) {
        const std::vector<Tensor> want = interpret(m, f, args);
        const std::vector<Tensor> got = compiled.run(same, n);
        const std::string where =
            fmt::format("of @{} at {}, {} threads, lanes {}, update {}", name, batch, n, v.lanes, u);
        expect_equal(want, got, where);
        step::RunOptions o{.threads = n, .order_seed = static_cast<uint64_t>(u + n)};
        expect_equal(want, interpret_step(f, compiled.step(), same, o), where + ", interpreted step");
        if (testing::Test::HasFatalFailure()) return;
        for (size_t r = 0; r < want.size(); ++r) {
          if (f.results[r].into == graph::kNone) continue;
          const size_t p = static_cast<size_t>(
              std::find(f.params.begin(), f.params.end(), f.results[r].into) - f.params.begin());
          args[p] = want[r].clone();
          same[p] = got[r].clone();
        }
      }
    }
  }
}

}  // namespace gradc::test
