// Random small models from text to predictions: what the frontend accepts must compile, train two steps and
// predict without an error, with the same bits at one thread and two, and as the graph interpreter says.
// GRADC_MODELS sets how many (40 in CI), GRADC_SEED where they start; a failure prints its seed and the
// model.
#include <unistd.h>

#include <cmath>
#include <filesystem>

#include "fuzz/random_model.h"
#include "model/model.h"
#include "runtime/error.h"

namespace gradc {
namespace {

namespace fs = std::filesystem;

int64_t setting(const char* name, int64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? std::atoll(text) : otherwise;
}

struct Outcome {
  runtime::TrainResult result;
  std::map<std::string, runtime::Array> arrays;  // states, then results of predictions
  bool diverged = false;
};

void predict(const Compiled& c, runtime::Runner& runner, const runtime::Split& split, int64_t rows,
             Outcome& o) {
  const std::vector<int64_t> some(split.rows.begin(), split.rows.begin() + rows);
  runner.begin("predict", rows);
  for (const frontend::Input& in : c.unit.inputs)
    if (in.model_input) runner.set_rows(in.name, split.data->fields.at(in.name), some);
  runner.call();
  for (const std::string& name : c.unit.outputs) o.arrays["result " + name] = runner.output(name);
}

Outcome train(const Compiled& c, const runtime::Splits& data, int threads) {
  Outcome o;
  runtime::Runner runner(c.program, threads);
  runtime::TrainOptions t;
  t.batch = c.unit.train->batch, t.steps = 2, t.seed = c.unit.train->seed, t.quiet = true;
  if (c.unit.train->keep)
    t.keep = runtime::Rule{c.unit.train->keep->metric, c.unit.train->keep->maximize, 0, 0};
  try {
    o.result = runtime::train(runner, data, t, stdout);
  } catch (const runtime::Error& e) {
    if (e.kind != runtime::Failure::Diverged) throw;
    o.diverged = true;
  }
  o.arrays = runner.save().tensors;
  const int64_t most = std::min<int64_t>(t.batch, static_cast<int64_t>(data.train.rows.size()));
  for (int64_t rows : {int64_t(1), most}) predict(c, runner, data.train, rows, o);
  return o;
}

void expect_same(const Outcome& a, const Outcome& b) {
  EXPECT_EQ(a.diverged, b.diverged);
  ASSERT_EQ(a.result.val.size(), b.result.val.size());
  for (size_t i = 0; i < a.result.val.size(); ++i) {
    const double x = a.result.val[i], y = b.result.val[i];
    EXPECT_TRUE(x == y || (std::isnan(x) && std::isnan(y))) << x << " " << y;
  }
  ASSERT_EQ(a.arrays.size(), b.arrays.size());
  for (const auto& [name, x] : a.arrays) {
    std::string why;
    EXPECT_TRUE(bit_equal(to_tensor(x), to_tensor(b.arrays.at(name)), &why)) << name << ": " << why;
  }
}

enum class End { Trained, Diverged, Refused };

End run(const fuzz::ModelText& m, const std::string& folder) {
  ModelOptions o;
  o.frontend.float_type = m.wide ? DType::F64 : DType::F32;
  o.frontend.fma = m.fma;
  Sources sources;
  Diagnostics diagnostics;
  const uint32_t file = sources.add(folder + "/model.grad", m.text);
  try {
    frontend::compile_model(sources, file, o.frontend, diagnostics);
    diagnostics.check();
  } catch (const CompileError& e) {
    if (std::getenv("GRADC_SHOW") != nullptr)
      fmt::print("{}{}\n", render(diagnostics, sources), e.reported ? "" : e.what());
    return End::Refused;
  }
  Diagnostics again;
  const Compiled c = compile_model(sources, file, o, again);
  std::ofstream(folder + "/rows.csv") << m.csv;
  const LoadedData data = load_data(c.unit, {folder, ""}, sources);
  const Outcome one = train(c, data.splits, 1), two = train(c, data.splits, 2);
  expect_same(one, two);
  expect_same_training(c, 2, 2, m.batch);
  return one.diverged ? End::Diverged : End::Trained;
}

TEST(RandomModels, TrainAndPredictWithTheSameBits) {
  const int64_t first = setting("GRADC_SEED", 1), count = setting("GRADC_MODELS", 40);
  std::string folder = (fs::temp_directory_path() / "gradc_fuzz_XXXXXX").string();
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  std::map<End, int64_t> ends;
  for (int64_t seed = first; seed < first + count; ++seed) {
    const fuzz::ModelText m = fuzz::random_model(static_cast<uint64_t>(seed));
    SCOPED_TRACE(fmt::format("GRADC_SEED={} GRADC_MODELS=1\n{}", seed, m.text));
    if (std::getenv("GRADC_SHOW") != nullptr) fmt::print("seed {}\n{}\n", seed, m.text);
    try {
      ++ends[run(m, folder)];
    } catch (const std::exception& e) {
      ADD_FAILURE() << e.what();
    }
  }
  fmt::print("{} trained, {} diverged, {} refused\n", ends[End::Trained], ends[End::Diverged],
             ends[End::Refused]);
  fs::remove_all(folder);
  // The generator makes what it is meant to make.
  EXPECT_LE(ends[End::Refused] * 20, count);
  EXPECT_LE(ends[End::Diverged] * 5, count);
}

}  // namespace
}  // namespace gradc
