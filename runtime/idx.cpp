#include "runtime/idx.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string_view>

#include "runtime/error.h"
#include "runtime/file.h"

namespace gradc::runtime {
namespace {

constexpr int kMaxRank = 8;

[[noreturn]] void fail(const std::string& path, const std::string& reason) {
  throw Error(Failure::Data, path + ": " + reason);
}

// An unsigned big-endian number of T's size, whatever the machine's byte order.
template <class Bits>
Bits load(const char* from) {
  Bits bits = 0;
  for (size_t i = 0; i < sizeof(Bits); ++i) bits = Bits(bits << 8 | uint8_t(from[i]));
  return bits;
}

template <class Bits, class Stored, class Element>
void convert(std::string_view data, Array& to) {
  for (size_t i = 0; i < data.size() / sizeof(Bits); ++i) {
    const auto element = Element(std::bit_cast<Stored>(load<Bits>(data.data() + i * sizeof(Bits))));
    std::memcpy(to.bytes.data() + i * sizeof element, &element, sizeof element);
  }
}

struct Kind {
  uint8_t code;
  DType dtype;
  int64_t stored;  // bytes of an element in the file
  void (*convert)(std::string_view, Array&);
};

constexpr Kind kKinds[] = {
    {0x08, DType::U8, 1, convert<uint8_t, uint8_t, uint8_t>},
    {0x0B, DType::I32, 2, convert<uint16_t, int16_t, int32_t>},
    {0x0C, DType::I32, 4, convert<uint32_t, int32_t, int32_t>},
    {0x0D, DType::F32, 4, convert<uint32_t, float, float>},
    {0x0E, DType::F64, 8, convert<uint64_t, double, double>},
};

// The dimensions, once they are known to agree with the bytes that follow them.
std::vector<int64_t> read_shape(const std::string& path, std::string_view text, int rank, int64_t stored) {
  const size_t header = 4 + 4 * size_t(rank);
  if (text.size() < header) fail(path, "the IDX header is cut off");
  std::vector<int64_t> shape;
  int64_t size = stored;
  bool overflow = false;
  for (int i = 0; i < rank; ++i) {
    shape.push_back(load<uint32_t>(text.data() + 4 + 4 * i));
    overflow |= __builtin_mul_overflow(size, shape.back(), &size);
  }
  const auto have = int64_t(text.size() - header);
  if (overflow || size != have)
    fail(path, "the IDX header promises " + (overflow ? "far more" : std::to_string(size)) +
                   " bytes of data, the file has " + std::to_string(have));
  return shape;
}

}  // namespace

Array read_idx(const std::string& path) { return parse_idx(path, read_file(path)); }

Array parse_idx(const std::string& path, std::string_view text) {
  if (text.size() < 4 || text[0] != 0 || text[1] != 0) fail(path, "is not an IDX file");
  const uint8_t code = uint8_t(text[2]);
  const int rank = uint8_t(text[3]);
  const Kind* kind =
      std::find_if(std::begin(kKinds), std::end(kKinds), [&](auto& k) { return k.code == code; });
  if (kind == std::end(kKinds)) fail(path, "IDX element type " + std::to_string(code) + " is not supported");
  if (rank == 0) fail(path, "has no dimensions; the first is that of the examples");
  if (rank > kMaxRank) fail(path, "has " + std::to_string(rank) + " dimensions; at most 8 are supported");
  Array array = make_array(kind->dtype, read_shape(path, text, rank, kind->stored));
  kind->convert(text.substr(4 + 4 * size_t(rank)), array);
  return array;
}

}  // namespace gradc::runtime
