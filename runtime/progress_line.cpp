#include "runtime/progress_line.h"

#include <unistd.h>

#include <algorithm>

#include "runtime/checkpoint_writer.h"
#include "runtime/progress.h"

namespace gradc::runtime {

ProgressLine::ProgressLine(std::FILE* out, bool quiet, int64_t per_epoch, int64_t total)
    : out_(out),
      quiet_(quiet),
      live_(!quiet && isatty(fileno(out)) != 0),
      per_epoch_(per_epoch),
      total_(total) {}

void ProgressLine::begin(int64_t step) { first_ = step, started_ = now(); }

bool ProgressLine::is_due() const {
  constexpr double kPause = 400;  // times what a line took: some terminals are slow
  return live_ && now() - shown_ > std::max(0.1, kPause * cost_);
}

std::string ProgressLine::place(int64_t epoch, int64_t done, double seconds, int64_t steps) const {
  const int64_t epochs = (total_ + per_epoch_ - 1) / per_epoch_;
  std::string line = "epoch " + std::to_string(epoch) + "/" + std::to_string(epochs) + "  ";
  if (live_) {
    const int width = 20, filled = static_cast<int>(width * done / std::max<int64_t>(1, per_epoch_));
    line += "[" + std::string(static_cast<size_t>(filled), '=') +
            std::string(static_cast<size_t>(width - filled), ' ') + "]  ";
  }
  return line + std::to_string(done) + "/" + std::to_string(per_epoch_) + "  " + step_text(seconds, steps) +
         "  ";
}

void ProgressLine::show(std::string line, int64_t step, const char* end) {
  if (quiet_) return;
  const double from = now();
  const double each = (from - started_) / static_cast<double>(std::max<int64_t>(1, step - first_));
  line += "  left " + duration(each * static_cast<double>(total_ - step));
  std::fprintf(out_, "%s%s%s", live_ ? "\r\033[K" : "", line.c_str(), end);
  std::fflush(out_);
  shown_ = now(), cost_ = shown_ - from;
}

void ProgressLine::tell(const std::string& message) const {
  std::fprintf(out_, "%s%s\n", live_ ? "\r\033[K" : "", message.c_str());
}

}  // namespace gradc::runtime
