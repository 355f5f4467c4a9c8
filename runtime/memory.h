// Memory that compiled code works in.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gradc::runtime {

// 64-byte aligned, zeroed. Large regions ask for huge pages: a training step walks all of its memory each
// time, and with small pages a good part of that is TLB misses.
class Region {
 public:
  Region() = default;
  explicit Region(int64_t bytes);  // throws Error when there is not that much memory
  ~Region();
  Region(Region&& other) noexcept;
  Region& operator=(Region&& other) noexcept;

  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  int64_t size() const { return size_; }

 private:
  void* mapping_ = nullptr;
  int64_t mapped_ = 0;
  std::byte* data_ = nullptr;
  int64_t size_ = 0;
};

}  // namespace gradc::runtime
