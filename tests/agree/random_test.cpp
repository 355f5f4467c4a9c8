// Random graphs, compiled and interpreted, bit for bit. GRADC_GRAPHS sets how many (1,000 in CI), GRADC_SEED
// where they start; a failure prints its seed and the graph.
#include "agree/harness.h"
#include "agree/random_graph.h"

namespace gradc::test {
namespace {

int64_t setting(const char* name, int64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? std::atoll(text) : otherwise;
}

TEST(RandomGraphs, AgreeBitForBit) {
  const int64_t first = setting("GRADC_SEED", 1), count = setting("GRADC_GRAPHS", 1000);
  const char* passes[] = {"", "fuse", "schedule", "pad", "memory"};
  std::map<std::string, int> moves;
  for (int64_t seed = first; seed < first + count; ++seed) {
    const std::string text = graph::print(RandomGraph(static_cast<uint64_t>(seed)).make());
    SCOPED_TRACE(fmt::format("GRADC_SEED={} GRADC_GRAPHS=1\n{}", seed, text));
    Variant v;
    v.lanes = 4 << (seed % 3);
    v.always_parallel = seed % 2;
    if (const char* off = passes[seed % 5]; *off) v.without = {off};
    const std::vector<int64_t> batches =
        seed % 4 == 0 ? std::vector<int64_t>{0, 9} : std::vector<int64_t>{1 + seed % 9};
    const std::vector<int> threads = seed <= 200 ? std::vector<int>{1, 2, 3, 7} : std::vector<int>{1, 3};
    expect_agreement(text, "f", batches, v, threads, 2);
    if (testing::Test::HasFatalFailure() || testing::Test::HasFailure()) return;
    const graph::Module m = passes::run_graph_passes(graph::parse(text));
    passes::StepReport report;
    lower_function(m, m.at("f"), options_of(v), {}, 0, &report);
    for (const auto& [move, n] : report.fusion_moves) moves[move] += n;
    moves["copy"] += report.copies;
  }
  // The generator reaches what it is meant to reach.
  for (const char* move : {"new group", "inline", "join map", "join reduction", "cut", "copy"})
    EXPECT_TRUE(count < 1000 || moves[move] > 0) << move;
}

TEST(RandomGraphs, GradientsAgreeBitForBit) {
  const int64_t first = setting("GRADC_SEED", 1), count = setting("GRADC_GRAPHS", 1000) / 4;
  for (int64_t seed = first; seed < first + count; ++seed) {
    const std::string text = graph::print(RandomGraph(static_cast<uint64_t>(seed)).make_gradient());
    SCOPED_TRACE(fmt::format("GRADC_SEED={} GRADC_GRAPHS=4\n{}", seed, text));
    expect_agreement(text, "f", {seed % 10}, {4 << (seed % 3), {}, "", seed % 2 == 1}, {1, 2});
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace gradc::test
