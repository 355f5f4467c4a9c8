// The type of a value: element type and shape.
#pragma once

#include <string>
#include <vector>

#include "ir/dtype.h"
#include "ir/index.h"

namespace gradc {

using Shape = std::vector<Dim>;

struct Type {
  DType dtype = DType::F32;
  Shape shape;

  int rank() const { return static_cast<int>(shape.size()); }
  bool operator==(const Type&) const = default;
  std::string str() const;  // f32[B,784]
};

std::string str(const Shape& shape);  // [B,784]
Dim element_count(const Shape& shape);

}  // namespace gradc
