#include "ir/dtype.h"

namespace gradc {

namespace {
constexpr std::string_view kNames[] = {"bool", "u8", "i32", "i64", "f32", "f64"};
}

std::string_view name_of(DType t) { return kNames[static_cast<int>(t)]; }

std::optional<DType> dtype_named(std::string_view name) {
  for (int i = 0; i < 6; ++i)
    if (kNames[i] == name) return static_cast<DType>(i);
  return std::nullopt;
}

}  // namespace gradc
