// The main file with every default written out: settings of layers, fields of the train block, overrides
// applied.
#pragma once

#include <string>

#include "frontend/elaboration/session.h"

namespace gradc::frontend {

// An edit of the text, so that comments and layout stay as they are.
std::string render_defaults(const Session& s, const Block* train, const TrainSpec* spec);

}  // namespace gradc::frontend
