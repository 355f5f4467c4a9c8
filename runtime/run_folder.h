// A folder for each training: runs/MODEL/1, 2, 3, ... or one that the user names; a lock while it is written,
// a record of what ran, the link runs/MODEL/latest.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/file.h"

namespace gradc::runtime {

// Of one training, held from before its first step to its end.
class RunFolder {
 public:
  // `wanted` "": the next number below `root`; a name: that folder below `root`; a path with a slash: itself.
  // Below `root` the link latest is set.
  // The folder is new or empty, unless `overwrite`. Throws Error when it is not, when another process trains
  // into it, or when it cannot be written. What killed trainings left in `root` is cleared.
  RunFolder(const std::string& root, const std::string& wanted, bool overwrite);

  const std::string& path() const { return path_; }
  void write(const std::string& name, std::string_view text) const;

 private:
  void next_number(const std::string& root);
  void take(const std::string& path, bool overwrite);
  bool lock();  // false when another process has it
  std::string path_;
  Descriptor lock_;
};

// run.json
struct RunRecord {
  std::string version, model, file, folder, host, cpu, started, ended, status, note;
  std::vector<std::string> command;
  int64_t seed = 0, batch = 0, threads = 0, cores = 0, pid = 0;
  int64_t steps = 0, planned_steps = 0, epochs = 0;
  std::string metric;  // that chooses the best weights, or "val.loss", or "train.loss"
  bool maximize = false;
  std::optional<double> best;
  int64_t best_step = 0;
  std::vector<std::pair<std::string, double>> results;  // "val.loss", "test.accuracy", ...
  // Of the process that ended: "all", "beside" (neither steps nor validation), "writing" (by a thread of its
  // own).
  std::vector<std::pair<std::string, double>> seconds;
};
std::string to_json(const RunRecord& r);
RunRecord read_record(const std::string& path);  // throws Error
std::string utc_now();                           // "2026-11-26T03:00:00.000Z"

struct ListedRun {
  std::string name;
  RunRecord record;  // status "killed" where a training began and neither ended nor goes on
};
// The runs below root, oldest first; folders without a record that can be read are left out.
std::vector<ListedRun> list_runs(const std::string& root);

// The weights of a run: best.safetensors, else last.safetensors. Throws Error when there are none.
std::string weights_in(const std::string& run);

}  // namespace gradc::runtime
