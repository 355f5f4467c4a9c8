#include "runtime/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <utility>

#include "runtime/error.h"

namespace gradc::runtime {
namespace {

constexpr int64_t kHugePage = int64_t(2) << 20;
constexpr int64_t kHugeFrom = int64_t(4) << 20;
constexpr int64_t kLargest = int64_t(1) << 46;
constexpr int64_t kUnknown = std::numeric_limits<int64_t>::max();

// The number behind a word at the beginning of a line; `kUnknown` where there is none.
int64_t number_behind(const char* path, const std::string& word) {
  std::ifstream in(path);
  for (std::string name; in >> name; in.ignore(kUnknown, '\n')) {
    int64_t n = 0;
    if (name == word && in >> n && n >= 0) return n;
  }
  return kUnknown;
}

// Of a file that holds one number, or "max".
int64_t number_in(const char* path) {
  std::ifstream in(path);
  int64_t n = 0;
  return in >> n && n >= 0 ? n : kUnknown;
}

}  // namespace

std::string size_text(int64_t bytes) {
  if (bytes < 1024) return std::to_string(bytes) + " B";
  double size = static_cast<double>(bytes);
  int unit = -1;
  while (size >= 1024 && unit < 3) size /= 1024, ++unit;
  char text[32];
  std::snprintf(text, sizeof(text), "%.1f %cB", size, "kMGT"[unit]);
  return text;
}

int64_t available_memory() {
  const int64_t kilobytes = number_behind("/proc/meminfo", "MemAvailable:");
  const int64_t system = kilobytes > kUnknown / 1024 ? kUnknown : kilobytes * 1024;
  const int64_t most = number_in("/sys/fs/cgroup/memory.max");
  const int64_t held = number_behind("/sys/fs/cgroup/memory.stat", "anon");
  const int64_t group = most == kUnknown || held == kUnknown ? kUnknown : std::max<int64_t>(0, most - held);
  return std::min(system, group);
}

void require_memory(int64_t bytes, const std::string& what) {
  if (const int64_t there = available_memory(); bytes > there)
    throw Error(Failure::Usage, "not enough memory: " + what + " " + size_text(bytes) + ", " +
                                    size_text(there) + " are available; take a smaller batch or model");
}

Region::Region(int64_t bytes) : size_(bytes) {
  if (bytes < 0 || bytes > kLargest)
    throw Error(Failure::Usage, "a memory region cannot have " + std::to_string(bytes) + " bytes");
  // Room to start on a huge page; the pages that are never touched cost nothing.
  const bool huge = bytes >= kHugeFrom;
  mapped_ = huge ? bytes + kHugePage : bytes + 64;
  mapping_ = mmap(nullptr, size_t(mapped_), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping_ == MAP_FAILED)
    throw Error(Failure::Usage, "not enough memory: cannot get " + size_text(bytes));
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
