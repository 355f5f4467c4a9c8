// Where the numbers of a training step stop being finite: its graph is interpreted op by op, forward and
// backward.
#pragma once

#include <string>

#include "frontend/frontend.h"
#include "runtime/safetensors.h"

namespace gradc {

// `step` is what runtime/bad_step.h keeps, `path` its file's name. Names the first operation, of those that
// lead to a loss or a state that is not finite, whose operands all are: with its place and its operands'
// ranges. Throws runtime::Error (Mismatch) where the step is of another model.
std::string explain_bad_step(const frontend::Unit& unit, const Sources& sources,
                             const runtime::SafeTensors& step, const std::string& path);

}  // namespace gradc
