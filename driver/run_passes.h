// Passes over IR text: what `gradc opt` and the tests of single passes share.
#pragma once

#include <string>

#include "driver/lower_function.h"

namespace gradc {

struct PassRange {
  std::string from, after;  // names of passes; "" for the first and the last
  std::string function;     // which one is lowered; a file with one function needs no name
};

// The text after the passes. Graph text, or from a pass on steps on, step text. Mistakes in it are
// CompileErrors with a place in `file`; what a pass breaks is a PassFailure.
std::string run_passes(const std::string& text, uint32_t file, const PassRange& range,
                       const CompileOptions& o);

}  // namespace gradc
