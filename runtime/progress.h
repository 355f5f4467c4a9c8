// Numbers and times as the training log shows them.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "runtime/program.h"

namespace gradc::runtime {

std::string number(const char* format, double v);
std::string duration(double seconds);                  // "1m20s"
std::string step_text(double seconds, int64_t steps);  // "0.123 ms/step"
// The metrics by name. Those that keep rows are left out of what training steps measured.
using Measured = std::vector<std::pair<std::string, double>>;
Measured measured(const Program& p, const std::vector<double>& values, bool by_steps = false);
// "loss 0.1234  accuracy 0.9722"
std::string metrics_text(const Program& p, const std::vector<double>& values, bool by_steps = false);

}  // namespace gradc::runtime
