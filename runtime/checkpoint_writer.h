// Checkpoints written beside the training: one thread packs, writes, syncs, renames and verifies, and no step
// waits for it.
#pragma once

#include <array>
#include <condition_variable>
#include <exception>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "runtime/checkpoint.h"

namespace gradc::runtime {

double now();  // seconds of a clock that never goes back
// Adds the time that it lives.
class Stopwatch {
 public:
  explicit Stopwatch(double& total) : total_(total), from_(now()) {}
  ~Stopwatch() { total_ += now() - from_; }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  double &total_, from_;
};

// Nobody changes it once it is one: what is being written, and what the training holds on to, is one copy.
using Snapshot = std::shared_ptr<const Kept>;

class CheckpointWriter {
 public:
  enum class File { Best, Last, Numbered };  // in the order in which those that wait are written
  struct Outcome {
    File file = File::Last;
    double from = 0, to = 0;   // when it was written, by now()
    std::exception_ptr error;  // null: it is on disk, and `then` was called
  };
  using Outcomes = std::list<Outcome>;
  using Then = std::function<void()>;
  using Write = std::function<void(File, const Kept&)>;  // called by the thread alone, while busy()

  explicit CheckpointWriter(Write write) : write_(std::move(write)) {}
  ~CheckpointWriter();  // what waits is written first

  // `then` is called on the writer's thread once the file is on disk. What waits already of the same kind
  // gives way; a numbered one does not, as each is a file of its own: there the call waits until it is being
  // written.
  void put(File file, Snapshot state, Then then = {});
  bool busy() const;  // something waits or is being written
  Outcomes take();    // since the last call of take() or wait()
  Outcomes wait();    // of everything, once nothing is left to write

 private:
  struct Job {
    Snapshot state;
    Then then;
    Outcomes said = Outcomes(1);  // room for what came of it: the thread may be refused memory, and tells so
  };
  std::optional<Job>& slot(File f) { return slots_[static_cast<size_t>(f)]; }
  bool waiting() const;
  void work();
  Outcomes write(File file, Job job) const;

  Write write_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::array<std::optional<Job>, 3> slots_;
  bool writing_ = false, stop_ = false;
  Outcomes outcomes_;
  std::thread thread_;  // from the first file on
};

}  // namespace gradc::runtime
