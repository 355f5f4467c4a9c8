// Rules on metrics, and learning rates that such a rule lowers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace gradc::runtime {

// What a rule goes by. The split is val, measured by every validation, or train, whose metrics are those of
// the steps of an epoch and known where it ends.
struct Aim {
  std::string split = "val", metric;
  bool maximize = false;

  std::string name() const { return split + "." + metric; }
};

struct Rule {  // which weights to keep, when to stop
  Aim on;
  int patience = 0;
  double delta = 0;
};

// A learning rate that is multiplied by `factor` where a metric has not become better, by `threshold` of its
// best, for more than `patience` times that it was measured: what PyTorch's ReduceLROnPlateau does, but that
// the best is not looked at for `cooldown` times behind that. It stays at least `low`.
struct Plateau {
  std::string rate;  // which of Program::hyper it is
  Aim on;
  double factor = 0.1, threshold = 1e-4, low = 0;
  int64_t patience = 10, cooldown = 0;
};

struct PlateauState {
  double rate = 0;
  std::optional<double> best;
  int64_t bad = 0, cooling = 0;  // measurements
};

// What a measurement makes of it.
PlateauState after(const Plateau& p, PlateauState s, double value);

// As numbers, for files, and back; nothing where they cannot be.
std::vector<double> to_numbers(const std::vector<PlateauState>& states);
std::optional<std::vector<PlateauState>> from_numbers(const std::vector<double>& numbers);

}  // namespace gradc::runtime
