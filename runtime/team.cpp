#include "runtime/team.h"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <system_error>

#include "runtime/error.h"

namespace gradc::runtime {
namespace {

// Longer than most waits inside a step, shorter than a time slice.
constexpr int kSpins = 20000;
// With more threads than cores the thread that is waited for may need this very core.
constexpr int kSpinsOversubscribed = 50;

void pause_core() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");
#endif
}

int affinity_cores() {
  // Machines with more than 1024 CPUs need a larger mask than cpu_set_t; there the kernel says EINVAL.
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
  return std::max(1, int(std::thread::hardware_concurrency()));
}

// Whole cores in a cgroup v2 "quota period" file, or `none` when it does not exist or sets no limit.
int cores_of_cpu_max(const std::string& path, int none) {
  std::ifstream file(path);
  std::string quota;
  long long period = 0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return none;
  return int(std::max(1LL, std::atoll(quota.c_str()) / period));
}

// The tightest quota of our group and the groups around it.
int cgroup_cores(int cores) {
  const std::string root = "/sys/fs/cgroup";
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    if (line.rfind("0::/", 0) != 0) continue;
    std::string group = line.substr(3);
    while (!group.empty()) {
      cores = std::min(cores, cores_of_cpu_max(root + group + "/cpu.max", cores));
      group.resize(group.rfind('/'));
    }
  }
  cores = std::min(cores, cores_of_cpu_max(root + "/cpu.max", cores));
  // Version 1; inside a container its own group is mounted at the root.
  std::ifstream quota_file(root + "/cpu/cpu.cfs_quota_us"), period_file(root + "/cpu/cpu.cfs_period_us");
  long long quota = 0, period = 0;
  if (quota_file >> quota && period_file >> period && quota > 0 && period > 0)
    cores = int(std::min<long long>(cores, std::max(1LL, quota / period)));
  return cores;
}

}  // namespace

int available_cores() { return cgroup_cores(affinity_cores()); }

Team::Team(int threads) : size_(threads), active_(threads) {
  if (threads < 1 || threads > 4096)
    throw Error(Failure::Usage, "cannot work with " + std::to_string(threads) + " threads");
  spins_ = threads <= available_cores() ? kSpins : kSpinsOversubscribed;
  calls_ = std::vector<Counter>(size_t(threads));
  barrier_ = {sizeof(gradc_barrier), &Team::wait_at_barrier, this};
  try {
    for (int tid = 1; tid < threads; ++tid) workers_.emplace_back([this, tid] { work(uint32_t(tid)); });
  } catch (const std::system_error& e) {
    stop();
    throw Error(Failure::Usage, "cannot start " + std::to_string(threads) + " threads: " + e.what());
  } catch (...) {  // no memory for one more
    stop();
    throw;
  }
}

Team::~Team() { stop(); }

void Team::stop() {
  stopping_ = true;
  for (Counter& each : calls_) {
    each.value.fetch_add(1);
    each.value.notify_one();
  }
  for (std::thread& worker : workers_) worker.join();
}

void Team::call(gradc_entry_v1 f, void* state, void* io, void* scratch, const int64_t* table) {
  if (active_ == 1) return f(state, io, scratch, table, 0, 1, nullptr);
  job_ = {f, state, io, scratch, table};
  running_.value.store(uint32_t(active_ - 1), std::memory_order_relaxed);
  for (int tid = 1; tid < active_; ++tid) {
    Counter& calls = calls_[size_t(tid)];
    calls.value.fetch_add(1);  // sequentially consistent: notify looks for sleepers only after it
    calls.value.notify_one();
  }
  run(0);
  for (uint32_t left; (left = running_.value.load(std::memory_order_acquire)) != 0;)
    await_change(running_, left);
}

void Team::run(uint32_t tid) {
  job_.f(job_.state, job_.io, job_.scratch, job_.table, tid, uint32_t(active_), &barrier_);
}

void Team::work(uint32_t tid) {
  for (uint32_t seen = 0;; ++seen) {
    await_change(calls_[tid], seen);
    if (stopping_) return;
    run(tid);
    if (running_.value.fetch_sub(1) == 1) running_.value.notify_one();
  }
}

// Returns once the counter is not `old`, having acquired what was written before the change; for a counter
// whose last change alone is notified, perhaps later.
void Team::await_change(const Counter& counter, uint32_t old) const {
  for (int i = 0; i < spins_; ++i) {
    if (counter.value.load(std::memory_order_acquire) != old) return;
    pause_core();
  }
  counter.value.wait(old, std::memory_order_acquire);
}

void Team::wait_at_barrier(void* context, uint32_t) {
  Team& team = *static_cast<Team*>(context);
  const uint32_t passed = team.passed_.value.load(std::memory_order_acquire);
  if (team.arrived_.value.fetch_add(1, std::memory_order_acq_rel) + 1 != uint32_t(team.active_))
    return team.await_change(team.passed_, passed);
  team.arrived_.value.store(0, std::memory_order_relaxed);
  team.passed_.value.fetch_add(1);
  team.passed_.value.notify_all();
}

}  // namespace gradc::runtime
