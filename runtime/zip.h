// Members of ZIP archives, read piece by piece: stored or deflated, with or without Zip64, never encrypted.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace gradc::runtime {

// Bytes that can be read once, front to back. `read` takes the next n bytes, all of them, or throws Error;
// `finish` throws where there are more, or they are not those of the checksum.
struct ByteStream {
  std::string name;  // for messages
  int64_t size = 0;
  std::function<void(void* to, int64_t n)> read;
  std::function<void()> finish;
};

ByteStream open_file(const std::string& path);
ByteStream open_member(const std::string& archive, const std::string& member);

}  // namespace gradc::runtime
