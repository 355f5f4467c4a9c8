// What no process could address is refused, not counted wrongly.
#include <gtest/gtest.h>

#include "driver/compiler.h"
#include "driver/lower_function.h"
#include "ir/graph/text.h"
#include "passes/pipeline.h"

namespace gradc {
namespace {

// What compiling a model with a weight of so many numbers says.
std::string said_of_weight(const std::string& elements) {
  Sources sources;
  Diagnostics d;
  const uint32_t file = sources.add(
      "big.grad", "model m(x: f32[B, 4]) -> p: [B, 4] {\n  param w: [" + elements +
                      "] = 0\n  p = x + sum(w)\n}\n"
                      "data d { train = csv(\"r\", x = columns(\"a\"), y = columns(\"a\")) }\n"
                      "train m on d { loss = mean((p - x) ** 2); optimizer = sgd{}; lr = 0.1; batch = 8 }\n");
  try {
    (void)compile_model(sources, file, {}, d);
  } catch (const CompileError& e) {
    return render(e.diagnostic, sources);
  }
  return "";
}

TEST(Sizes, WeightsThatNoProcessCouldAddressAreRefused) {
  for (const char* elements : {"4611686018427387904", "2305843009213693952", "1152921504606846976"}) {
    const std::string said = said_of_weight(elements);
    EXPECT_NE(said.find("big.grad:2:"), std::string::npos) << said;
    EXPECT_NE(said.find("with w, which is f32[" + std::string(elements) + "], weights and states take more"),
              std::string::npos)
        << said;
  }
}

TEST(Sizes, BuffersThatNoProcessCouldAddressAreRefused) {
  for (const char* shape : {"4611686018427387904", "B,1152921504606846976", "B,10000000000000000"}) {
    const graph::Module m = passes::run_graph_passes(graph::parse(fmt::format(
        "func @f[B <= 4](%x: f64[{0}]) -> (y: f64[{0}]) {{\n  %y = exp(%x)\n  return %y\n}}\n", shape)));
    try {
      (void)lower_function(m, m.at("f"), {});
      FAIL() << shape;
    } catch (const CompileError& e) {
      EXPECT_NE(std::string(e.what()).find("the buffers take more bytes than a process can address"),
                std::string::npos)
          << e.what();
    }
  }
}

}  // namespace
}  // namespace gradc
