// What the virtual threads of a step touched since the last barrier, byte by byte, to find races; and which
// buffer wrote the bytes of the scratch region last, to find reads of what is stale or was never written: in
// a thread's buffers since the task began.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ir/step/step.h"

namespace gradc::step {

class AccessLog {
 public:
  explicit AccessLog(const Step& s);

  // Who makes the following accesses: a thread, in a kernel (-1: the condition of a branch), to a buffer.
  struct Who {
    int64_t thread = 0;
    int kernel = -1;
    int buffer = 0;
  };
  uint32_t enter(const Who& w);
  // Throws InternalError for a race. `at` counts from the buffer's first byte.
  void touch(uint32_t who, int64_t at, int64_t bytes, bool write);
  // The next iteration of `tasks` begins: what lies in the buffers of its thread is stale.
  void begin_task() { ++task_; }
  // Throws InternalError for a stale read since the last barrier: had the writer only come later, it would
  // have been a race.
  void barrier();

 private:
  // Numbers of entries in `who_`; valid while `phase` is this one. `other` is a reader of another thread.
  struct Byte {
    uint32_t phase = 0, writer = 0, reader = 0, other = 0;
    int owner = -1;
  };
  // A byte of a thread's buffer: who wrote it, and in which task.
  struct Own {
    int64_t task = 0;
    int owner = -1;
  };
  void touch_own(uint32_t who, int64_t from, int64_t to, bool write);
  void read(Byte& b, uint32_t who);
  void write(Byte& b, uint32_t who) const;
  void meet(uint32_t before, uint32_t now, const char* what) const;
  std::string text(uint32_t who) const;

  const Step& s_;
  std::vector<Byte> regions_[3];
  std::vector<Own> own_;  // tasks run one after another, so that all threads can share it
  int64_t task_ = 0;
  std::vector<Who> who_{Who{}};  // 0: nobody
  uint32_t phase_ = 1;
  std::string stale_;  // the first stale read since the last barrier
};

}  // namespace gradc::step
