// A model compiled and trained inside a host program, on data of its own: y is 1 where a point lies in the
// circle.
#include <cmath>
#include <cstdio>
#include <random>

#include "driver/compiler.h"
#include "runtime/runner.h"

constexpr const char* kModel = R"(
model circle(x: f32[B, 2]) -> (logit: [B]) {
  logit = x |> Dense{32} |> tanh |> Dense{1} |> squeeze(over=1)
}
data host { train = csv("unused", x = columns("a", "b"), y = column("y")) }
train circle on host {
  loss      = bce_with_logits(logit, y)
  metric accuracy = mean((logit > 0) == (y > 0.5))
  optimizer = adam{}
  lr        = 1e-2
  batch     = 64
}
)";

int main() try {
  gradc::Sources sources;
  gradc::Diagnostics diagnostics;
  const gradc::Compiled model =
      gradc::compile_model(sources, sources.add("circle.grad", kModel), {}, diagnostics);
  gradc::runtime::Runner runner(model.program, 2);
  runner.init(1);

  std::mt19937 random(7);
  gradc::runtime::Array x = gradc::runtime::make_array(gradc::runtime::DType::F32, {64, 2});
  gradc::runtime::Array y = gradc::runtime::make_array(gradc::runtime::DType::F32, {64});
  std::vector<int64_t> rows(64);
  for (int64_t i = 0; i < 64; ++i) rows[static_cast<size_t>(i)] = i;
  for (int step = 0; step < 2000; ++step) {
    for (int64_t i = 0; i < 64; ++i) {
      const double a = random() / 2147483648.0 - 1, b = random() / 2147483648.0 - 1;
      x.set(2 * i, a), x.set(2 * i + 1, b), y.set(i, std::hypot(a, b) < 0.7);
    }
    runner.begin("train_step", 64);
    runner.set_rows("x", x, rows);
    runner.set_rows("y", y, rows);
    runner.set("step", step);
    runner.set("lr", 1e-2);
    runner.call();
    if (step % 400 == 0 || step == 1999)
      std::printf("step %4d  loss %.4f\n", step, runner.output("loss").at(0));
  }
  return runner.output("loss").at(0) < 0.2 ? 0 : 1;
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
