// Random graphs, compiled and interpreted, bit for bit. GRADC_GRAPHS sets how many (700 in CI), GRADC_SEED
// where they start; a failure prints its seed and the graph, made small.
#include <csignal>

#include "agree/harness.h"
#include "agree/random_graph.h"
#include "agree/reached.h"
#include "agree/shrink.h"

namespace gradc::test {
namespace {

constexpr int64_t kGraphs = 700;

int64_t setting(const char* name, int64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? std::atoll(text) : otherwise;
}

// Compiled code that crashes takes the test with it: the seed is told before.
volatile int64_t running_seed = 0;
void tell_seed(int signal) {
  std::fprintf(stderr, "signal %d at GRADC_SEED=%lld\n", signal, static_cast<long long>(running_seed));
  std::_Exit(128 + signal);
}

// What went wrong, or "". A failure of one kind starts with the same word.
std::string failure(const std::string& text, const Trial& t) {
  try {
    return disagreement(text, "f", t, options_of(t.variant));
  } catch (const std::exception& e) {
    return fmt::format("thrown: {}", e.what());
  }
}
std::string kind_of(const std::string& why) {
  return why.starts_with("thrown") ? why.substr(0, 30) : why.substr(0, why.find(' '));
}

Trial trial_of(uint64_t seed, const RandomGraph& g) {
  static constexpr const char* passes[] = {"", "fuse", "schedule", "pad", "memory"};
  Trial t;
  t.seed = seed;
  t.specials = true;
  t.variant.lanes = 4 << (seed % 3);
  t.variant.always_parallel = seed % 2;
  if (const char* off = passes[seed % 5]; *off) t.variant.without = {off};
  const int64_t most = g.largest_batch(), least = g.smallest_batch();
  t.batches = {least + static_cast<int64_t>(seed / 7) % (most - least + 1)};
  if (seed % 4 == 0) t.batches = {least, most};
  t.threads = seed % 16 == 1 ? std::vector<int>{1, 2, 3, 7} : std::vector<int>{1, 3};
  t.updates = 2;
  return t;
}

// Tries one graph; a failure is told with the smallest graph that fails alike.
void try_graph(uint64_t seed, const graph::Module& m, const Trial& t) {
  running_seed = static_cast<int64_t>(seed);
  const std::string why = failure(graph::print(m), t);
  if (why.empty()) return;
  Shrinker shrinker(m, [&](const std::string& text) { return kind_of(failure(text, t)) == kind_of(why); });
  const std::string small = shrinker.run(static_cast<int>(setting("GRADC_SHRINK", 60)));
  ADD_FAILURE() << "GRADC_SEED=" << seed << " GRADC_GRAPHS=1: " << why
                << "\nthe smallest alike: " << failure(small, t) << "\n"
                << small;
}

class Seeds : public testing::Test {
 protected:
  void SetUp() override {
    for (int s : {SIGSEGV, SIGFPE, SIGILL, SIGBUS, SIGABRT}) std::signal(s, tell_seed);
  }
  const uint64_t first = static_cast<uint64_t>(setting("GRADC_SEED", 1));
  const uint64_t count = static_cast<uint64_t>(setting("GRADC_GRAPHS", kGraphs));
  const bool go_on = setting("GRADC_GO_ON", 0) != 0;  // after failures too
  bool stops() const { return !go_on && HasFailure(); }
};

TEST(RandomGraphs, EveryRowHasASampleRule) {
  for (const graph::OpDef& op : graph::all_ops())
    EXPECT_NE(sample_rule(op), nullptr) << op.name << " needs a rule in op_samples.h";
}

TEST(RandomGraphs, AreMadeSmall) {
  int found = 0;
  for (uint64_t seed = 1; seed < 300; ++seed) {
    const auto fails = [](const std::string& text) { return text.find("= dynamic_slice(") != text.npos; };
    const graph::Module m = RandomGraph(seed).make();
    if (!fails(graph::print(reduced(m, m.at("f"), graph::kNone, graph::kNone, ~size_t{0})))) continue;
    ++found;
    const graph::Module small = graph::parse(Shrinker(m, fails).run(20));
    graph::verify(small);
    const graph::Function& f = small.at("f");
    EXPECT_LE(f.nodes.size() - f.params.size(), 6u) << graph::print(small);  // with constants as starts
  }
  EXPECT_GT(found, 1);
}

using RandomGraphsRun = Seeds;
TEST_F(RandomGraphsRun, AgreeBitForBit) {
  Counters ops, reached;
  for (uint64_t seed = first; seed < first + count && !stops(); ++seed) {
    RandomGraph g(seed);
    const graph::Module m = g.make();
    count_ops(m, ops);
    try_graph(seed, m, trial_of(seed, g));
    if (HasFailure()) continue;
    count_decisions(passes::run_graph_passes(graph::parse(graph::print(m))),
                    options_of({4 << (seed % 3), {}, "", true}), reached);
  }
  if (count < static_cast<uint64_t>(kGraphs) || HasFailure()) return;
  for (const graph::OpDef& op : graph::all_ops())
    EXPECT_GT(ops[std::string(op.name)], 0) << op.name << " was not drawn";
  for (const char* what : {"new group", "inline", "join map", "join reduction", "merge", "cut", "copy",
                           "row group", "tile edge in rows", "tile edge in columns", "staged panel",
                           "parallel kernel", "temporary of exchanged state", "barrier", "lane reduction",
                           "pairwise reduction", "parted contraction"})
    EXPECT_GT(reached[what], 0) << what;
  if (setting("GRADC_VERBOSE", 0))
    for (const auto& list : {ops, reached})
      for (const auto& [what, n] : list) fmt::print("{} {}\n", n, what);
}

TEST_F(RandomGraphsRun, GradientsAgreeBitForBit) {
  for (uint64_t seed = first; seed < first + count / 4 && !stops(); ++seed) {
    RandomGraph g(seed);
    const graph::Module m = g.make_gradient();
    Trial t = trial_of(seed, g);
    t.updates = 1;
    try_graph(seed, m, t);
  }
}

}  // namespace
}  // namespace gradc::test
