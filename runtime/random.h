// Random numbers of the host: a function of a seed, a stream and a number in the stream, on every platform.
// Streams that are taken: the epoch orders the rows (shuffle.h), ~0 shuffles a data set, and those from 2^48
// on belong to pictures (augment.cpp).
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace gradc::runtime {

// Philox4x32-10 (Salmon et al., SC 2011): the seed is the key, the stream and a running number the counter.
class Random {
 public:
  Random(uint64_t seed, uint64_t stream, uint64_t first = 0) : seed_(seed), stream_(stream), number_(first) {}

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

  uint64_t seed_, stream_, number_;
  std::array<uint64_t, 2> block_{};
  size_t used_ = 2;
};

}  // namespace gradc::runtime
