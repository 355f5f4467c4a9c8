#include "runtime/progress.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace gradc::runtime {

std::string number(const char* format, double v) {
  char text[64];
  std::snprintf(text, sizeof text, format, v);
  return text;
}

std::string duration(double seconds) {
  const auto s = static_cast<int64_t>(seconds + 0.5);
  if (s >= 3600) return std::to_string(s / 3600) + "h" + std::to_string(s / 60 % 60) + "m";
  if (s >= 60) return std::to_string(s / 60) + "m" + std::to_string(s % 60) + "s";
  return number(seconds < 9.95 ? "%.1fs" : "%.0fs", seconds);
}

std::string step_text(double seconds, int64_t steps) {
  const double ms = seconds * 1e3 / static_cast<double>(std::max<int64_t>(1, steps));
  return number(ms < 1 ? "%.3f" : "%.2f", ms) + " ms/step";
}

std::string metrics_text(const Program& p, const std::vector<double>& values) {
  std::string out;
  for (size_t i = 0; i < values.size() && i < p.metrics.size(); ++i)
    out += (out.empty() ? "" : "  ") + p.metrics[i] + " " +
           number(values[i] != 0 && std::fabs(values[i]) < 1e-3 ? "%.4e" : "%.4f", values[i]);
  return out;
}

}  // namespace gradc::runtime
