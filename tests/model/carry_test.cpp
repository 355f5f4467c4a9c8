// States that go on from batch to batch, against sums made by hand over the text.
#include <unistd.h>

#include <filesystem>

#include "model/model.h"
#include "runtime/error.h"

namespace gradc {
namespace {

// The rate is 0, so that the metrics of an epoch are of one and the same model: `h` adds up what its row has
// seen, from 3 on, halved at each window; `late` what a second application of the layer has seen.
const char* const kSums = R"(
layer Memory{}(x: [B, T]) -> y: [B] {
  state h: [B] = 3 carry
  h = 0.5 * h + sum(x, over=1)
  y = h
}
model m(x: i32[B, 2]) -> (h: [B], late: [B]) {
  param w: [] = 1
  memory = Memory{}
  h = w * memory(float(x))
  late = memory(float(x) * 0)
}
data d { train, val = bytes("t.txt") |> split(60%, 40%) |> windows(2) }
train m on d {
  loss = mean(h) + 0 * mean(float(y))
  metric late = mean(late)
  optimizer = sgd{}; lr = 0; batch = 3; epochs = 2; validate = every(2)
}
)";

class Carry : public testing::Test {
 protected:
  void SetUp() override {
    dir = std::filesystem::temp_directory_path() / ("gradc_carry_" + std::to_string(getpid()));
    std::filesystem::create_directories(dir);
    for (int i = 0; i < 50; ++i) text += static_cast<char>('a' + i * 7 % 23);
    std::ofstream(dir / "t.txt") << text;
  }
  void TearDown() override { std::filesystem::remove_all(dir); }
  LoadedData load(const TestModel& m) { return load_data(m.compiled.unit, {dir.string(), ""}, m.sources); }

  // The two metrics over `text` in `batch` rows that each go on through a part of its windows.
  static std::vector<double> by_hand(const std::string& text, int64_t batch) {
    const auto windows = (static_cast<int64_t>(text.size()) - 1) / 2, steps = windows / batch;
    double sum = 0, late = 0;
    for (int64_t row = 0; row < batch; ++row) {
      double h = 3;
      for (int64_t step = 0; step < steps; ++step) {
        const auto at = static_cast<size_t>(2 * (row * steps + step));
        h = 0.5 * h + text[at] + text[at + 1];
        sum += h;
        h = 0.5 * h;
        late += h;
      }
    }
    const auto n = static_cast<double>(batch * steps);
    return {sum / n, late / n};
  }

  std::filesystem::path dir;
  std::string text;
};

TEST_F(Carry, ARowGoesOnThroughItsPartOfTheText) {
  ModelOptions o;
  o.frontend.float_type = DType::F64;
  const TestModel m(kSums, o);
  ASSERT_TRUE(m.ok());
  const LoadedData data = load(m);
  EXPECT_EQ(data.splits.train.rows.size(), 12u);  // of 14 windows
  ASSERT_EQ(data.remarks.size(), 1u);
  EXPECT_EQ(data.remarks[0], "train: 2 of 14 windows are left out, which fill no batch of 3 rows");
  runtime::Runner runner(m.compiled.program, 1);
  runtime::TrainOptions options;
  options.batch = 3, options.epochs = 2, options.quiet = true, options.validate_every = 2;
  int reports = 0;
  const std::vector<double> train = by_hand(text.substr(0, 30), 3), val = by_hand(text.substr(30), 3);
  options.measured = [&](const runtime::Report& r) {
    ++reports;
    for (size_t i = 0; i < 2; ++i) EXPECT_DOUBLE_EQ(r.result.val[i], val[i]);
    for (size_t i = 0; i < 2 && !r.within; ++i) EXPECT_DOUBLE_EQ(r.train[i], train[i]);
  };
  runtime::train(runner, data.splits, options, stdout);
  EXPECT_EQ(reports, 4);  // after the second step of each epoch, and at its end
}

TEST_F(Carry, PredictionBeginsWithTheFirstValue) {
  const TestModel m(kSums);
  runtime::Runner runner(m.compiled.program, 1);
  runner.init(1);
  runtime::Array x = runtime::make_array(runtime::DType::I32, {2, 2});
  for (int64_t i = 0; i < 4; ++i) x.set(i, static_cast<double>(i));
  const std::vector<int64_t> rows = {0, 1};
  for (int i = 0; i < 2; ++i) {
    runner.begin("predict", 2);
    runner.set_rows("x", x, rows);
    runner.call();
    EXPECT_EQ(runner.output("h").at(0), 2.5);
    EXPECT_EQ(runner.output("h").at(1), 6.5);
    EXPECT_EQ(runner.output("late").at(1), 3.25);
  }
}

// Also with fewer rows than a batch has: the others keep what they hold.
TEST_F(Carry, CompiledAndInterpretedAgree) {
  const TestModel m(kSums);
  expect_same_training(m.compiled, 2, 6, 3);
  const TestModel lstm(read_example("charlstm.grad"), [] {
    ModelOptions o;
    o.frontend.defines = {{"D", "5"}, {"context", "3"}};
    o.frontend.batch = 4;
    return o;
  }());
  expect_same_training(lstm.compiled, 2, 4, 4);
}

// Weights serve batches of any size; a training goes on only with what it carries.
TEST_F(Carry, CarriedStatesAreNoWeights) {
  const TestModel m(kSums);
  ModelOptions o;
  o.frontend.batch = 5;
  const TestModel other(kSums, o);
  EXPECT_EQ(m.compiled.program.model_hash, other.compiled.program.model_hash);
  runtime::Runner from(m.compiled.program, 1), to(other.compiled.program, 1);
  from.init(1), to.init(1);
  EXPECT_EQ(from.save(false).tensors.size(), 1u);
  EXPECT_EQ(from.save().tensors.count("__carry__/memory.h"), 1u);
  EXPECT_EQ(to.load(from.save(), "a"), "");
  EXPECT_EQ(to.load(from.save(false), "a"), "");
  EXPECT_THROW(to.load(from.save(), "a", runtime::Runner::Wanted::All), runtime::Error);
}

TEST_F(Carry, TooFewWindowsForTheRows) {
  ModelOptions o;
  o.frontend.batch = 10;
  const TestModel m(kSums, o);
  try {
    load(m);
    FAIL();
  } catch (const CompileError& e) {
    EXPECT_EQ(e.diagnostic.text,
              "the split val has 9 windows; a state is carried in 10 rows, the batch, which needs a window "
              "for each");
  }
}

}  // namespace
}  // namespace gradc
