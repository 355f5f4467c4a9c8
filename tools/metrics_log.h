// metrics.csv and metrics.jsonl of a run, a row for every epoch.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/file.h"
#include "runtime/trainer.h"

namespace gradc {

// "0.25"; null where the number is none: JSON has no NaN.
std::string json_number(double v);
// {"event":"epoch","epoch":1,"step":6,"train.loss":0.5,...,"train_ms":0.01,"val_ms":0.01,"best":true}
std::string epoch_json(const runtime::Program& p, const runtime::EpochReport& e);

class MetricsLog {
 public:
  // A training that goes on after so many epochs begins with their rows, which are in the folder `before`;
  // later ones come again. Throws Error.
  MetricsLog(const std::string& run, const runtime::Program& p, bool val, const std::string& before,
             int64_t epochs);
  // A disk that is full for a while costs rows, not the training: why the first was lost, "" while none was.
  void add(const runtime::EpochReport& e);
  const std::string& problem() const { return problem_; }

 private:
  struct File {
    std::string path;
    runtime::Descriptor to;
  };
  void append(const File& f, const std::string& line);
  const runtime::Program& program_;
  bool val_;
  File csv_, jsonl_;
  std::string problem_;
};

}  // namespace gradc
