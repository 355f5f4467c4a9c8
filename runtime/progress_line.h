// The line that tells how far a training has come: on a terminal it is redrawn in place.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>

namespace gradc::runtime {

class ProgressLine {
 public:
  // Nothing is printed where it is quiet. An epoch has so many steps, the training `total` of them.
  ProgressLine(std::FILE* out, bool quiet, int64_t per_epoch, int64_t total);

  void begin(int64_t step);  // of the training when this call takes it up
  // Whether a terminal is to be told again: ten times a second, less often where it is slow.
  bool is_due() const;
  // The part of a line that names an epoch and how far it has come.
  std::string place(int64_t epoch, int64_t done, double seconds, int64_t steps) const;
  // With the time that is left, at a rate that all steps of this call had.
  void show(std::string line, int64_t step, const char* end);
  // A message of its own, that stays.
  void tell(const std::string& message) const;

 private:
  std::FILE* out_;
  bool quiet_, live_;
  int64_t per_epoch_, total_, first_ = 0;
  double started_ = 0, shown_ = 0, cost_ = 0;  // when, and how long the last line took
};

}  // namespace gradc::runtime
