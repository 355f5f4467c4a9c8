// Random small models from text to predictions: what the frontend accepts must compile, train two steps and
// predict without an error, with the same bits at one thread and two, and as the graph interpreter says.
// GRADC_MODELS sets how many (40 in CI), GRADC_SEED where they start; a failure prints its seed and the
// model.
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <random>

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
    if (std::getenv("GRADC_SHOW") != nullptr) fmt::print("{}\n", e.what());
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
  LoadedData data;
  try {
    data = load_data(c.unit, {folder, ""}, sources);
  } catch (const CompileError&) {
    return End::Refused;  // of a broken model: other columns
  }
  const Outcome one = train(c, data.splits, 1), two = train(c, data.splits, 2);
  expect_same(one, two);
  expect_same_training(c, 2, 2, m.batch);
  return one.diverged ? End::Diverged : End::Trained;
}

// One word or sign of the model, after the declarations, left out, doubled, or replaced by another of its
// own.
std::string broken(const std::string& text, std::mt19937_64& random) {
  std::vector<std::pair<size_t, size_t>> words;
  const size_t first = random() % 3 == 0 ? 0 : text.find("\nmodel ");
  for (size_t i = first; i < text.size();) {
    size_t end = i + 1;
    const auto in_word = [&](size_t k) {
      return std::isalnum(static_cast<unsigned char>(text[k])) || text[k] == '_';
    };
    while (in_word(i) && end < text.size() && in_word(end)) ++end;
    if (text[i] != ' ' && text[i] != '\n') words.emplace_back(i, end - i);
    i = end;
  }
  const auto [at, size] = words[random() % words.size()];
  const auto [other, length] = words[random() % words.size()];
  const char* numbers[] = {"0", "1", "-1", "2", "3", "70", "0.5", "1e30", "4294967296"};
  switch (random() % 4) {
    case 0:
      return text.substr(0, at) + text.substr(at + size);
    case 1:
      return text.substr(0, at) + text.substr(at, size) + " " + text.substr(at);
    case 2:
      return text.substr(0, at) + numbers[random() % std::size(numbers)] + text.substr(at + size);
    default:
      return text.substr(0, at) + text.substr(other, length) + text.substr(at + size);
  }
}

struct Campaign {
  int64_t first = setting("GRADC_SEED", 1);
  std::string folder = (fs::temp_directory_path() / "gradc_fuzz_XXXXXX").string();
  std::map<End, int64_t> ends;
  Campaign() { EXPECT_NE(mkdtemp(folder.data()), nullptr); }
  ~Campaign() { fs::remove_all(folder); }

  void run_one(int64_t seed, const fuzz::ModelText& m) {
    SCOPED_TRACE(fmt::format("GRADC_SEED={} GRADC_MODELS=1\n{}", seed, m.text));
    if (std::getenv("GRADC_SHOW") != nullptr) fmt::print("seed {}\n{}\n", seed, m.text);
    try {
      ++ends[run(m, folder)];
    } catch (const std::exception& e) {
      ADD_FAILURE() << e.what();
    }
  }
};

TEST(RandomModels, TrainAndPredictWithTheSameBits) {
  Campaign c;
  const int64_t count = setting("GRADC_MODELS", 40);
  for (int64_t seed = c.first; seed < c.first + count; ++seed)
    c.run_one(seed, fuzz::random_model(static_cast<uint64_t>(seed)));
  // The generator makes what it is meant to make.
  EXPECT_EQ(c.ends[End::Refused], 0);
  EXPECT_LE(c.ends[End::Diverged] * 5, count);
}

// Either there is a message, or the model works.
TEST(RandomModels, BrokenOnesAreRefusedOrWork) {
  Campaign c;
  const int64_t count = setting("GRADC_MODELS", 40);
  for (int64_t seed = c.first; seed < c.first + count; ++seed) {
    std::mt19937_64 random(static_cast<uint64_t>(seed));
    fuzz::ModelText m = fuzz::random_model(static_cast<uint64_t>(seed));
    m.text = broken(m.text, random);
    c.run_one(seed, m);
  }
  EXPECT_GE(c.ends[End::Refused] * 4, count);
}

}  // namespace
}  // namespace gradc
