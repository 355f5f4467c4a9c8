// Which symbol follows in a text, and where the text ends.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace gradc {

// The likeliest symbol where temperature is 0; else one that is drawn from the likeliest `most` (0: all), and
// of those from the fewest whose likelihoods, at that temperature, sum to `share` or more (1: all).
class Sampler {
 public:
  Sampler(double temperature, int64_t most, double share, int64_t seed)
      : temperature_(temperature), share_(share), most_(most), random_(static_cast<uint64_t>(seed)) {}

  // Of logits, one a symbol; of equals the first counts as likelier. Throws Error (Data) where one is NaN.
  int32_t next(const std::vector<double>& logits);

 private:
  int32_t draw(const std::vector<double>& logits, const std::vector<int32_t>& order);

  double temperature_, share_;
  int64_t most_;
  std::mt19937_64 random_;
};

// A text that comes in pieces and ends in front of the first of `stops` that stands in it.
class Ending {
 public:
  explicit Ending(std::vector<std::string> stops) : stops_(std::move(stops)) {}

  // What can be shown now: all but an end that may yet become a stop.
  std::string add(std::string_view piece);
  bool ended() const { return ended_; }
  // What was held back, where the text ends otherwise.
  const std::string& rest() const { return held_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool ended_ = false;
};

}  // namespace gradc
