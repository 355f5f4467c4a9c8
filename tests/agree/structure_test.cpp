// What fuses: kernels, copies and barriers of the MNIST step counted, and that no gradient of a weight matrix
// has a buffer.
#include <gtest/gtest.h>

#include <fstream>

#include "driver/lower_function.h"
#include "passes/pipeline.h"

namespace gradc {
namespace {

struct Planned {
  step::Step step;
  passes::StepReport report;
};

Planned plan(const std::string& file) {
  std::ifstream in(std::string(GRADC_SOURCE_DIR) + "/examples/ir/" + file);
  const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  const graph::Module m = passes::run_graph_passes(graph::parse(text));
  Planned p;
  p.step = lower_function(m, m.at("train_step"), {}, {}, &p.report);
  return p;
}

void expect_no_weight_gradients(const Planned& p) {
  for (const step::Buffer& b : p.step.buffers)
    if (b.region == step::Region::Scratch) {
      EXPECT_FALSE(b.shape.size() == 2 && b.shape[0].is_constant())
          << b.name << str(b.shape) << " is a gradient of a weight matrix";
    }
}

TEST(Structure, SgdUpdatesAreEpiloguesOfWeightGradients) {
  const Planned p = plan("mnist_sgd.ir");
  EXPECT_EQ(p.report.kernels.size(), 15u);
  EXPECT_EQ(p.report.copies, 0);
  expect_no_weight_gradients(p);
}

TEST(Structure, AdamUpdatesAreEpiloguesOfWeightGradients) {
  const Planned p = plan("mnist_adam.ir");
  EXPECT_EQ(p.report.copies, 0);
  expect_no_weight_gradients(p);
}

}  // namespace
}  // namespace gradc
