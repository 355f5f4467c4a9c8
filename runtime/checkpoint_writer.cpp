#include "runtime/checkpoint_writer.h"

#include <algorithm>
#include <chrono>
#include <system_error>
#include <utility>

namespace gradc::runtime {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

CheckpointWriter::~CheckpointWriter() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

bool CheckpointWriter::waiting() const {
  return std::any_of(slots_.begin(), slots_.end(), [](const auto& s) { return s.has_value(); });
}

bool CheckpointWriter::busy() const {
  const std::lock_guard lock(mutex_);
  return writing_ || waiting();
}

void CheckpointWriter::put(File file, Snapshot state, Then then) {
  Job job{std::move(state), std::move(then)};
  std::unique_lock lock(mutex_);
  if (!thread_.joinable()) {
    try {
      thread_ = std::thread([this] { work(); });
    } catch (const std::system_error&) {  // no thread is to be had: the training waits
      outcomes_.splice(outcomes_.end(), write(file, std::move(job)));
      return;
    }
  }
  if (file == File::Numbered) changed_.wait(lock, [&] { return !slot(file); });
  slot(file) = std::move(job);
  changed_.notify_all();
}

CheckpointWriter::Outcomes CheckpointWriter::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(outcomes_, {});
}

CheckpointWriter::Outcomes CheckpointWriter::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !writing_ && !waiting(); });
  return std::exchange(outcomes_, {});
}

void CheckpointWriter::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stop_ || waiting(); });
    const auto next = std::find_if(slots_.begin(), slots_.end(), [](const auto& s) { return s.has_value(); });
    if (next == slots_.end()) return;
    const auto file = static_cast<File>(next - slots_.begin());
    writing_ = true;
    Job job = std::move(*std::exchange(*next, std::nullopt));
    changed_.notify_all();
    lock.unlock();
    Outcomes said = write(file, std::move(job));
    lock.lock();
    writing_ = false;
    outcomes_.splice(outcomes_.end(), said);
    changed_.notify_all();
  }
}

// The job's memory is free before anyone is told.
CheckpointWriter::Outcomes CheckpointWriter::write(File file, Job job) const {
  Outcome& out = job.said.front();
  out = {file, now(), 0, nullptr};
  try {
    write_(file, *job.state);
    if (job.then) job.then();
  } catch (...) {
    out.error = std::current_exception();
  }
  out.to = now();
  return std::move(job.said);
}

}  // namespace gradc::runtime
