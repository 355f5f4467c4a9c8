// Element types.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace gradc {

enum class DType : uint8_t { Bool, U8, I32, I64, F32, F64 };
inline constexpr int kDTypes = 6;

constexpr bool is_float(DType t) { return t == DType::F32 || t == DType::F64; }
constexpr bool is_integer(DType t) { return t == DType::U8 || t == DType::I32 || t == DType::I64; }
constexpr int64_t size_of(DType t) {
  constexpr int64_t sizes[] = {1, 1, 4, 8, 4, 8};
  return sizes[static_cast<int>(t)];
}
constexpr std::string_view name_of(DType t) {
  constexpr std::string_view names[] = {"bool", "u8", "i32", "i64", "f32", "f64"};
  return names[static_cast<int>(t)];
}
std::optional<DType> dtype_named(std::string_view name);

}  // namespace gradc
