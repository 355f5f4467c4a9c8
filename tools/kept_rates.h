// The rates that `gradc doctor` measured, kept in the cache folder for predictions (`compile
// --emit=schedule`).
#pragma once

#include <optional>
#include <string>

#include "support/machine.h"

namespace gradc {

// What the processor calls itself; "" where the system does not say.
std::string processor_name();
// Nothing where none are kept, or those of another processor, or no rates.
std::optional<Rates> kept_rates();
// What cannot be written is measured again another time.
void keep_rates(const Rates& rates);

}  // namespace gradc
