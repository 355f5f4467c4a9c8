#include "runtime/augment.h"

#include <algorithm>
#include <cstring>

#include "runtime/random.h"

namespace gradc::runtime {
namespace {

// Where the changes so far put the lines, or the columns, of a picture, and which of them are still within
// it. What one change has moved out no later one brings back.
struct Axis {
  explicit Axis(int64_t extent) : n(extent), end(extent) {}

  int64_t at(int64_t i) const { return mirrored ? offset - i : offset + i; }
  void move(int64_t by) {
    offset += by;
    first = std::max(first, mirrored ? offset - n + 1 : -offset);
    end = std::max(first, std::min(end, mirrored ? offset + 1 : n - offset));
  }
  void mirror() {
    mirrored = !mirrored;
    offset = n - 1 - offset;
  }
  bool whole() const { return first == 0 && end == n; }

  int64_t n, offset = 0, first = 0, end;
  bool mirrored = false;
};

void change(const PictureChange& c, Random random, Axis& lines, Axis& columns) {
  if (c.kind == PictureChange::Kind::Flip) {
    if (random.up_to(1) == 1) columns.mirror();
    return;
  }
  lines.move(static_cast<int64_t>(random.up_to(uint64_t(2 * c.most))) - c.most);
  columns.move(static_cast<int64_t>(random.up_to(uint64_t(2 * c.most))) - c.most);
}

void copy(const std::byte* from, std::byte* to, const Axis& lines, const Axis& columns, int64_t pixel) {
  const int64_t line = columns.n * pixel, kept = columns.end - columns.first;
  if (!lines.whole() || !columns.whole()) std::memset(to, 0, size_t(lines.n * line));
  if (kept == 0) return;
  for (int64_t y = lines.first; y < lines.end; ++y) {
    const std::byte* source = from + y * line + columns.first * pixel;
    std::byte* target = to + lines.at(y) * line + columns.at(columns.first) * pixel;
    if (!columns.mirrored) {
      std::memcpy(target, source, size_t(kept * pixel));
      continue;
    }
    for (int64_t x = 0; x < kept; ++x) std::memcpy(target - x * pixel, source + x * pixel, size_t(pixel));
  }
}

}  // namespace

Array augment_rows(const Array& pictures, std::span<const PictureChange> changes, uint64_t seed,
                   int64_t epoch, std::span<const int64_t> rows) {
  // Each change of a row has so many numbers to itself that rejected draws never reach the next row's.
  constexpr int kNumbersLog2 = 16, kEpochLog2 = 48;
  std::vector<int64_t> shape = pictures.shape;
  shape[0] = static_cast<int64_t>(rows.size());
  Array out = make_array(pictures.dtype, shape);
  const int64_t bytes = pictures.row_bytes(), pixel = bytes / (shape[1] * shape[2]);
  for (size_t i = 0; i < rows.size(); ++i) {
    Axis lines(shape[1]), columns(shape[2]);
    for (size_t k = 0; k < changes.size(); ++k)
      change(changes[k],
             Random(seed, uint64_t(k + 1) << kEpochLog2 | uint64_t(epoch), uint64_t(rows[i]) << kNumbersLog2),
             lines, columns);
    copy(pictures.bytes.data() + rows[i] * bytes, out.bytes.data() + static_cast<int64_t>(i) * bytes, lines,
         columns, pixel);
  }
  return out;
}

std::map<std::string, Array> augmented(const Split& split, uint64_t seed, int64_t epoch,
                                       std::span<const int64_t> rows) {
  std::map<std::string, Array> out;
  for (const auto& [field, changes] : split.changes)
    out.emplace(field, augment_rows(split.data->fields.at(field), changes, seed, epoch, rows));
  return out;
}

}  // namespace gradc::runtime
