// Index expressions prepared for many evaluations: dimensions become numbers, variables are read from an
// array.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "ir/index.h"
#include "ir/layout.h"

namespace gradc::kernel {

class FlatIndex {
 public:
  FlatIndex() = default;
  FlatIndex(const Index& e, const std::map<std::string, int64_t>& dims);

  // Wraps as machine code does; division by less than 1 gives 0.
  int64_t operator()(std::span<const int64_t> vars) const;

 private:
  struct Linear {
    int64_t coefficient;
    int var;
  };
  // coefficient * vars * functions of two expressions; `args` of function i are at 2 * i.
  struct Product {
    int64_t coefficient = 1;
    std::vector<int> vars;
    std::vector<Atom::Kind> functions;
    std::vector<FlatIndex> args;
  };
  int64_t constant_ = 0;
  std::vector<Linear> linear_;
  std::vector<Product> products_;
};

// The places of all elements of a buffer, in the row-major order of their indices.
std::vector<int64_t> places(const Layout& layout, const Shape& shape,
                            const std::map<std::string, int64_t>& dims);

}  // namespace gradc::kernel
