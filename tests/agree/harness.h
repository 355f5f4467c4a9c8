// The agreement harness: one function of IR text, compiled once, run at several batch sizes and thread counts
// on the caller's arguments, and compared bit for bit with the graph interpreter, as is the step interpreter,
// which looks for races and for reads of what nobody wrote.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <cmath>
#include <thread>

#include "driver/run_function.h"
#include "ir/interp/interpret.h"
#include "passes/pipeline.h"

namespace gradc::test {

struct Variant {
  int lanes = 0;
  std::vector<std::string> without;
  std::string cpu;
  bool always_parallel = false;  // small kernels too, and chains of them in tasks
};

inline CompileOptions options_of(const Variant& v) {
  CompileOptions o;
  o.codegen.target.lanes = v.lanes;
  o.codegen.target.cpu = v.cpu;
  o.without = v.without;
  o.parallel_threshold = v.always_parallel ? 1 : 0;
  o.near_bytes = v.always_parallel ? 64 : 0;
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

// Values where arithmetic has edges: signed zeros, infinities, NaN, denormals, the ends of integer types.
inline void set_special(Tensor& x, int64_t i, uint64_t draw) {
  constexpr double inf = std::numeric_limits<double>::infinity();
  const DType t = x.dtype();
  if (is_float(t)) {
    const double tiny = t == DType::F32 ? 1e-42 : 5e-320, huge = t == DType::F32 ? 3.4e38 : 1.7e308;
    const double list[] = {0.0, -0.0, inf, -inf, std::nan(""), tiny, -tiny, huge, -huge, 1.0};
    x.set(i, list[draw % 10]);
  } else if (t == DType::I64) {
    const int64_t list[] = {INT64_MIN, INT64_MAX, -1, 0, 1, 63, 64, int64_t{1} << 53};
    x.as<int64_t>()[static_cast<size_t>(i)] = list[draw % 8];
  } else if (t == DType::I32) {
    const double list[] = {INT32_MIN, INT32_MAX, -1, 0, 1, 31, 32, 1 << 24};
    x.set(i, list[draw % 8]);
  } else if (t == DType::U8) {
    const double list[] = {255, 0, 1, 7, 8, 128};
    x.set(i, list[draw % 6]);
  }
}

inline std::vector<Tensor> random_arguments(const graph::Function& f,
                                            const std::map<std::string, int64_t>& dims, uint64_t seed,
                                            bool specials = false) {
  std::vector<Tensor> args;
  for (const Type& t : f.param_types()) {
    args.push_back(random_tensor(t.dtype, concrete(t.shape, dims), seed));
    if (specials && seed % 4 == 0)
      for (int64_t i = 0; i < args.back().count(); ++i)
        if (const uint64_t h = (static_cast<uint64_t>(i) + seed) * 0x9E3779B97F4A7C15ULL >> 40; h % 3 == 0)
          set_special(args.back(), i, h / 3);
    ++seed;
  }
  return args;
}

// How a function is tried. `specials` puts special values into one of four arguments.
struct Trial {
  std::vector<int64_t> batches;
  Variant variant;
  std::vector<int> threads = {1, 2, 3, 7};
  int updates = 1;
  uint64_t seed = 11;
  bool specials = false;
};

inline std::string difference(const std::vector<Tensor>& want, const std::vector<Tensor>& got) {
  std::string why;
  for (size_t r = 0; r < want.size(); ++r)
    if (!bit_equal(want[r], got[r], &why)) return fmt::format("result {}: {}", r, why);
  return "";
}

inline void expect_equal(const std::vector<Tensor>& want, const std::vector<Tensor>& got,
                         const std::string& where) {
  ASSERT_EQ(difference(want, got), "") << where;
}

// Runs all updates, feeding donated results back, by all engines: where two first differ, or "".
inline std::string disagreement(const graph::Module& m, const graph::Function& f,
                                const CompiledFunction& compiled, const std::map<std::string, int64_t>& dims,
                                const Trial& t) {
  std::vector<Tensor> args = random_arguments(f, dims, t.seed, t.specials);
  for (int u = 0; u < t.updates; ++u) {
    const std::vector<Tensor> want = interpret(m, f, args);
    for (int n : t.threads) {
      const step::RunOptions o{.threads = n, .order_seed = static_cast<uint64_t>(u + n)};
      std::string why = difference(want, compiled.run(args, n));
      if (why.empty() && !(why = difference(want, interpret_step(f, compiled.step(), args, o))).empty())
        why += ", interpreted step";
      if (!why.empty())
        return fmt::format("{} of @{} at {}, {} threads, lanes {}, update {}", why, f.name,
                           fmt::join(dims, ", "), n, t.variant.lanes, u);
    }
    for (size_t r = 0; r < want.size(); ++r) {
      if (f.results[r].into == graph::kNone) continue;
      args[static_cast<size_t>(std::find(f.params.begin(), f.params.end(), f.results[r].into) -
                               f.params.begin())] = want[r].clone();
    }
  }
  return "";
}

// Every dimension is `batch`.
inline std::string disagreement(const graph::Module& m, const graph::Function& f,
                                const CompiledFunction& compiled, int64_t batch, const Trial& t) {
  std::map<std::string, int64_t> dims;
  for (const auto& [d, info] : f.dims) dims[d] = batch;
  return disagreement(m, f, compiled, dims, t);
}

inline std::string disagreement(const std::string& text, const std::string& name, const Trial& t,
                                const CompileOptions& o) {
  const graph::Module m = passes::run_graph_passes(graph::parse(text));
  const CompiledFunction compiled(m, m.at(name), o);
  for (int64_t batch : t.batches)
    if (std::string why = disagreement(m, m.at(name), compiled, batch, t); !why.empty()) return why;
  return "";
}

inline void expect_agreement(const std::string& text, const std::string& name,
                             const std::vector<int64_t>& batches, const Variant& v,
                             const std::vector<int>& threads = {1, 2, 3, 7}, int updates = 1) {
  ASSERT_EQ(disagreement(text, name, {batches, v, threads, updates}, options_of(v)), "");
}

}  // namespace gradc::test
