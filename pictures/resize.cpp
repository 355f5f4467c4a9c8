#include "pictures/resize.h"

#include <algorithm>
#include <cmath>

namespace gradc::pictures {
namespace {

// Weights are whole numbers of this many bits behind the point, as Pillow has them.
constexpr int kBits = 22;

// The part of an axis that is taken. Pillow keeps its ends as float.
struct Range {
  float begin = 0, end = 0;
};

struct Tap {
  int64_t first = 0;             // of the pixels that a new pixel is made of
  std::vector<int32_t> weights;  // of each
};

Tap tap_at(int64_t i, int64_t size, Range from, double scale) {
  const double width = std::max(scale, 1.0), centre = from.begin + (static_cast<double>(i) + 0.5) * scale;
  const int64_t first = std::max<int64_t>(0, static_cast<int64_t>(centre - width + 0.5)),
                end = std::min(size, static_cast<int64_t>(centre + width + 0.5));
  std::vector<double> weights;
  double sum = 0;
  for (int64_t x = first; x < end; ++x) {
    const double distance = std::abs((static_cast<double>(x) - centre + 0.5) * (1.0 / width));
    weights.push_back(distance < 1 ? 1 - distance : 0);
    sum += weights.back();
  }
  Tap out{first, {}};
  for (double w : weights)
    out.weights.push_back(static_cast<int32_t>(0.5 + (sum != 0 ? w / sum : w) * (1 << kBits)));
  return out;
}

std::vector<Tap> taps(int64_t size, Range from, int64_t to) {
  const double scale = static_cast<double>(from.end - from.begin) / static_cast<double>(to);
  std::vector<Tap> out;
  for (int64_t i = 0; i < to; ++i) out.push_back(tap_at(i, size, from, scale));
  return out;
}

// One axis of [outer, size, inner] from `size` to as many as there are taps.
std::vector<uint8_t> along(const std::vector<uint8_t>& from, int64_t outer, int64_t size, int64_t inner,
                           const std::vector<Tap>& axis) {
  std::vector<uint8_t> to(static_cast<size_t>(outer * inner) * axis.size());
  uint8_t* out = to.data();
  for (int64_t o = 0; o < outer; ++o)
    for (const Tap& tap : axis) {
      const uint8_t* in = from.data() + (o * size + tap.first) * inner;
      for (int64_t i = 0; i < inner; ++i) {
        int32_t sum = 1 << (kBits - 1);
        for (size_t k = 0; k < tap.weights.size(); ++k)
          sum += tap.weights[k] * in[static_cast<int64_t>(k) * inner + i];
        *out++ = static_cast<uint8_t>(std::clamp(sum >> kBits, 0, 255));
      }
    }
  return to;
}

// What is left of an axis when `share` of it is taken, the same at both ends.
Range middle(double size, double taken) {
  const double begin = (size - taken) * 0.5;
  return {static_cast<float>(begin), static_cast<float>(begin + taken)};
}

}  // namespace

Picture resized(const Picture& p, int64_t height, int64_t width, bool crop) {
  const auto h = static_cast<double>(p.height), w = static_cast<double>(p.width);
  const double have = w / h, want = static_cast<double>(width) / static_cast<double>(height);
  const Range rows = middle(h, crop && have < want ? w / want : h),
              columns = middle(w, crop && have > want ? want * h : w);
  Picture out = p;
  if (width != p.width || columns.begin != 0 || columns.end != static_cast<float>(w))
    out.samples = along(out.samples, p.height, p.width, p.channels, taps(p.width, columns, width));
  if (height != p.height || rows.begin != 0 || rows.end != static_cast<float>(h))
    out.samples = along(out.samples, 1, p.height, width * p.channels, taps(p.height, rows, height));
  out.height = height, out.width = width;
  return out;
}

}  // namespace gradc::pictures
