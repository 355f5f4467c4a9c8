#include "tools/sampling.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "runtime/error.h"

namespace gradc {

int32_t Sampler::next(const std::vector<double>& logits) {
  for (const double x : logits)
    if (std::isnan(x)) throw runtime::Error(runtime::Failure::Data, "the model gives NaN");
  if (temperature_ == 0)
    return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const bool few = most_ > 0 && most_ < static_cast<int64_t>(order.size());
  const auto end = few ? order.begin() + most_ : order.end();
  // Of equals the first, so that the order is the same everywhere.
  std::partial_sort(order.begin(), end, order.end(), [&](int32_t x, int32_t y) {
    const double of_x = logits[static_cast<size_t>(x)], of_y = logits[static_cast<size_t>(y)];
    return of_x != of_y ? of_x > of_y : x < y;
  });
  order.erase(end, order.end());
  return draw(logits, order);
}

int32_t Sampler::draw(const std::vector<double>& logits, const std::vector<int32_t>& order) {
  const double largest = logits[static_cast<size_t>(order[0])];
  std::vector<double> weights;
  for (const int32_t i : order) {
    const double x = logits[static_cast<size_t>(i)];
    weights.push_back(x == largest ? 1.0 : std::exp((x - largest) / temperature_));
  }
  double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  if (share_ < 1) {
    double of_these = 0;
    size_t n = 0;
    while (n < weights.size() && of_these < share_ * sum) of_these += weights[n++];
    weights.resize(n), sum = of_these;
  }
  // The standard leaves the bits of its distributions open, those of its engines not.
  double left = static_cast<double>(random_() >> 11) * 0x1p-53 * sum;
  for (size_t i = 0; i < weights.size(); ++i)
    if ((left -= weights[i]) < 0) return order[i];
  return order[0];
}

std::string Ending::add(std::string_view piece) {
  held_ += piece;
  size_t first = std::string::npos;
  for (const std::string& stop : stops_) first = std::min(first, held_.find(stop));
  ended_ = first != std::string::npos;
  size_t shown = std::min(first, held_.size());
  // The longest end that a stop begins with is the first place from which one does.
  const auto begins = [&](const std::string& stop, size_t from) {
    return std::string_view(stop).starts_with(std::string_view(held_).substr(from));
  };
  for (size_t from = 0; !ended_ && from < held_.size() && shown == held_.size(); ++from)
    if (std::any_of(stops_.begin(), stops_.end(), [&](const std::string& s) { return begins(s, from); }))
      shown = from;
  std::string out = held_.substr(0, shown);
  held_.erase(0, shown);
  return out;
}

}  // namespace gradc
