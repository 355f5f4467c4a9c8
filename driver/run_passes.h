// Passes over IR text: what `gradc opt` and the tests of single passes share.
#pragma once

#include <string>

#include "driver/lower_function.h"

namespace gradc {

struct PassRange {
  std::string from, after;  // names of passes; "" for the first and the last
  std::string function;     // which one is lowered; a file with one function, or with groups, needs no name
};

// The text after the passes, in the form that the first of them takes and the last of them gives: graph text,
// graph text with groups, or step text. Mistakes in it are
// CompileErrors with a place in `file`; what a pass breaks is a PassFailure.
std::string run_passes(const std::string& text, uint32_t file, const PassRange& range,
                       const CompileOptions& o);

}  // namespace gradc
