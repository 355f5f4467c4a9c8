#include "ir/step/access_log.h"

#include "support/check.h"

namespace gradc::step {

AccessLog::AccessLog(const Step& s) : s_(s) {
  const int64_t sizes[] = {s.state_bytes, s.io_bytes, s.scratch_bytes};
  for (int r = 0; r < 3; ++r) regions_[r].resize(static_cast<size_t>(sizes[r]));
  own_.resize(static_cast<size_t>(s.thread_bytes));
}

uint32_t AccessLog::enter(const Who& w) {
  who_.push_back(w);
  return static_cast<uint32_t>(who_.size() - 1);
}

void AccessLog::barrier() {
  if (!stale_.empty()) throw InternalError(stale_);
  ++phase_;
  who_.resize(1);
}

void AccessLog::touch(uint32_t who, int64_t at, int64_t bytes, bool write) {
  const Buffer& b = s_.buffers[who_[who].buffer];
  if (b.region == Region::Thread) return touch_own(who, b.offset + at, b.offset + at + bytes, write);
  std::vector<Byte>& region = regions_[static_cast<int>(b.region)];
  for (int64_t i = b.offset + at; i < b.offset + at + bytes; ++i) {
    GRADC_CHECK(i >= 0 && i < static_cast<int64_t>(region.size()), "{} leaves its region", text(who));
    Byte& byte = region[static_cast<size_t>(i)];
    if (byte.phase != phase_) byte = {phase_, 0, 0, 0, byte.owner};
    write ? this->write(byte, who) : read(byte, who);
  }
}

void AccessLog::touch_own(uint32_t who, int64_t from, int64_t to, bool write) {
  const int buffer = who_[who].buffer;
  GRADC_CHECK(from >= 0 && to <= static_cast<int64_t>(own_.size()), "{} leaves its region", text(who));
  for (int64_t i = from; i < to; ++i) {
    Own& byte = own_[static_cast<size_t>(i)];
    if (write) byte = {task_, buffer};
    GRADC_CHECK(byte.task == task_ && byte.owner == buffer,
                "@{}: {} reads what this task did not write there", s_.name, text(who));
  }
}

void AccessLog::read(Byte& b, uint32_t who) {
  const Who& w = who_[who];
  meet(b.writer, who, "reads what another thread wrote");
  if (s_.buffers[w.buffer].region == Region::Scratch && b.owner != w.buffer && stale_.empty())
    stale_ = fmt::format(
        "@{}: {} reads {}", s_.name, text(who),
        b.owner < 0 ? "what nobody wrote" : "what was last written as %" + s_.buffers[b.owner].name);
  if (!b.reader)
    b.reader = who;
  else if (!b.other && who_[b.reader].thread != w.thread)
    b.other = who;
}

void AccessLog::write(Byte& b, uint32_t who) const {
  meet(b.writer, who, "writes what another thread wrote");
  meet(b.reader, who, "writes what another thread read");
  meet(b.other, who, "writes what another thread read");
  b.writer = who;
  b.owner = who_[who].buffer;
}

void AccessLog::meet(uint32_t before, uint32_t now, const char* what) const {
  if (!before || who_[before].thread == who_[now].thread) return;
  throw InternalError(
      fmt::format("@{}: race: {} {}: {}, no barrier between", s_.name, text(now), what, text(before)));
}

std::string AccessLog::text(uint32_t who) const {
  const Who& w = who_[who];
  const std::string place = w.kernel < 0 ? "a branch" : "@" + s_.kernels[w.kernel].name;
  return fmt::format("thread {} in {} on %{}", w.thread, place, s_.buffers[w.buffer].name);
}

}  // namespace gradc::step
