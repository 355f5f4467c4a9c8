// Checkpoints beside the training: the order of files, what gives way, what fails, who waits.
#include <gtest/gtest.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "runtime/checkpoint_writer.h"
#include "runtime/error.h"

namespace gradc::runtime {
namespace {

using File = CheckpointWriter::File;

// A disk that takes a file only when it is let, one at a time.
class Disk {
 public:
  void write(File file, const Kept& k) {
    std::unique_lock lock(mutex_);
    begun_.push_back(name(file, k));
    changed_.notify_all();
    changed_.wait(lock, [&] { return allowed_ > 0; });
    --allowed_;
    if (full_) throw Error(Failure::Data, "no space");
    done_.push_back(name(file, k));
  }
  void allow(int files, bool full = false) {
    const std::lock_guard lock(mutex_);
    allowed_ += files, full_ = full;
    changed_.notify_all();
  }
  void wait_begun(size_t files) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return begun_.size() >= files; });
  }
  std::vector<std::string> done() {
    const std::lock_guard lock(mutex_);
    return done_;
  }

 private:
  static std::string name(File file, const Kept& k) {
    return (file == File::Best ? "best " : file == File::Last ? "last " : "step ") + std::to_string(k.step);
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> begun_, done_;
  int allowed_ = 0;
  bool full_ = false;
};

Snapshot at(int64_t step) {
  Kept k;
  k.step = step;
  return std::make_shared<const Kept>(k);
}

struct Writer : testing::Test {
  Disk disk;
  CheckpointWriter writer{[this](File f, const Kept& k) { disk.write(f, k); }};
};

TEST_F(Writer, NobodyWaitsTheNewestWinsAndTheBestComesFirst) {
  EXPECT_FALSE(writer.busy());
  EXPECT_TRUE(writer.wait().empty());
  int told = 0;
  writer.put(File::Last, at(1), [&] { told = 1; });
  disk.wait_begun(1);
  // All of these return although the disk takes nothing.
  const Snapshot gives_way = at(2);
  writer.put(File::Last, gives_way, [&] { told = 2; });
  writer.put(File::Numbered, at(3));
  writer.put(File::Best, at(4));
  writer.put(File::Last, at(5), [&] { told = 5; });
  EXPECT_EQ(gives_way.use_count(), 1);
  EXPECT_TRUE(writer.busy());
  EXPECT_TRUE(writer.take().empty());
  disk.allow(4);
  EXPECT_EQ(writer.wait().size(), 4u);
  EXPECT_EQ(disk.done(), (std::vector<std::string>{"last 1", "best 4", "last 5", "step 3"}));
  EXPECT_EQ(told, 5);
  EXPECT_FALSE(writer.busy());
  EXPECT_TRUE(writer.take().empty());
}

TEST_F(Writer, WhatFailsIsToldAndNotSaidToBeThere) {
  bool told = false;
  writer.put(File::Best, at(1), [&] { told = true; });
  disk.wait_begun(1);
  disk.allow(1, true);
  const auto failed = writer.wait();
  ASSERT_EQ(failed.size(), 1u);
  EXPECT_EQ(failed.front().file, File::Best);
  EXPECT_THROW(std::rethrow_exception(failed.front().error), Error);
  EXPECT_FALSE(told);
  disk.allow(1);
  writer.put(File::Best, at(1), [&] { told = true; });
  const auto written = writer.wait();
  ASSERT_EQ(written.size(), 1u);
  EXPECT_EQ(written.front().error, nullptr);
  EXPECT_LE(written.front().from, written.front().to);
  EXPECT_TRUE(told);
}

TEST_F(Writer, NumberedFilesAreAllWritten) {
  std::thread training([&] {
    for (int64_t step = 1; step <= 5; ++step) writer.put(File::Numbered, at(step));
  });
  disk.allow(5);
  training.join();
  EXPECT_EQ(writer.wait().size(), 5u);
  EXPECT_EQ(disk.done(), (std::vector<std::string>{"step 1", "step 2", "step 3", "step 4", "step 5"}));
}

TEST(WriterEnd, WritesWhatWaits) {
  Disk disk;
  disk.allow(3);
  {
    CheckpointWriter writer([&](File f, const Kept& k) { disk.write(f, k); });
    writer.put(File::Numbered, at(1));
    writer.put(File::Numbered, at(2));
    writer.put(File::Best, at(3));
  }
  EXPECT_EQ(disk.done().size(), 3u);
}

}  // namespace
}  // namespace gradc::runtime
