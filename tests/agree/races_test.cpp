// Generated code whose threads do not wait for one another is caught in builds with the thread sanitizer.
#include <gtest/gtest.h>

#include <cstdlib>

#include "agree/harness.h"
#include "codegen/codegen.h"
#include "runtime/memory.h"

namespace gradc::test {
namespace {

#if defined(__SANITIZE_THREAD__)
// Rows divided among the threads, then columns, which read what all of them wrote: whole vectors, and lanes
// of one where the number of columns is odd. Nothing else is shared.
step::Step two_kernels(const std::string& columns, int lanes) {
  const graph::Module m = passes::run_graph_passes(
      graph::parse(fmt::format("func @f[B <= 64 plan 64](%x: f32[B,{0}]) -> (d: f32[B,{0}], z: f32[{0}]) {{\n"
                               "  %y = exp(%x)\n"
                               "  %m = reduce_max(%y) {{axes=[1]}}\n"
                               "  %n = broadcast(%m) {{dims=[0], shape=[B,{0}]}}\n"
                               "  %d = sub(%y, %n)\n"
                               "  %z = reduce_sum(%d) {{axes=[0]}}\n"
                               "  return %d, %z\n}}\n",
                               columns)));
  CompileOptions o;
  o.codegen.target.lanes = lanes, o.parallel_threshold = 1;
  return lower_function(m, m.at("f"), o);
}

void run(const step::Step& s, int lanes) {
  codegen::Options o;
  o.target.lanes = lanes;
  const std::unique_ptr<codegen::Jit> code = codegen::jit({&s, 1}, o);
  runtime::Region io(s.io_bytes), scratch(codegen::scratch_bytes(s, 3));
  const std::vector<int64_t> dims{37}, table = codegen::make_table(s, dims);
  call_entry(code->entry("f"), nullptr, io.data(), scratch.data(), table.data(), 3);
}
#endif

TEST(Races, AreFoundInGeneratedCode) {
#if defined(__SANITIZE_THREAD__)
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  for (const auto& [columns, lanes] : {std::pair("64", 4), {"64", 8}, {"67", 8}, {"5", 8}}) {
    SCOPED_TRACE(fmt::format("{} columns, {} lanes", columns, lanes));
    const step::Step whole = two_kernels(columns, lanes);
    step::Step torn = whole;
    std::erase_if(torn.body, [](const step::Stmt& s) { return std::holds_alternative<step::Barrier>(s); });
    ASSERT_LT(torn.body.size(), whole.body.size()) << step::print(whole);
    EXPECT_EXIT((run(whole, lanes), std::exit(0)), testing::ExitedWithCode(0), "");
    EXPECT_EXIT((run(torn, lanes), std::exit(0)), testing::ExitedWithCode(66), "data race");
  }
#else
  GTEST_SKIP() << "without the thread sanitizer";
#endif
}

}  // namespace
}  // namespace gradc::test
