// A data block to its plain description.
#pragma once

#include "frontend/elaboration/elaborator.h"
#include "frontend/training/data_spec.h"

namespace gradc::frontend {

DataSpec read_data(const Block& block, Elaborator& numbers, Scope& scope);

}  // namespace gradc::frontend
