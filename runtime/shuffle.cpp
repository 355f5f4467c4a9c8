#include "runtime/shuffle.h"

#include <array>
#include <bit>
#include <cstddef>
#include <numeric>
#include <utility>

namespace gradc::runtime {
namespace {

// Philox4x32-10 (Salmon et al., SC 2011): the seed is the key, the stream and a running number the counter.
class Random {
 public:
  Random(uint64_t seed, uint64_t stream) : seed_(seed), stream_(stream) {}

  uint64_t next() {
    if (used_ == 2) {
      block_ = philox(number_++);
      used_ = 0;
    }
    return block_[used_++];
  }

  // In [0, last]. Masks and rejects, rather than taking a remainder, to be unbiased.
  uint64_t up_to(uint64_t last) {
    if (last == 0) return 0;
    const uint64_t mask = ~uint64_t(0) >> std::countl_zero(last);
    uint64_t draw;
    do draw = next() & mask;
    while (draw > last);
    return draw;
  }

 private:
  std::array<uint64_t, 2> philox(uint64_t number) const {
    uint32_t c0 = uint32_t(number), c1 = uint32_t(number >> 32);
    uint32_t c2 = uint32_t(stream_), c3 = uint32_t(stream_ >> 32);
    uint32_t k0 = uint32_t(seed_), k1 = uint32_t(seed_ >> 32);
    for (int round = 0; round < 10; ++round) {
      const uint64_t p0 = uint64_t(0xD2511F53) * c0, p1 = uint64_t(0xCD9E8D57) * c2;
      c0 = uint32_t(p1 >> 32) ^ c1 ^ k0;
      c2 = uint32_t(p0 >> 32) ^ c3 ^ k1;
      c1 = uint32_t(p1);
      c3 = uint32_t(p0);
      k0 += 0x9E3779B9;
      k1 += 0xBB67AE85;
    }
    return {uint64_t(c1) << 32 | c0, uint64_t(c3) << 32 | c2};
  }

  uint64_t seed_, stream_, number_ = 0;
  std::array<uint64_t, 2> block_{};
  size_t used_ = 2;
};

}  // namespace

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
