// A program from the cache is the one that was compiled, for all that its code depends on.
#include <set>

#include "driver/entry_archive.h"
#include "model/model.h"
#include "model/temp_folder.h"
#include "runtime/runner.h"

namespace gradc {
namespace {

// With a symbolic length, a table whose rows are checked, states of every role and metrics.
constexpr const char* kModel = R"(const hidden = 3, words = 5

model m(t: i32[B, T <= 4]) -> p: [B, T, words] {
  e = Embed{words, hidden}
  s = LayerNorm{}
  p = e(t * t) |> s |> Dense{words}
}
data d { train = idx(t = "words.idx") }
train m on d {
  loss = cross_entropy(p, t)
  metric right = mean(argmax(p) == t)
  optimizer = adam{}
  lr = 0.01; batch = 4; epochs = 1; seed = 1
}
)";

using ProgramCache = TempFolder;

struct Programs {
  Sources sources;
  Diagnostics diagnostics;
  Compiled operator()(ModelOptions o, const std::string& folder, const std::string& text = kModel,
                      const std::string& name = "m.grad") {
    o.cache_dir = folder;
    return compile_model(sources, sources.add(name, text), o, diagnostics);
  }
};

std::vector<std::byte> initial(const Compiled& c) {
  runtime::Runner runner(c.program, 1);
  runner.init(1);
  return runner.snapshot();
}

TEST_F(ProgramCache, GivesWhatWasCompiled) {
  Programs compile;
  const Compiled first = compile({}, dir / "c"), again = compile({}, dir / "c", kModel, "other.grad");
  EXPECT_FALSE(first.from_cache);
  ASSERT_TRUE(again.from_cache);
  EXPECT_TRUE(again.steps.empty());
  EXPECT_EQ(pack(first.program.entries), pack(again.program.entries));
  EXPECT_EQ(initial(first), initial(again));
  // Places are those of the file that was compiled now.
  const runtime::Entry& step = again.program.entries.at("train_step");
  ASSERT_FALSE(step.checks.empty());
  EXPECT_EQ(step.checks[0].place.rfind("other.grad:", 0), 0u) << step.checks[0].place;
  ASSERT_EQ(step.checks.size(), first.program.entries.at("train_step").checks.size());
}

TEST_F(ProgramCache, KnowsWhatCodeDependsOn) {
  std::vector<ModelOptions> all(10);
  all[1].frontend.defines = {{"hidden", "4"}};
  all[2].frontend.float_type = DType::F64;
  all[3].frontend.batch = 8;
  all[4].compile.without = {"fuse"};
  all[5].compile.codegen.target.lanes = 4;
  all[6].only = {"init", "predict"};
  all[7].compile.parallel_threshold = 1;
  all[8].frontend.sets = {{"train.optimizer", "sgd{}"}};
  all[9].extend = true;
  Programs compile;
  for (const ModelOptions& o : all) EXPECT_FALSE(compile(o, dir / "c").from_cache) << &o - all.data();
  for (const ModelOptions& o : all) EXPECT_TRUE(compile(o, dir / "c").from_cache) << &o - all.data();
  // Not on comments, nor on what the run alone needs.
  all[0].frontend.sets = {{"train.epochs", "9"}};
  EXPECT_TRUE(compile(all[0], dir / "c", std::string("# as before\n") + kModel).from_cache);
}

TEST_F(ProgramCache, RowsThatAreCutAreNoRows) {
  Programs compile;
  const std::string bytes = pack(compile({}, dir / "c").program.entries);
  const auto back = unpack_entries(bytes);
  ASSERT_TRUE(back);
  EXPECT_EQ(pack(*back), bytes);
  std::set<std::string> shorter;
  for (size_t n = 0; n < bytes.size(); ++n)
    if (const auto part = unpack_entries(bytes.substr(0, n))) shorter.insert(pack(*part));
  // What is whole up to an entry's end reads as those entries, nothing else as any.
  EXPECT_EQ(shorter.size(), back->size());
}

}  // namespace
}  // namespace gradc
