#include "runtime/memory.h"

#include <sys/mman.h>

#include <utility>

#include "runtime/error.h"

namespace gradc::runtime {
namespace {

constexpr int64_t kHugePage = int64_t(2) << 20;
constexpr int64_t kHugeFrom = int64_t(4) << 20;
constexpr int64_t kLargest = int64_t(1) << 46;

}  // namespace

Region::Region(int64_t bytes) : size_(bytes) {
  if (bytes < 0 || bytes > kLargest)
    throw Error(Failure::Usage, "a memory region cannot have " + std::to_string(bytes) + " bytes");
  // Room to start on a huge page; the pages that are never touched cost nothing.
  const bool huge = bytes >= kHugeFrom;
  mapped_ = huge ? bytes + kHugePage : bytes + 64;
  mapping_ = mmap(nullptr, size_t(mapped_), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping_ == MAP_FAILED)
    throw Error(Failure::Usage, "not enough memory: cannot get " + std::to_string(bytes) + " bytes");
  auto address = reinterpret_cast<uintptr_t>(mapping_);
  if (huge) {
    address = (address + kHugePage - 1) / kHugePage * kHugePage;
    // Only a hint: kernels without huge pages refuse it.
    (void)madvise(reinterpret_cast<void*>(address), size_t(bytes), MADV_HUGEPAGE);
  }
  data_ = reinterpret_cast<std::byte*>(address);
}

Region::~Region() {
  if (mapping_) munmap(mapping_, size_t(mapped_));
}

Region::Region(Region&& other) noexcept { *this = std::move(other); }

Region& Region::operator=(Region&& other) noexcept {
  std::swap(mapping_, other.mapping_);
  std::swap(mapped_, other.mapped_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

}  // namespace gradc::runtime
