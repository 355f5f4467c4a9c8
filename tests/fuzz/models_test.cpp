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
    t.keep = runtime::Rule{{"val", c.unit.train->keep->metric, c.unit.train->keep->maximize}, 0, 0};
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

char class_of(char c) {
  const unsigned char u = static_cast<unsigned char>(c);
  return std::isdigit(u) ? '0' : std::isalpha(u) || c == '_' ? 'a' : '+';
}

struct Word {
  size_t at, size;
};

std::vector<Word> words_of(const std::string& text, size_t first, size_t last) {
  std::vector<Word> words;
  for (size_t i = first, end; i < last; i = end) {
    const char c = class_of(text[i]);
    for (end = i + 1; c != '+' && end < last && class_of(text[end]) != '+';) ++end;
    if (text[i] != ' ' && text[i] != '\n') words.push_back({i, end - i});
  }
  return words;
}

// One word or sign left out, doubled or, mostly, replaced by another of its kind.
std::string broken(const std::string& text, std::mt19937_64& random) {
  const size_t model = text.find("\nmodel "), data = text.find("\ndata "), train = text.find("\ntrain ");
  const uint64_t part = random() % 6;
  const std::vector<Word> words = part == 0   ? words_of(text, 0, model)
                                  : part == 1 ? words_of(text, train, text.size())
                                              : words_of(text, model, data);
  const Word w = words[random() % words.size()];
  const std::string before = text.substr(0, w.at), here = text.substr(w.at, w.size),
                    after = text.substr(w.at + w.size);
  const uint64_t how = random() % 8;
  if (how == 0) return before + after;
  if (how == 1) return before + here + " " + here + after;
  const char* numbers[] = {"0", "1", "-1", "2", "3", "70", "0.5", "1e30", "300"};
  if (class_of(here[0]) == '0' || how == 2) return before + numbers[random() % std::size(numbers)] + after;
  for (int tries = 0; tries < 50; ++tries) {
    const Word o = words[random() % words.size()];
    if (class_of(text[o.at]) == class_of(here[0]) && text.substr(o.at, o.size) != here)
      return before + text.substr(o.at, o.size) + after;
  }
  return before + after;
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
  EXPECT_GE(c.ends[End::Refused] * 10, count);
}

}  // namespace
}  // namespace gradc
