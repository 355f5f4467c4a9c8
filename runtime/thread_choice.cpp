#include "runtime/thread_choice.h"

#include <algorithm>

namespace gradc::runtime {
namespace {

constexpr double kTrial = 2e-3;     // of short calls, for one count
constexpr double kTrialEnd = 8e-3;  // a trial of one count needs no more calls than fill this
constexpr double kWindow = 30e-3;   // several time slices: what a neighbour costs shows in the mean alone
constexpr double kGain = 0.95;      // more threads must take at most this part of the time
// A trial that cost `x` more than the chosen count would have is repeated no sooner than 100 `x` later.
constexpr double kRest = 100, kRestOfCalls = 10, kLeastRest = 0.1;

}  // namespace

ThreadChoice::ThreadChoice(int most) {
  for (int n = std::max(1, most); n > 0; n /= 2) counts_.insert(counts_.begin(), {n});
  measured_ = chosen_ = counts_.size() - 1;
  tried_ = counts_.size() == 1;
}

double ThreadChoice::seconds(int threads) const {
  for (const Count& c : counts_)
    if (c.threads == threads) return c.mean;
  return 0;
}

void ThreadChoice::measure(size_t count) {
  measured_ = count;
  calls_ = 0, spent_ = 0;
}

bool ThreadChoice::window_is_full() const {
  if (tried_ && measured_ == chosen_) return spent_ >= kWindow;
  // The very first call may have met cold memory, and another one a neighbour: neither decides alone.
  const int least = tried_ || chosen_ + 1 < counts_.size() || measured_ != chosen_ ? 1 : 3;
  return calls_ >= 3 ? spent_ >= kTrial : calls_ >= least && spent_ >= kTrialEnd;
}

void ThreadChoice::add(double seconds) {
  if (counts_.size() == 1) return;
  // A call unlike those before it, as long as a window: the process slept, or the next will be as long.
  if (calls_ > 0 && seconds >= kWindow && seconds > 8 * spent_ / calls_) {
    time_ += seconds;
    return measure(measured_);
  }
  if (calls_ == 0) first_ = least_ = seconds;
  least_ = calls_ == 1 ? seconds : std::min(least_, seconds);
  ++calls_;
  spent_ += seconds, time_ += seconds;
  if (!window_is_full()) return;
  Count& c = counts_[measured_];
  // In the first trial the least counts: too many threads show in the windows that follow, too few do not.
  c.mean = !tried_                              ? least_
           : measured_ != chosen_ && calls_ > 1 ? (spent_ - first_) / (calls_ - 1)
                                                : spent_ / calls_;
  if (!tried_)
    end_trial_step();
  else if (measured_ == chosen_)
    end_window();
  else
    end_probe();
}

// From all threads down, for as long as fewer take no longer: long calls then cost least to try.
void ThreadChoice::end_trial_step() {
  const Count& c = counts_[measured_];
  const bool better = measured_ == chosen_ || kGain * c.mean <= counts_[chosen_].mean;
  if (better) chosen_ = measured_;
  if (better && measured_ > 0) return measure(measured_ - 1);
  tried_ = true;
  for (Count& each : counts_)
    if (each.mean > 0) each.retry = time_ + std::max(kLeastRest, kRest * (each.mean - counts_[chosen_].mean));
  measure(chosen_);
}

void ThreadChoice::end_window() {
  steady_time_ = spent_, steady_mean_ = counts_[chosen_].mean;
  const bool fewer = chosen_ > 0, more = chosen_ + 1 < counts_.size();
  // Slower than fewer threads were: the machine has changed, and they are asked at once.
  if (fewer && (steady_mean_ > counts_[chosen_ - 1].mean || time_ >= counts_[chosen_ - 1].retry))
    return measure(chosen_ - 1);
  if (more && time_ >= counts_[chosen_ + 1].retry) return measure(chosen_ + 1);
  measure(chosen_);
}

void ThreadChoice::end_probe() {
  Count& probe = counts_[measured_];
  const bool better =
      measured_ < chosen_ ? kGain * probe.mean <= steady_mean_ : probe.mean < kGain * steady_mean_;
  // What the worse of the two cost more than the better would have.
  Count& worse = better ? counts_[chosen_] : probe;
  const double time = better ? steady_time_ : spent_;
  const double best = better ? probe.mean : steady_mean_;
  const double excess =
      better && measured_ > chosen_ ? 0 : time * std::max(0.0, 1 - best / std::max(best, worse.mean));
  worse.retry = time_ + std::max({kLeastRest, kRestOfCalls * spent_, kRest * excess});
  if (better) chosen_ = measured_;
  measure(chosen_);
}

}  // namespace gradc::runtime
