// Small facts about steps that everything after the step IR shares.
#include "ir/step/step.h"

#include "support/check.h"

namespace gradc::step {

ThreadScratch thread_scratch(const kernel::Kernel& k) {
  ThreadScratch t;
  for (const kernel::Buffer& b : k.buffers) {
    if (b.space != kernel::Space::Scratch) continue;
    t.offsets.push_back(t.bytes);
    t.bytes += (b.layout.size(b.shape).constant_part() * size_of(b.dtype) + 63) / 64 * 64;
  }
  return t;
}

int64_t thread_scratch_bytes(const Step& s) {
  int64_t most = 0;
  for (const kernel::Kernel& k : s.kernels) most = std::max(most, thread_scratch(k).bytes);
  return most;
}

Range range_of(int64_t extent, int64_t tid, int64_t nthreads) {
  const int64_t each = extent / nthreads, rest = extent % nthreads;
  const int64_t begin = tid * each + std::min(tid, rest);
  return {begin, begin + each + (tid < rest ? 1 : 0)};
}

int64_t bytes_of(const Buffer& b, const std::map<std::string, int64_t>& dims) {
  auto value = [&](const Index& e) {
    return e.evaluate([](int) -> int64_t { return 0; },
                      [&](const std::string& d) {
                        auto it = dims.find(d);
                        GRADC_CHECK(it != dims.end(), "dimension {} of {} has no value", d, b.name);
                        return it->second;
                      });
  };
  return value(b.layout.size(b.shape)) * size_of(b.dtype);
}

}  // namespace gradc::step
