// metrics.csv and metrics.jsonl of a run, a row for every epoch and every validation within one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/file.h"
#include "runtime/trainer.h"

namespace gradc {

// "0.25"; null where the number is none: JSON has no NaN.
std::string json_number(double v);
// {"event":"epoch","epoch":1,"step":6,"train.loss":0.5,...,"train_ms":0.01,"val_ms":0.01,"best":true}; the
// event "validation" within an epoch, whose metrics of train are then of its part so far.
// ,"val.loss":0.5,"val.confusion":[[3,1],[0,4]]: all that was measured of a split, tables too.
std::string split_json(const runtime::Program& p, const std::string& split,
                       const std::vector<double>& values);
std::string report_json(const runtime::Program& p, const runtime::Report& e);

class MetricsLog {
 public:
  // A training that goes on begins with the rows of its past, which are in the folder `before`; later ones
  // come again. Throws Error.
  struct Past {
    int64_t epochs = 0, step = 0, per_epoch = 1;  // whole epochs, steps done, steps of an epoch
  };
  MetricsLog(const std::string& run, const runtime::Program& p, bool val, const std::string& before,
             Past past);
  // A disk that is full for a while costs rows, not the training: why the first was lost, "" while none was.
  void add(const runtime::Report& e);
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
