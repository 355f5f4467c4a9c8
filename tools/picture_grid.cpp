#include "tools/picture_grid.h"

#include <fmt/format.h>
#include <png.h>

#include <algorithm>
#include <cmath>

#include "runtime/error.h"

namespace gradc {
namespace {

using runtime::DType;
using runtime::Error;
using runtime::Failure;

constexpr int64_t kGap = 2;  // pixels between tiles
constexpr uint8_t kGapShade = 128;
constexpr int64_t kMostPixels = int64_t(1) << 26;  // 8192 x 8192

int png_format(int64_t channels) {
  return channels == 1 ? PNG_FORMAT_GRAY : channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_RGBA;
}

std::string encode(int64_t width, int64_t height, int64_t channels, const std::vector<uint8_t>& samples) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(width), image.height = static_cast<png_uint_32>(height);
  image.format = static_cast<png_uint_32>(png_format(channels));
  std::string out(PNG_IMAGE_PNG_SIZE_MAX(image), '\0');
  png_alloc_size_t size = out.size();
  if (png_image_write_to_memory(&image, out.data(), &size, 0, samples.data(), 0, nullptr) == 0)
    throw Error(Failure::Data, fmt::format("the picture cannot be written: {}", image.message));
  out.resize(size);
  return out;
}

}  // namespace

PictureGrid::PictureGrid(const std::string& result, const std::vector<int64_t>& shape) : result_(result) {
  const bool flat = shape.size() == 2;
  const int64_t channels = flat ? 1 : shape.size() == 3 ? shape[2] : 0;
  if ((channels != 1 && channels != 3 && channels != 4) || shape[0] < 1 || shape[1] < 1)
    throw Error(
        Failure::Usage,
        fmt::format("--format=png: a row of '{}' is [{}], and a picture is [height, width] or [height, "
                    "width, channels] with 1, 3 or 4 channels; reshape it in the model",
                    result, fmt::join(shape, ", ")));
  height_ = shape[0], width_ = shape[1], channels_ = channels;
}

void PictureGrid::add(const runtime::Array& batch, int64_t rows) {
  const bool real = batch.dtype == DType::F32 || batch.dtype == DType::F64;
  const double scale = real || batch.dtype == DType::Bool ? 255 : 1;
  tiles_ += rows;
  const int64_t count = rows * height_ * width_ * channels_;
  for (int64_t i = 0; i < count; ++i) {
    const double v = batch.at(i) * scale;
    if (!(v >= 0 && v <= 255)) ++cut_;
    samples_.push_back(static_cast<uint8_t>(std::isnan(v) ? 0 : std::lround(std::clamp(v, 0.0, 255.0))));
  }
}

std::string PictureGrid::png() const {
  if (tiles_ == 0) throw Error(Failure::Data, "--format=png: there is no row, so there is no picture");
  int64_t across = 1;
  while (across * across < tiles_) ++across;
  const int64_t down = (tiles_ + across - 1) / across;
  const int64_t width = across * (width_ + kGap) - kGap, height = down * (height_ + kGap) - kGap;
  if (width > kMostPixels / height)
    throw Error(
        Failure::Usage,
        fmt::format("--format=png: {} tiles of {} x {} pixels are a picture of {} x {}, and {} pixels are "
                    "the most; take fewer: --rows 64",
                    tiles_, width_, height_, width, height, kMostPixels));
  std::vector<uint8_t> all(static_cast<size_t>(width * height * channels_), kGapShade);
  const int64_t line = width_ * channels_;
  for (int64_t t = 0; t < tiles_; ++t)
    for (int64_t y = 0; y < height_; ++y)
      std::copy_n(
          samples_.begin() + (t * height_ + y) * line, line,
          all.begin() +
              (((t / across) * (height_ + kGap) + y) * width + (t % across) * (width_ + kGap)) * channels_);
  return encode(width, height, channels_, all);
}

}  // namespace gradc
