#include "ir/type.h"

#include <fmt/format.h>

namespace gradc {

std::string str(const Shape& shape) {
  std::string out = "[";
  for (const Dim& d : shape) out += (out.size() > 1 ? "," : "") + d.str();
  return out + "]";
}

std::string Type::str() const { return fmt::format("{}{}", name_of(dtype), gradc::str(shape)); }

Dim element_count(const Shape& shape) {
  Dim n(1);
  for (const Dim& d : shape) n = n * d;
  return n;
}

}  // namespace gradc
