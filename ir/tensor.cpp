#include "ir/tensor.h"

#include <cmath>

#include "support/diagnostic.h"

namespace gradc {

Tensor::Tensor(DType t, std::vector<int64_t> shape) : dtype_(t), shape_(std::move(shape)), count_(1) {
  for (int64_t d : shape_) count_ *= d;
  const size_t n = static_cast<size_t>(bytes());
  data_.reset(new (std::align_val_t(64)) std::byte[n + 64]);
  std::memset(data_.get(), 0, n + 64);
}

double Tensor::at(int64_t i) const {
  switch (dtype_) {
    case DType::Bool:
    case DType::U8:
      return as<uint8_t>()[i];
    case DType::I32:
      return as<int32_t>()[i];
    case DType::I64:
      return static_cast<double>(as<int64_t>()[i]);
    case DType::F32:
      return as<float>()[i];
    default:
      return as<double>()[i];
  }
}

void Tensor::set(int64_t i, double v) {
  switch (dtype_) {
    case DType::Bool:
      as<uint8_t>()[i] = v != 0;
      break;
    case DType::U8:
      as<uint8_t>()[i] = static_cast<uint8_t>(v);
      break;
    case DType::I32:
      as<int32_t>()[i] = static_cast<int32_t>(v);
      break;
    case DType::I64:
      as<int64_t>()[i] = static_cast<int64_t>(v);
      break;
    case DType::F32:
      as<float>()[i] = static_cast<float>(v);
      break;
    default:
      as<double>()[i] = v;
  }
}

Tensor Tensor::clone() const {
  Tensor t(dtype_, shape_);
  if (bytes() > 0) std::memcpy(t.data(), data(), static_cast<size_t>(bytes()));
  return t;
}

bool bit_equal(const Tensor& a, const Tensor& b, std::string* why) {
  if (a.dtype() != b.dtype() || a.shape() != b.shape()) {
    if (why)
      *why = fmt::format("{} with {} elements against {} with {}", name_of(a.dtype()), a.count(),
                         name_of(b.dtype()), b.count());
    return false;
  }
  const int64_t size = size_of(a.dtype());
  for (int64_t i = 0; i < a.count(); ++i) {
    if (std::memcmp(a.data() + i * size, b.data() + i * size, static_cast<size_t>(size)) == 0) continue;
    if (is_float(a.dtype()) && std::isnan(a.at(i)) && std::isnan(b.at(i))) continue;
    if (why) *why = fmt::format("element {}: {:a} against {:a}", i, a.at(i), b.at(i));
    return false;
  }
  return true;
}

std::map<std::string, int64_t> bind_dims(std::span<const Type> types, std::span<const Tensor* const> values) {
  std::map<std::string, int64_t> dims;
  auto known = [&](const Index& e) {
    std::map<std::string, int> names;
    e.collect_dims(names);
    for (const auto& [name, n] : names)
      if (!dims.count(name)) return false;
    return true;
  };
  for (int pass = 0; pass < 2; ++pass)
    for (size_t i = 0; i < types.size(); ++i) {
      const Type& t = types[i];
      const auto& shape = values[i]->shape();
      if (t.shape.size() != shape.size() || t.dtype != values[i]->dtype())
        throw CompileError({}, fmt::format("argument {} is {} of rank {}, needs {}", i,
                                           name_of(values[i]->dtype()), shape.size(), t.str()));
      for (size_t d = 0; d < shape.size(); ++d) {
        const Index& e = t.shape[d];
        const bool bare = e.constant_part() == 0 && e.terms().size() == 1 && e.terms()[0].coefficient == 1 &&
                          e.terms()[0].factors.size() == 1 && e.terms()[0].factors[0].kind == Atom::Kind::Dim;
        if (pass == 0 && bare) dims.emplace(e.terms()[0].factors[0].name, shape[d]);
        if (pass == 0 || !known(e)) continue;
        const int64_t want =
            e.evaluate([](int) -> int64_t { return 0; }, [&](const std::string& n) { return dims.at(n); });
        if (want != shape[d])
          throw CompileError(
              {}, fmt::format("argument {} has {} where {} = {} is needed", i, shape[d], e.str(), want));
      }
    }
  return dims;
}

std::vector<int64_t> concrete(const Shape& shape, const std::map<std::string, int64_t>& dims) {
  std::vector<int64_t> out;
  for (const Dim& d : shape)
    out.push_back(d.evaluate([](int) -> int64_t { return 0; },
                             [&](const std::string& n) {
                               auto it = dims.find(n);
                               if (it == dims.end())
                                 throw CompileError({}, fmt::format("dimension {} has no value", n));
                               return it->second;
                             }));
  return out;
}

}  // namespace gradc
