// A data block to its plain description.
#pragma once

#include "frontend/data_spec.h"
#include "frontend/elaborator.h"

namespace gradc::frontend {

DataSpec read_data(const Block& block, Elaborator& numbers, Scope& scope);

}  // namespace gradc::frontend
