#include "runtime/program.h"

#include <algorithm>

namespace gradc::runtime {
namespace {

const Tensor* find(const std::vector<Tensor>& tensors, const std::string& name) {
  auto it = std::find_if(tensors.begin(), tensors.end(), [&](const Tensor& t) { return t.name == name; });
  return it == tensors.end() ? nullptr : &*it;
}

}  // namespace

int64_t size_of(DType t) {
  switch (t) {
    case DType::Bool:
    case DType::U8:
      return 1;
    case DType::I32:
    case DType::F32:
      return 4;
    case DType::I64:
    case DType::F64:
      break;
  }
  return 8;
}

const char* name_of(DType t) {
  switch (t) {
    case DType::Bool:
      return "bool";
    case DType::U8:
      return "u8";
    case DType::I32:
      return "i32";
    case DType::I64:
      return "i64";
    case DType::F32:
      return "f32";
    case DType::F64:
      break;
  }
  return "f64";
}

const Tensor* Entry::input(const std::string& name) const { return find(inputs, name); }
const Tensor* Entry::field(const std::string& name) const {
  const Tensor* told_apart = find(inputs, "." + name);
  return told_apart != nullptr ? told_apart : find(inputs, name);
}
const Tensor* Entry::output(const std::string& name) const { return find(outputs, name); }

}  // namespace gradc::runtime
