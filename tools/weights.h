// Which weights a command reads.
#pragma once

#include <string>

#include "driver/load_inputs.h"
#include "runtime/safetensors.h"
#include "tools/commands.h"

namespace gradc {

// Where the runs of a model file are: runs/ and its name without the ending.
std::string runs_of(const std::string& model_file);
// The folder of a run as --run and --resume name it; links like latest are followed.
std::string run_folder_of(const std::string& model_file, const std::string& run);

struct Weights {
  std::string path;
  runtime::SafeTensors file;
  bool nan = false;  // they hold NaN, which a warning has said
};
// --load, --run, or the best of the latest run, which is said on standard error.
Weights weights_of(const Arguments& a);
// What their file says of the data.
FittedFields fitted_of(const Weights& weights);

}  // namespace gradc
