// gradc bench on a model file: compile time, the training step on synthetic data, its share of the machine.
#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <numeric>

#include "driver/compiler.h"
#include "driver/element_type.h"
#include "runtime/bad_step.h"
#include "runtime/runner.h"
#include "support/check.h"
#include "tools/bench_kernels.h"
#include "tools/bench_plans.h"
#include "tools/model_options.h"
#include "tools/peak.h"
#include "tools/step_parts.h"

namespace gradc {
namespace {

// A folder of this run alone, below the temporary directory; it goes with the object.
class TemporaryFolder {
 public:
  TemporaryFolder() : path_((std::filesystem::temp_directory_path() / "gradc-bench-XXXXXX").string()) {
    if (mkdtemp(path_.data()) == nullptr)
      throw CompileError({}, fmt::format("cannot make the folder {}: {}", path_, std::strerror(errno)));
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Numbers of both signs, labels below their bound: zeros would flatter the processor.
runtime::Dataset synthetic(const frontend::Unit& unit, int64_t rows) {
  runtime::Dataset data;
  data.rows = rows;
  uint64_t s = 1;
  for (const frontend::Input& in : unit.inputs) {
    std::vector<int64_t> shape = {rows};
    for (size_t i = 1; i < in.type.shape.size(); ++i) {
      const Dim& d = in.type.shape[i];
      shape.push_back(d.is_constant() ? d.constant_part()
                                      : unit.module.at("train_step").dims.at(d.str()).max);
    }
    runtime::Array a = runtime::make_array(runtime_type(in.type.dtype), shape);
    for (int64_t i = 0; i < a.count(); ++i) {
      s = s * 6364136223846793005ULL + 1442695040888963407ULL;
      const double u = static_cast<double>(s >> 11) * 0x1p-53;
      a.set(i, is_float(in.type.dtype)
                   ? 2 * u - 1
                   : std::floor(u * static_cast<double>(in.classes > 0 ? in.classes : 2)));
    }
    data.fields.emplace(in.name, std::move(a));
  }
  return data;
}

std::vector<double> time_steps(runtime::Runner& runner, const runtime::Dataset& data, int rounds) {
  runner.init(1);
  std::vector<double> ms;
  for (int r = -10; r < rounds; ++r) {
    // From the batch in host memory to the loss in a variable, as a training loop does it.
    const double from = now_ms();
    begin_step(runner, data, rounds, std::max(0, r));
    runner.call();
    if (runtime::bad_loss(runner.output("loss")))
      throw CompileError({}, "the loss diverged on synthetic data");
    if (r >= 0) ms.push_back(now_ms() - from);
  }
  std::sort(ms.begin(), ms.end());
  return ms;
}

}  // namespace

int bench_model(const Arguments& a, ModelOptions o, uint32_t file, Sources& sources, Diagnostics& d) {
  const TemporaryFolder cache;
  o.cache_dir = cache.path();
  double from = now_ms();
  const Compiled c = compile_model(sources, file, o, d);
  const double cold = now_ms() - from;
  if (!c.unit.train) throw CompileError({}, "the file has no train block");
  if (a.kernels) {
    bench_kernels(a, o, c, synthetic(c.unit, c.unit.train->batch));
    return kOk;
  }
  if (a.plans) {
    bench_plans(a, o, c, synthetic(c.unit, c.unit.train->batch));
    return kOk;
  }
  from = now_ms();
  const Compiled again = compile_model(sources, file, o, d);
  const double cached = now_ms() - from;

  runtime::Runner runner(c.program, threads_of(a));
  const int threads = runner.threads();
  const int64_t batch = c.unit.train->batch;
  const std::vector<double> ms = time_steps(runner, synthetic(c.unit, batch), a.rounds);
  const double mean = std::accumulate(ms.begin(), ms.end(), 0.0) / static_cast<double>(ms.size());
  const double operations = work_of(c, "train_step"), median = ms[ms.size() / 2];
  const double peak = measure_peak_gflops(threads), reached = operations / median / 1e6;
  int64_t state = 0;
  for (const frontend::StateSpec& s : c.unit.state)
    state += element_count(s.type.shape).constant_part() * size_of(s.type.dtype);
  size_t kernels = 0;
  for (size_t i = 0; i < c.steps.size(); ++i)
    if (c.steps[i].name == "train_step") kernels = c.reports[i].kernels.size();
  if (a.json)
    fmt::print(
        "{{\"model\": \"{}\", \"batch\": {}, \"threads\": {}, \"step_ms\": {:.4f}, \"mean_ms\": {:.4f}, "
        "\"p10_ms\": {:.4f}, "
        "\"p90_ms\": {:.4f}, \"compile_cold_ms\": {:.1f}, \"start_cached_ms\": {:.1f}, "
        "\"from_cache\": {}, \"operations\": {:.0f}, \"state_bytes\": {}, \"arena_bytes\": {}, \"kernels\": "
        "{}, \"peak_gflops\": {:.1f}, \"gflops\": {:.2f}, \"share_of_peak\": {:.4f}}}\n",
        c.unit.model_name, batch, threads, median, mean, ms[ms.size() / 10], ms[ms.size() * 9 / 10], cold,
        cached, again.from_cache, operations, state, runner.arena_bytes(), kernels, peak, reached,
        reached / peak);
  else
    fmt::print(
        "{}  batch {}  {} threads\nstep     {:.4f} ms (10 % {:.4f}, 90 % {:.4f}), {} kernels\ncompile  "
        "{:.1f} ms cold, {:.1f} ms through the cache\n"
        "work     {:.0f} operations a step, {:.1f} Gop/s of {:.1f} measured: {:.1f} %\nmemory   {} bytes of "
        "state, {} bytes of arena\n",
        c.unit.model_name, batch, threads, median, ms[ms.size() / 10], ms[ms.size() * 9 / 10], kernels, cold,
        cached, operations, reached, peak, 100 * reached / peak, state, runner.arena_bytes());
  return kOk;
}

}  // namespace gradc
