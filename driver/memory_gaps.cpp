#include "driver/memory_gaps.h"

#include "codegen/codegen.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#endif

namespace gradc {

MemoryGaps::MemoryGaps(const step::Step& s, const std::map<std::string, int64_t>& dims, std::byte* io,
                       std::byte* scratch, int threads)
    : regions_{{io, static_cast<size_t>(s.io_bytes)},
               {scratch, static_cast<size_t>(codegen::scratch_bytes(s, threads))}} {
  for (const auto& [at, size] : regions_) ASAN_POISON_MEMORY_REGION(at, size);
  const int64_t area = step::thread_area_bytes(s), own = step::kernel_scratch_bytes(s);
  std::byte* areas = scratch + codegen::scratch_bytes(s, 0);
  for (int t = 0; t < threads; ++t) ASAN_UNPOISON_MEMORY_REGION(areas + t * area, static_cast<size_t>(own));
  for (const step::Buffer& b : s.buffers) {
    const auto size = static_cast<size_t>(step::bytes_of(b, dims));
    if (b.region == step::Region::Io) ASAN_UNPOISON_MEMORY_REGION(io + b.offset, size);
    if (b.region == step::Region::Scratch) ASAN_UNPOISON_MEMORY_REGION(scratch + b.offset, size);
    if (b.region == step::Region::Thread)
      for (int t = 0; t < threads; ++t) ASAN_UNPOISON_MEMORY_REGION(areas + t * area + own + b.offset, size);
  }
}

MemoryGaps::~MemoryGaps() {
  for (const auto& [at, size] : regions_) ASAN_UNPOISON_MEMORY_REGION(at, size);
}

}  // namespace gradc
