// Memory that compiled code works in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

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

// "512 B", "1.5 MB".
std::string size_text(int64_t bytes);

// Bytes that this process may still take: what the system has left, and what its group of processes may have.
// Nothing known of either: the largest number.
int64_t available_memory();

// Throws Error where `bytes` are more than that, with both.
void require_memory(int64_t bytes, const std::string& what);

}  // namespace gradc::runtime
