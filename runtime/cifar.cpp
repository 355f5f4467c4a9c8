#include "runtime/cifar.h"

#include <cstring>

#include "runtime/error.h"
#include "runtime/file.h"

namespace gradc::runtime {
namespace {

constexpr int64_t kPixels = 32 * 32, kChannels = 3;

struct Format {
  const char* name;
  int labels;
  int limits[2];  // of each label byte
  const char* label_names[2];
  int64_t record() const { return labels + kPixels * kChannels; }
};

constexpr Format kTen{"CIFAR-10", 1, {10, 0}, {"label", ""}},
    kHundred{"CIFAR-100", 2, {20, 100}, {"coarse label", "fine label"}};

// One record's planes of channels, interleaved.
template <class Element>
void interleave(const uint8_t* planes, std::byte* to) {
  for (int64_t p = 0; p < kPixels; ++p)
    for (int64_t c = 0; c < kChannels; ++c) {
      const auto v = static_cast<Element>(planes[c * kPixels + p]);
      std::memcpy(to + (p * kChannels + c) * static_cast<int64_t>(sizeof v), &v, sizeof v);
    }
}

auto interleave_as(DType t) {
  switch (t) {
    case DType::U8:
      return interleave<uint8_t>;
    case DType::I32:
      return interleave<int32_t>;
    case DType::I64:
      return interleave<int64_t>;
    case DType::F64:
      return interleave<double>;
    case DType::F32:
      return interleave<float>;
    case DType::Bool:
      break;
  }
  throw Error(Failure::Data, "pixels are 0..255 and cannot be read as bool");
}

int64_t records_of(const std::string& path, const std::string& text, const Format& f) {
  const auto size = static_cast<int64_t>(text.size());
  if (size == 0 || size % f.record() != 0)
    throw Error(Failure::Data, path + ": " + std::to_string(size) + " bytes are not whole " + f.name +
                                   " records of " + std::to_string(f.record()));
  return size / f.record();
}

void read_labels(const std::string& path, int64_t record, const uint8_t* from, const Format& f, int* labels) {
  for (int i = 0; i < f.labels; ++i) {
    labels[i] = from[i];
    if (labels[i] >= f.limits[i])
      throw Error(Failure::Data, path + ": record " + std::to_string(record + 1) + ": " + f.label_names[i] +
                                     " " + std::to_string(labels[i]) + ", but " + f.name + " has 0.." +
                                     std::to_string(f.limits[i] - 1));
  }
}

}  // namespace

CifarData read_cifar(std::span<const std::string> paths, CifarKind kind, DType images) {
  const Format& f = kind == CifarKind::Ten ? kTen : kHundred;
  const auto interleave_record = interleave_as(images);
  std::vector<std::byte> pixels, labels[2];
  int64_t count = 0;
  const int64_t image_bytes = kPixels * kChannels * size_of(images);
  for (const std::string& path : paths) {
    const std::string text = read_file(path);
    const int64_t records = records_of(path, text, f);
    pixels.resize(static_cast<size_t>((count + records) * image_bytes));
    for (int64_t r = 0; r < records; ++r) {
      const auto* from = reinterpret_cast<const uint8_t*>(text.data()) + r * f.record();
      int found[2];
      read_labels(path, r, from, f, found);
      for (int i = 0; i < f.labels; ++i) {
        const auto* bytes = reinterpret_cast<const std::byte*>(&found[i]);
        labels[i].insert(labels[i].end(), bytes, bytes + sizeof(int32_t));
      }
      interleave_record(from + f.labels, pixels.data() + (count + r) * image_bytes);
    }
    count += records;
  }
  CifarData out;
  out.images = {images, {count, 32, 32, kChannels}, std::move(pixels)};
  out.labels = {DType::I32, {count}, std::move(labels[f.labels - 1])};
  if (f.labels == 2) out.coarse = {DType::I32, {count}, std::move(labels[0])};
  return out;
}

}  // namespace gradc::runtime
