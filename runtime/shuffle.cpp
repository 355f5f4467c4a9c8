#include "runtime/shuffle.h"

#include <cstddef>
#include <numeric>
#include <utility>

#include "runtime/random.h"

namespace gradc::runtime {

std::vector<int64_t> permutation(uint64_t seed, uint64_t stream, int64_t n) {
  std::vector<int64_t> order(size_t(n < 0 ? 0 : n));
  std::iota(order.begin(), order.end(), int64_t(0));
  Random random(seed, stream);
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.up_to(i - 1)]);
  return order;
}

std::vector<double> uniform(uint64_t seed, uint64_t stream, int64_t n) {
  std::vector<double> numbers(size_t(n < 0 ? 0 : n));
  Random random(seed, stream);
  for (double& u : numbers) u = double(random.next() >> 11) * 0x1p-53;
  return numbers;
}

}  // namespace gradc::runtime
