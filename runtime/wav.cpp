#include "runtime/wav.h"

#include <cstring>
#include <string_view>

#include "runtime/error.h"
#include "runtime/file.h"

namespace gradc::runtime {
namespace {

constexpr int64_t kLargest = int64_t(1) << 30;
constexpr uint32_t kPcm = 1, kExtensible = 0xFFFE;

[[noreturn]] void fail(const std::string& path, const std::string& reason) {
  throw Error(Failure::Data, path + ": " + reason);
}

uint32_t little_endian(std::string_view text, size_t at, size_t bytes) {
  uint32_t v = 0;
  for (size_t i = bytes; i-- > 0;) v = v << 8 | static_cast<uint8_t>(text[at + i]);
  return v;
}

int64_t read_format(const std::string& path, std::string_view chunk) {
  if (chunk.size() < 16)
    fail(path, "the format chunk has " + std::to_string(chunk.size()) + " bytes, not 16");
  uint32_t code = little_endian(chunk, 0, 2);
  const uint32_t channels = little_endian(chunk, 2, 2), rate = little_endian(chunk, 4, 4),
                 bits = little_endian(chunk, 14, 2);
  if (code == kExtensible && chunk.size() >= 26) code = little_endian(chunk, 24, 2);
  if (code != kPcm) fail(path, "has WAV format " + std::to_string(code) + "; 16-bit PCM (format 1) is read");
  if (channels != 1) fail(path, "has " + std::to_string(channels) + " channels; one is read");
  if (bits != 16) fail(path, "has " + std::to_string(bits) + " bits a sample; 16 are read");
  if (rate == 0) fail(path, "has 0 samples a second");
  return rate;
}

}  // namespace

Wav read_wav(const std::string& path) {
  const std::string text = read_file(path, kLargest);
  const std::string_view all = text;
  if (all.size() < 12 || all.substr(0, 4) != "RIFF" || all.substr(8, 4) != "WAVE")
    fail(path, "is not a WAV file");
  Wav out;
  for (size_t at = 12; at + 8 <= all.size();) {
    const std::string_view name = all.substr(at, 4);
    const size_t size = little_endian(all, at + 4, 4), have = all.size() - at - 8;
    if (size > have)
      fail(path, "the chunk '" + std::string(name == "data" || name == "fmt " ? name : "other") +
                     "' promises " + std::to_string(size) + " bytes, the file has " + std::to_string(have));
    const std::string_view chunk = all.substr(at + 8, size);
    if (name == "fmt ") out.rate = read_format(path, chunk);
    if (name == "data") {
      if (out.rate == 0) fail(path, "has its samples before their format");
      if (size % 2 != 0) fail(path, "ends within a sample");
      out.samples.resize(size / 2);
      for (size_t i = 0; i < out.samples.size(); ++i)
        out.samples[i] = static_cast<int16_t>(little_endian(chunk, 2 * i, 2));
      return out;
    }
    at += 8 + size + size % 2;
  }
  fail(path, out.rate == 0 ? "has no format chunk" : "has no samples");
}

}  // namespace gradc::runtime
