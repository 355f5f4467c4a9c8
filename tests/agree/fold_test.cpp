// Folding changes no bit: random graphs whose parameters are in part constants, as written and folded.
#include "agree/harness.h"
#include "agree/random_graph.h"
#include "passes/graph/expand.h"

namespace gradc::test {
namespace {

// Some parameters of `f` replaced by constants, special values among them.
graph::Module with_constants(const graph::Module& m, uint64_t seed) {
  graph::Module out = m;
  const graph::Function& f = m.at("f");
  graph::Builder b("f", &m);
  for (const auto& [name, info] : f.dims) b.dim(name, info);
  std::vector<graph::NodeId> made(f.nodes.size(), graph::kNone);
  uint64_t draw = seed * 0x9E3779B97F4A7C15ULL + 1;
  for (graph::NodeId i = 0; i < f.nodes.size(); ++i) {
    draw = draw * 6364136223846793005ULL + 1442695040888963407ULL;
    if (f[i].op->name != "parameter") {
      made[i] = graph::copy_node(b, f, i, made);
    } else if (f.is_donated(i) || draw >> 61 == 0) {
      made[i] = b.param(f.names.at(i), f.type(i));
    } else {
      Tensor one = random_tensor(f.type(i).dtype, {}, draw);
      if (draw >> 40 & 1) set_special(one, 0, draw >> 41);
      made[i] = b.constant(one.at(0), f.type(i).dtype, f.type(i).shape);
    }
  }
  for (const graph::Result& r : f.results)
    b.result(made[r.node], r.name, r.into == graph::kNone ? graph::kNone : made[r.into]);
  graph::Function changed = b.finish();
  changed.notes = f.notes;
  out.functions["f"] = std::move(changed);
  return out;
}

TEST(Fold, RandomGraphsKeepTheirBits) {
  size_t before = 0, after = 0;
  for (uint64_t seed = 1; seed <= 600; ++seed) {
    SCOPED_TRACE(seed);
    RandomGraph g(seed);
    const graph::Module m = with_constants(passes::run_graph_passes(g.make(), {"", "numerics"}), seed);
    const graph::Module folded = passes::run_graph_passes(m, {"fold", "fold"});
    InterpretOptions o;
    for (const auto& [d, info] : m.at("f").dims) o.dims[d] = g.largest_batch();
    const std::vector<Tensor> args = random_arguments(m.at("f"), o.dims, seed);
    ASSERT_EQ(difference(interpret(m, m.at("f"), args, o), interpret(folded, folded.at("f"), args, o)), "")
        << graph::print(m) << "\n"
        << graph::print(folded);
    before += m.at("f").nodes.size();
    after += folded.at("f").nodes.size();
    ASSERT_EQ(graph::print(passes::fold(folded)), graph::print(folded));
  }
  EXPECT_LT(after * 5, before * 4);
}

}  // namespace
}  // namespace gradc::test
