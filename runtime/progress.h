// Numbers and times as the training log shows them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/program.h"

namespace gradc::runtime {

std::string number(const char* format, double v);
std::string duration(double seconds);                     // "1m20s"
std::string step_text(double seconds, int64_t steps);     // "0.123 ms/step"
// "loss 0.1234  accuracy 0.9722"
std::string metrics_text(const Program& p, const std::vector<double>& values);

}  // namespace gradc::runtime
