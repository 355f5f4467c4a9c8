#include "runtime/array.h"

#include <cstring>
#include <limits>

#include "runtime/error.h"

namespace gradc::runtime {
namespace {

constexpr int64_t kLargest = int64_t(64) << 30;

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? "," : "") + std::to_string(shape[i]);
  return text + "]";
}

// Calls f with a zero of the C++ type that holds the dtype's elements.
template <class F>
auto with_type(DType dtype, F f) {
  switch (dtype) {
    case DType::Bool:
    case DType::U8:
      return f(uint8_t{});
    case DType::I32:
      return f(int32_t{});
    case DType::I64:
      return f(int64_t{});
    case DType::F32:
      return f(float{});
    case DType::F64:
      break;
  }
  return f(double{});
}

}  // namespace

int64_t Array::count() const {
  int64_t n = 1;
  for (int64_t d : shape) n *= d;
  return n;
}

int64_t Array::row_bytes() const {
  int64_t n = size_of(dtype);
  for (size_t i = 1; i < shape.size(); ++i) n *= shape[i];
  return n;
}

double Array::at(int64_t flat) const {
  return with_type(dtype, [&](auto element) {
    std::memcpy(&element, bytes.data() + flat * int64_t(sizeof element), sizeof element);
    return double(element);
  });
}

int64_t Array::whole_at(int64_t flat) const {
  return with_type(dtype, [&](auto element) {
    std::memcpy(&element, bytes.data() + flat * int64_t(sizeof element), sizeof element);
    return static_cast<int64_t>(element);
  });
}

void Array::set_whole(int64_t flat, int64_t v) {
  with_type(dtype, [&](auto element) {
    element = static_cast<decltype(element)>(v);
    std::memcpy(bytes.data() + flat * int64_t(sizeof element), &element, sizeof element);
  });
}

void Array::set(int64_t flat, double v) {
  if (dtype == DType::Bool) v = v != 0;
  with_type(dtype, [&](auto element) {
    element = static_cast<decltype(element)>(v);
    std::memcpy(bytes.data() + flat * int64_t(sizeof element), &element, sizeof element);
  });
}

void Array::set_bytes(int64_t flat, std::span<const uint8_t> values) {
  with_type(dtype, [&](auto element) {
    std::byte* to = bytes.data() + flat * int64_t(sizeof element);
    for (const uint8_t v : values) {
      element = static_cast<decltype(element)>(v);
      std::memcpy(to, &element, sizeof element);
      to += sizeof element;
    }
  });
}

bool holds(DType dtype, int64_t v) {
  return dtype == DType::I64 || (dtype == DType::Bool && v >= 0 && v <= 1) ||
         (dtype == DType::U8 && v >= 0 && v <= 255) ||
         (dtype == DType::I32 && v >= std::numeric_limits<int32_t>::min() &&
          v <= std::numeric_limits<int32_t>::max());
}

Array make_array(DType dtype, std::vector<int64_t> shape) {
  // Zero dimensions do not excuse the others: row_bytes() multiplies them as well.
  int64_t size = size_of(dtype);
  bool empty = false;
  for (int64_t d : shape) {
    if (d < 0) throw Error(Failure::Data, "an array cannot have the shape " + shape_text(shape));
    empty |= d == 0;
    if (d > 0 && (__builtin_mul_overflow(size, d, &size) || size > kLargest))
      throw Error(Failure::Data, "an array of shape " + shape_text(shape) + " is larger than 64 GB");
  }
  Array a{dtype, std::move(shape), {}};
  a.bytes.resize(empty ? 0 : size_t(size));
  return a;
}

}  // namespace gradc::runtime
