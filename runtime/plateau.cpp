#include "runtime/plateau.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace gradc::runtime {
namespace {

constexpr double kLeastChange = 1e-8;  // of a rate; PyTorch's eps
constexpr size_t kNumbers = 4;         // of a state

bool better(const Plateau& p, double value, const std::optional<double>& best) {
  if (std::isnan(value)) return false;
  if (!best) return true;
  return p.on.maximize ? value > *best * (p.threshold + 1) : value < *best * (1 - p.threshold);
}

bool is_count(double v) { return v >= 0 && v < 0x1p53 && v == std::trunc(v); }

}  // namespace

PlateauState after(const Plateau& p, PlateauState s, double value) {
  if (better(p, value, s.best))
    s.best = value, s.bad = 0;
  else
    ++s.bad;
  if (s.cooling > 0) --s.cooling, s.bad = 0;
  if (s.bad <= p.patience) return s;
  const double lower = std::max(s.rate * p.factor, p.low);
  if (s.rate - lower > kLeastChange) s.rate = lower;
  s.cooling = p.cooldown, s.bad = 0;
  return s;
}

std::vector<double> to_numbers(const std::vector<PlateauState>& states) {
  std::vector<double> out;
  for (const PlateauState& s : states) {
    out.push_back(s.rate);
    out.push_back(s.best.value_or(std::numeric_limits<double>::quiet_NaN()));
    out.push_back(static_cast<double>(s.bad)), out.push_back(static_cast<double>(s.cooling));
  }
  return out;
}

std::optional<std::vector<PlateauState>> from_numbers(const std::vector<double>& numbers) {
  if (numbers.size() % kNumbers != 0) return std::nullopt;
  std::vector<PlateauState> states;
  for (size_t i = 0; i < numbers.size(); i += kNumbers) {
    if (!std::isfinite(numbers[i]) || !is_count(numbers[i + 2]) || !is_count(numbers[i + 3]))
      return std::nullopt;
    PlateauState s{numbers[i], std::nullopt, static_cast<int64_t>(numbers[i + 2]),
                   static_cast<int64_t>(numbers[i + 3])};
    if (!std::isnan(numbers[i + 1])) s.best = numbers[i + 1];
    states.push_back(s);
  }
  return states;
}

}  // namespace gradc::runtime
