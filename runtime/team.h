// The threads that run compiled entry points.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "runtime/abi.h"

namespace gradc::runtime {

// Cores that this process may use: its affinity mask and its cgroup's quota, at least 1.
int available_cores();

// A fixed number of threads, of which the caller of call() is the first. The others spin for a moment between
// calls and then sleep, so that back-to-back steps start fast and an idle team costs nothing.
class Team {
 public:
  explicit Team(int threads);  // throws Error when they cannot be had
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  int size() const { return size_; }

  // Runs f on all threads and returns when all are done. One call at a time; not from inside an entry.
  void call(gradc_entry_v1 f, void* state, void* io, void* scratch, const int64_t* table);
  // From now on calls run on the first `threads`, 1 to size(); the others sleep.
  void activate(int threads) { active_ = threads; }
  int active() const { return active_; }

 private:
  struct Job {
    gradc_entry_v1 f = nullptr;
    void* state = nullptr;
    void* io = nullptr;
    void* scratch = nullptr;
    const int64_t* table = nullptr;
  };

  // Each on its own cache line: one is hammered while another is polled.
  struct alignas(64) Counter {
    std::atomic<uint32_t> value{0};
  };

  static void wait_at_barrier(void* context, uint32_t tid);
  void await_change(const Counter& counter, uint32_t old) const;
  void work(uint32_t tid);
  void run(uint32_t tid);
  void stop();

  int size_;
  int spins_;
  Job job_;
  int active_;
  bool stopping_ = false;
  gradc_barrier barrier_{};
  std::vector<Counter> calls_;  // of each thread: changes when it has a new job, or at the end
  Counter running_;             // workers that have not finished the current job
  Counter arrived_;             // threads at the barrier
  Counter passed_;              // barriers passed
  std::vector<std::thread> workers_;
};

}  // namespace gradc::runtime
