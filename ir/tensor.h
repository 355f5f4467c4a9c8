// A host tensor: what interpreters and `gradc run` take and give. Row-major, 64-byte aligned.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ir/dtype.h"
#include "ir/type.h"

namespace gradc {

class Tensor {
 public:
  Tensor() = default;
  Tensor(DType t, std::vector<int64_t> shape);  // zeros

  DType dtype() const { return dtype_; }
  const std::vector<int64_t>& shape() const { return shape_; }
  int64_t count() const { return count_; }
  int64_t bytes() const { return count_ * size_of(dtype_); }
  std::byte* data() { return data_.get(); }
  const std::byte* data() const { return data_.get(); }
  template <class T>
  std::span<T> as() {
    return {reinterpret_cast<T*>(data_.get()), static_cast<size_t>(count_)};
  }
  template <class T>
  std::span<const T> as() const {
    return {reinterpret_cast<const T*>(data_.get()), static_cast<size_t>(count_)};
  }
  double at(int64_t i) const;  // element i as f64, whatever the type
  void set(int64_t i, double v);
  Tensor clone() const;

 private:
  struct Free {
    void operator()(std::byte* p) const { ::operator delete[](p, std::align_val_t(64)); }
  };
  DType dtype_ = DType::F32;
  std::vector<int64_t> shape_;
  int64_t count_ = 0;
  std::unique_ptr<std::byte[], Free> data_;
};

// Same type, shape and bits, where all NaNs count as equal. `why`, if given, says where they first differ.
bool bit_equal(const Tensor& a, const Tensor& b, std::string* why = nullptr);

// The value of every dimension in `types` for actual shapes; throws CompileError where they disagree.
std::map<std::string, int64_t> bind_dims(std::span<const Type> types, std::span<const Tensor* const> values);
std::vector<int64_t> concrete(const Shape& shape, const std::map<std::string, int64_t>& dims);

}  // namespace gradc
