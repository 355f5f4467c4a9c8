// PNG and JPEG files as samples of 8 bits. What the file is, its first bytes say, not its name. All throw
// runtime::Error that begins with `name`, where a file is cut off, damaged, or larger than kMostPixels.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gradc::pictures {

// 8192 x 8192: what one picture may take of memory and time is bounded by it.
constexpr int64_t kMostPixels = int64_t(1) << 26;

struct Picture {
  int64_t height = 0, width = 0;
  int64_t channels = 0;          // 1: grey; 3: red, green, blue; 4: and alpha
  std::vector<uint8_t> samples;  // [height, width, channels]
  bool narrowed = false;         // the file has 16 bits a sample, of which these are the upper 8
};

struct Head {
  enum class Format { Png, Jpeg } format = Format::Png;
  int64_t height = 0, width = 0;
};

// .png, .jpg and .jpeg in any case: what a folder of pictures takes.
bool is_picture_name(std::string_view name);

// What the beginning of the file promises; costs nothing.
Head read_head(const std::string& name, std::string_view bytes);
Picture decode(const std::string& name, std::string_view bytes);

// Grey becomes three equal channels, and three become grey by the weights of ITU-R 601, as Pillow rounds
// them. `alpha_lost` says whether an alpha was left out that is not opaque everywhere.
Picture with_channels(Picture p, int64_t channels, bool& alpha_lost);

// The formats, for picture.cpp.
Head png_head(const std::string& name, std::string_view bytes);
Picture decode_png(const std::string& name, std::string_view bytes);
Head jpeg_head(const std::string& name, std::string_view bytes);
Picture decode_jpeg(const std::string& name, std::string_view bytes);
[[noreturn]] void refuse(const std::string& name, const std::string& reason);

}  // namespace gradc::pictures
