// How many threads take the calls of one entry, found by measuring calls that count as any others: no result
// depends on the number. Pure: it is told what each call took, and has no clock of its own.
#pragma once

#include <cstddef>
#include <vector>

namespace gradc::runtime {

class ThreadChoice {
 public:
  // Counts up to `most`, each half of the one above it.
  explicit ThreadChoice(int most);

  int threads() const { return counts_[measured_].threads; }  // for the next call
  int chosen() const { return counts_[chosen_].threads; }
  bool tried() const { return tried_; }  // the first trial is over
  // The mean of what the last calls with so many threads took, 0 when there were none.
  double seconds(int threads) const;
  // A call with threads() threads took so long.
  void add(double seconds);

 private:
  struct Count {
    int threads;
    double mean = 0;   // of a call, in the last window
    double retry = 0;  // not tried again before this moment of our time
  };

  void end_trial_step();
  void end_window();
  void end_probe();
  bool window_is_full() const;
  void measure(size_t count);

  std::vector<Count> counts_;  // ascending
  size_t measured_, chosen_;
  bool tried_;
  // The window under way. The first call after a change wakes threads, so that its time counts last.
  int calls_ = 0;
  double spent_ = 0, first_ = 0;
  double least_ = 0;  // of the calls after the first, if there are some
  double time_ = 0;         // in calls, ever
  double steady_time_ = 0;  // of the last window with the chosen count, and what its calls took
  double steady_mean_ = 0;
};

}  // namespace gradc::runtime
