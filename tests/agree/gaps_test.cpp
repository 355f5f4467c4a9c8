// Generated code that leaves its buffers is caught in builds with the address sanitizer.
#include <gtest/gtest.h>

#include "agree/harness.h"
#include "codegen/codegen.h"
#include "driver/memory_gaps.h"
#include "runtime/memory.h"

namespace gradc::test {
namespace {

TEST(Gaps, AreForbiddenToGeneratedCode) {
#if defined(__SANITIZE_ADDRESS__)
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const graph::Module m = passes::run_graph_passes(graph::parse(
      "func @f[B <= 64 plan 64](%x: f32[B,8]) -> (y: f32[B,8]) {\n  %y = exp(%x)\n  return %y\n}\n"));
  const step::Step s = lower_function(m, m.at("f"), {});
  const std::unique_ptr<codegen::Jit> code = codegen::jit({&s, 1}, {});
  const auto call = [&](int64_t rows) {
    runtime::Region io(s.io_bytes), scratch(codegen::scratch_bytes(s, 1));
    const std::vector<int64_t> dims{rows}, table = codegen::make_table(s, dims);
    const MemoryGaps gaps(s, {{"B", 7}}, io.data(), scratch.data(), 1);
    call_entry(code->entry("f"), nullptr, io.data(), scratch.data(), table.data(), 1);
  };
  call(7);
  EXPECT_DEATH(call(8), "use-after-poison");
#else
  GTEST_SKIP() << "without the address sanitizer";
#endif
}

}  // namespace
}  // namespace gradc::test
