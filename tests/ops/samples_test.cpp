// Every op against values from outside (samples.txt, written by samples.py from NumPy, mpmath and JAX): the
// graph interpreter and compiled code must both come as near as the sample says.
#include <gtest/gtest.h>

#include <set>

#include "driver/run_function.h"
#include "ir/interp/interpret.h"
#include "ops/sample_file.h"
#include "passes/pipeline.h"

namespace gradc {
namespace {

void expect_results(const Sample& s, const std::vector<Tensor>& got, const char* engine) {
  ASSERT_EQ(got.size(), s.out.size());
  for (size_t r = 0; r < got.size(); ++r)
    EXPECT_EQ(difference(s, got[r], s.out[r]), "")
        << s.op << " at line " << s.line << ", " << engine << ", result " << r;
}

TEST(Samples, EveryEngineGivesTheValuesFromOutside) {
  const std::vector<Sample> all = read_samples("tests/ops/samples.txt");
  ASSERT_GT(all.size(), 500u);
  for (const Sample& s : all) {
    SCOPED_TRACE(s.text);
    try {
      const graph::Module m = passes::run_graph_passes(graph::parse(s.text));
      const graph::Function& f = m.at("predict");
      expect_results(s, interpret(m, f, s.in), "interpreted");
      expect_results(s, CompiledFunction(m, f, {}).run(s.in, 2), "compiled");
    } catch (const std::exception& e) {
      ADD_FAILURE() << s.op << " at line " << s.line << ": " << e.what();
    }
  }
}

// A row without a sample, or a gradient that no value from outside has seen, is an error.
TEST(Samples, EveryRowHasOne) {
  std::set<std::string> values, gradients;
  for (const Sample& s : read_samples("tests/ops/samples.txt")) {
    const graph::Module m = graph::parse(s.text);
    bool used = false;
    for (const auto& [name, f] : m.functions)
      for (const graph::Node& n : f.nodes) used = used || n.op->name == s.op;
    EXPECT_TRUE(used) << "line " << s.line << " is no sample of " << s.op;
    (s.kind == "sample" ? values : gradients).insert(s.op);
  }
  for (const graph::OpDef& d : graph::all_ops()) {
    EXPECT_TRUE(values.count(std::string(d.name))) << d.name << " has no sample";
    const bool needed = d.differentiable == graph::Differentiable::Rule;
    EXPECT_TRUE(!needed || gradients.count(std::string(d.name))) << d.name << " has no gradient sample";
  }
}

}  // namespace
}  // namespace gradc
