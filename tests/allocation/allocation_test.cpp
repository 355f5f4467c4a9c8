// Memory that runs out at any allocation of loading, training or saving is an error like others: nothing
// crashes, and what is on disk is whole.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <new>

#include "model/model.h"
#include "model/temp_folder.h"
#include "runtime/checkpoint_writer.h"
#include "runtime/error.h"
#include "runtime/runner.h"
#include "runtime/team.h"

namespace {

// Allocations until the one that fails, by any thread; negative: none does.
std::atomic<int64_t> left{-1};
std::atomic<bool> failed{false};

void* allocate(size_t bytes, size_t alignment) {
  if (left.load(std::memory_order_relaxed) >= 0 && left.fetch_sub(1) == 0) {
    failed = true;
    throw std::bad_alloc();
  }
  void* p = alignment > alignof(std::max_align_t)
                ? std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment)
                : std::malloc(bytes == 0 ? 1 : bytes);
  if (p == nullptr) throw std::bad_alloc();
  return p;
}

}  // namespace

void* operator new(size_t n) { return allocate(n, 0); }
void* operator new(size_t n, std::align_val_t a) { return allocate(n, static_cast<size_t>(a)); }
// As the library's own does; that of the address sanitizer would not come here, but its memory to delete
// below.
void* operator new(size_t n, const std::nothrow_t&) noexcept {
  try {
    return allocate(n, 0);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, size_t, std::align_val_t) noexcept { std::free(p); }

namespace gradc {
namespace {

// All of the first allocations, then further and further apart.
template <class F>
int fail_each(F f) {
  int failures = 0;
  for (int64_t n = 0;; n += 1 + (n < 300 ? 0 : n / 40)) {
    failed = false, left = n;
    try {
      f();
    } catch (const std::bad_alloc&) {
    } catch (const runtime::Error&) {  // what could not be loaded or saved says so in its own words
    }
    left = -1;
    if (!failed) return failures;
    ++failures;
  }
}

constexpr const char* kModel = R"(model m(x: [B, 4]) -> p: [B, 3] {
  p = x |> Standardize{} |> Dense{8} |> relu |> Dense{3}
}
data d { train, val = csv("rows.csv", x = columns("a", "b", "c", "d"), y = column("y", i32)) |> split(80%, 20%) }
train m on d {
  loss = cross_entropy(p, y)
  metric right = mean(argmax(p) == y)
  optimizer = adam{}
  lr = 0.01; batch = 8; epochs = 2; seed = 1
  keep = best(min = val.loss)
}
)";

struct Allocation : TempFolder {
  std::optional<TestModel> model;
  LoadedData data;
  runtime::TrainOptions options;

  void SetUp() override {
    TempFolder::SetUp();
    std::string rows = "a,b,c,d,y\n";
    for (int i = 0; i < 40; ++i) rows += fmt::format("{},{},{},{},{}\n", i % 7, i % 5, i % 3, i % 11, i % 3);
    write("rows.csv", rows);
    model.emplace(kModel);
    ASSERT_TRUE(model->ok());
    data = load();
    options.name = "m", options.run_dir = dir / "run", options.quiet = true, options.batch = 8;
    options.epochs = 2, options.keep = runtime::Rule{{"val", "loss"}};
    std::filesystem::create_directory(dir / "run");
  }
  LoadedData load() { return load_data(model->compiled.unit, {dir.string(), ""}, model->sources); }
  runtime::TrainResult train() {
    runtime::Runner runner(model->compiled.program, 1);
    return runtime::train(runner, data.splits, options, stdout);
  }
};

TEST_F(Allocation, OfReadingATable) {
  EXPECT_GT(fail_each([&] { load(); }), 100);
}

TEST_F(Allocation, OfWeightsAndCalls) {
  train();
  const std::string file = dir / "run/last.safetensors";
  EXPECT_GT(fail_each([&] {
              runtime::Runner runner(model->compiled.program, 1);
              runner.load(runtime::read_safetensors(file), file);
              runner.evaluate(data.splits.val, 8);
              runner.save();
            }),
            50);
}

TEST_F(Allocation, OfATeamOfThreads) {
  EXPECT_GT(fail_each([] { runtime::Team team(4); }), 4);
}

// The thread that writes has nobody to tell that memory ran out but by what it has told already.
TEST_F(Allocation, OfWhatTheWriterTells) {
  runtime::CheckpointWriter writer([](auto, const runtime::Kept&) { left = 0; });
  writer.put(runtime::CheckpointWriter::File::Last, std::make_shared<const runtime::Kept>());
  const auto outcomes = writer.wait();
  left = -1;
  ASSERT_EQ(outcomes.size(), 1U);
  EXPECT_EQ(outcomes.front().error, nullptr);
}

TEST_F(Allocation, OfTrainingLeavesWholeFiles) {
  train();
  const auto whole = [&](const char* name) {
    runtime::Runner runner(model->compiled.program, 1);
    const std::string file = dir / "run" / name;
    runner.load(runtime::read_safetensors(file), file);
    return runner.not_finite() == nullptr;
  };
  int bad = 0;
  EXPECT_GT(fail_each([&] {
              const auto check = [&] { bad += !whole("last.safetensors") || !whole("best.safetensors"); };
              try {
                train();
              } catch (...) {
                left = -1;
                check();
                throw;
              }
            }),
            200);
  EXPECT_EQ(bad, 0);
  for (const auto& e : std::filesystem::directory_iterator(dir / "run"))
    EXPECT_EQ(e.path().extension(), ".safetensors") << e.path();
}

}  // namespace
}  // namespace gradc
