#include "runtime/program.h"

#include <algorithm>

namespace gradc::runtime {
namespace {

const Tensor* find(const std::vector<Tensor>& tensors, const std::string& name) {
  auto it = std::find_if(tensors.begin(), tensors.end(), [&](const Tensor& t) { return t.name == name; });
  return it == tensors.end() ? nullptr : &*it;
}

}  // namespace

const Tensor* Entry::input(const std::string& name) const { return find(inputs, name); }
const Tensor* Entry::field(const std::string& name) const {
  const Tensor* told_apart = find(inputs, "." + name);
  return told_apart != nullptr ? told_apart : find(inputs, name);
}
const Tensor* Entry::output(const std::string& name) const { return find(outputs, name); }

}  // namespace gradc::runtime
