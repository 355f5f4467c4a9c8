// Whether one thread or all take the steps of a training run, found out on its first steps, which count as
// any others: no result depends on the number of threads.
#pragma once

#include <algorithm>
#include <vector>

namespace gradc::runtime {

class ThreadTrial {
 public:
  // With one thread there is nothing to choose.
  explicit ThreadTrial(int threads) : threads_(threads), done_(threads < 2) {}

  bool done() const { return done_; }
  bool one_thread() const { return one_; }  // for the next step
  double ms(bool one) const { return median(one ? with_one_ : with_all_); }

  // The time of a step that was taken as one_thread() said.
  void add(double ms) {
    std::vector<double>& times = one_ ? with_one_ : with_all_;
    times.push_back(ms);
    spent_ += ms;
    if (times.size() < kSteps && spent_ < kMs) return;
    if (one_) {
      one_ = median(with_one_) <= median(with_all_);
      done_ = true;
    } else if (median(with_all_) * threads_ > kMs) {
      done_ = true;  // long steps: threads pay, and one thread alone could take long to say so
    } else {
      one_ = true, spent_ = 0;
    }
  }

 private:
  static constexpr size_t kSteps = 3;
  static constexpr double kMs = 50;

  static double median(std::vector<double> v) {
    if (v.empty()) return 0;
    std::sort(v.begin(), v.end());
    return v[(v.size() - 1) / 2];
  }

  int threads_;
  bool done_ = false, one_ = false;
  double spent_ = 0;
  std::vector<double> with_all_, with_one_;
};

}  // namespace gradc::runtime
