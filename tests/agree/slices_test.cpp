// A slice that leaves its operand at a size which the type rule does not try is refused when compiling.
#include <gtest/gtest.h>

#include "driver/lower_function.h"
#include "passes/pipeline.h"
#include "support/diagnostic.h"

namespace gradc {
namespace {

void lower(const std::string& limit, const std::string& dims) {
  const graph::Module m = passes::run_graph_passes(graph::parse(
      "func @f[" + dims +
      "](%w: f32[8,4], %x: f32[B]) -> (f32[B]) {\n  %s = slice(%w) {start=[0,0], limit=[8," + limit +
      "], stride=[1,1]}\n  %r = reduce_sum(%s) {axes=[0,1]}\n  %b = broadcast(%r) {dims=[], shape=[B]}\n"
      "  %y = add(%x, %b)\n  return %y\n}\n"));
  lower_function(m, m.at("f"), {});
}

TEST(Slices, TheMaximaOfDimensionsDecide) {
  lower("B", "B <= 4");
  try {
    lower("B", "B <= 32");
    FAIL() << "a slice up to 32 of 4 columns";
  } catch (const CompileError& e) {
    EXPECT_STREQ(e.what(), "a slice up to B reaches beyond axis 1 of f32[8,4] where B is 32");
  }
}

}  // namespace
}  // namespace gradc
