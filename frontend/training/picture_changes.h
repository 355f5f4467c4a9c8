// How the changes of augment(...) are written: a row for each. The driver carries them out by the same names.
#pragma once

#include <string>
#include <vector>

#include "frontend/elaboration/elaborator.h"
#include "frontend/training/data_spec.h"

namespace gradc::frontend {

// `x = random_shift(2)`, `x = [random_shift(2), random_flip()]`.
std::vector<PictureChangeSpec> read_changes(const Argument& field, Elaborator& e, Scope& scope);

}  // namespace gradc::frontend
