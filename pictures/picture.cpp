#include "pictures/picture.h"

#include "runtime/error.h"

namespace gradc::pictures {
namespace {

constexpr std::string_view kPng = "\x89PNG\r\n\x1a\n", kJpeg = "\xff\xd8\xff";

// The part of `whole` that the file has, so that a file cut within its first bytes is told from another.
bool begins(std::string_view bytes, std::string_view whole) {
  return !bytes.empty() && bytes.substr(0, whole.size()) == whole.substr(0, bytes.size());
}

uint8_t grey(const uint8_t* rgb) {
  return static_cast<uint8_t>((rgb[0] * 19595u + rgb[1] * 38470u + rgb[2] * 7471u + 0x8000u) >> 16);
}

}  // namespace

void refuse(const std::string& name, const std::string& reason) {
  throw runtime::Error(runtime::Failure::Data, name + ": " + reason);
}

bool is_picture_name(std::string_view name) {
  const size_t dot = name.rfind('.');
  if (dot == name.npos) return false;
  std::string end(name.substr(dot));
  for (char& c : end) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return end == ".png" || end == ".jpg" || end == ".jpeg";
}

Head read_head(const std::string& name, std::string_view bytes) {
  const bool png = begins(bytes, kPng);
  if (!png && !begins(bytes, kJpeg))
    refuse(name, bytes.empty() ? "is empty" : "is neither a PNG nor a JPEG file");
  const Head h = png ? png_head(name, bytes) : jpeg_head(name, bytes);
  if (h.height < 1 || h.width < 1 || h.width > kMostPixels / h.height)
    refuse(name, "is " + std::to_string(h.width) + " pixels wide and " + std::to_string(h.height) +
                     " high; at least 1 and at most " + std::to_string(kMostPixels) + " pixels are read");
  return h;
}

Picture decode(const std::string& name, std::string_view bytes) {
  return read_head(name, bytes).format == Head::Format::Png ? decode_png(name, bytes)
                                                            : decode_jpeg(name, bytes);
}

Picture with_channels(Picture p, int64_t channels, bool& alpha_lost) {
  const auto pixels = static_cast<size_t>(p.height * p.width);
  const auto from = static_cast<size_t>(p.channels), to = static_cast<size_t>(channels);
  for (size_t i = 0; from == 4 && to != 4 && !alpha_lost && i < pixels; ++i)
    alpha_lost = p.samples[4 * i + 3] != 255;
  if (from == to) return p;
  std::vector<uint8_t> samples(pixels * to);
  for (size_t i = 0; i < pixels; ++i) {
    const uint8_t* a = &p.samples[i * from];
    uint8_t* b = &samples[i * to];
    if (to == 1) {
      *b = grey(a);
      continue;
    }
    for (size_t c = 0; c < 3; ++c) b[c] = a[from == 1 ? 0 : c];
    if (to == 4) b[3] = 255;
  }
  p.samples = std::move(samples), p.channels = channels;
  return p;
}

}  // namespace gradc::pictures
