// The runtime's only exception: something that the user can mend, with the complete text to show.
#pragma once

#include <stdexcept>
#include <string>

namespace gradc::runtime {

enum class Failure {
  Data,      // a file is missing, malformed or does not hold what is asked of it
  Usage,     // the request itself makes no sense
  Mismatch,  // weights do not fit the model
  Diverged,  // the loss is no longer a finite number
};

class Error : public std::runtime_error {
 public:
  Error(Failure kind, std::string text) : std::runtime_error(std::move(text)), kind(kind) {}
  Failure kind;
};

}  // namespace gradc::runtime
