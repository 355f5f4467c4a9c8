// What the commands of the tool share: their arguments and their exit codes.
#pragma once

#include <string>
#include <vector>

#include "support/diagnostic.h"
#include "support/source.h"

namespace gradc {

constexpr const char* kVersion = "0.1.0";

enum Exit { kOk = 0, kError = 1, kUsage = 2, kDiverged = 3, kMismatch = 4, kInternal = 70 };

struct Arguments {
  std::string file, function = "train_step", output, emit = "step", from, after, cpu, prefix;
  std::vector<std::string> without;
  int lanes = 0, threads = 0, rounds = 200;
  int64_t batch = 0, memory = 0, segments = 0;
  bool object = false, quiet = false, no_fma = false, json = false, interpret = false;
  bool quick = false, clear = false, kernels = false, plans = false;
  double seconds = 3;  // of a kernel's plans
  int limit = 0;       // of kernels; 0: all
  std::string shell;
  // Models.
  std::vector<std::string> defines, sets, command;  // command: the words of the command line
  bool overwrite = false, allow_partial = false, dry_run = false, detect_anomaly = false;
  bool from_scratch = false;
  std::string bad_step;
  std::string resume, init_from, map, max_time, split = "test", log_format = "text";
  int64_t max_steps = 0, limit_train = 0, overfit = 0;
  std::string data, load, save, input, header, target, float_type = "f32", run_dir;
  std::vector<std::string> inputs, files, results;  // predict
  std::string format = "csv";
  int64_t rows = 0;    // 0: all
  std::string prompt;  // generate
  int64_t tokens = 200, top_k = 0, seed = 0;
  double temperature = 0, top_p = 1;
  std::vector<std::string> stops;
};

std::string read_text(const std::string& path);
void write_text(const std::string& path, const std::string& text);

// opt, compile, bench on a file of graph IR.
void run_on_ir(const Arguments& a, const std::string& command, Sources& sources);
// train, eval, predict, generate, check, summary, compile, bench on a model file.
int run_on_model(const Arguments& a, const std::string& command, Sources& sources);
// runs: what trainings below runs/ did.
int list_runs(const Arguments& a);
// data inspect: what a table holds.
int inspect_table(const Arguments& a);
// new: a first model for a table.
int make_model(const Arguments& a);
// What this machine is and what of it is in the way of work.
int run_doctor(const Arguments& a);
// The cache of compiled code: what it holds, or emptied.
int run_cache(const Arguments& a);

}  // namespace gradc
