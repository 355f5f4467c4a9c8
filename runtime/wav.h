// WAV files of one channel and 16 bits.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace gradc::runtime {

struct Wav {
  int64_t rate = 0;  // samples a second
  std::vector<int16_t> samples;
};

// At most 1 GB. Throws Error where the file is cut off or holds anything but 16-bit PCM of one channel.
Wav read_wav(const std::string& path);

}  // namespace gradc::runtime
