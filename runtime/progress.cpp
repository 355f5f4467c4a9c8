#include "runtime/progress.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace gradc::runtime {

std::string number(const char* format, double v) {
  if (std::isnan(v)) return "nan";  // whose sign means nothing
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

Measured measured(const Program& p, const std::vector<double>& values, bool by_steps) {
  Measured out;
  for (size_t i = 0; i < values.size() && i < p.metrics.size(); ++i) {
    const bool keeps_rows =
        std::find(p.of_all_rows.begin(), p.of_all_rows.end(), p.metrics[i]) != p.of_all_rows.end();
    if (!by_steps || !keeps_rows) out.emplace_back(p.metrics[i], values[i]);
  }
  return out;
}

std::string metrics_text(const Program& p, const std::vector<double>& values, bool by_steps) {
  std::string out;
  for (const auto& [name, v] : measured(p, values, by_steps))
    out +=
        (out.empty() ? "" : "  ") + name + " " + number(v != 0 && std::fabs(v) < 1e-3 ? "%.4e" : "%.4f", v);
  return out;
}

}  // namespace gradc::runtime
